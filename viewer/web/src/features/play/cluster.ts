// Which splats belong to the thing that was picked: those that hang together with it, without what it stands on.

import { Vector3 } from "three";
import type { SplatFacts } from "../../splat_parts";

/** Fainter splats are haze. */
const SOLID = 0.15;
/** Voxels along a thing: neighbours within two of them hang together. */
const VOXELS = 14;
const HEIGHT_BINS = 40;
/** How far around the picked point a floor is looked for, and from where on, in sizes: nearer is the thing itself. */
const REACH = 1.4;
const ASIDE = 0.7;
/** A height where more than this share of the surroundings lies is a floor or a table top. */
const FLOOR_SHARE = 0.12;
/** What lies so far above the middle of a floor's splats is not the floor's, as a share of the things' size. */
const FLOOR_THICKNESS = 0.02;
export const FEWEST = 8;

export interface Cluster {
  readonly indices: Uint32Array;
  /** Corner points of its body: centres and one deviation to all sides, in the mesh's coordinates (x, y, z each). */
  readonly points: Float32Array;
  readonly centre: Vector3;
}

/** `up` is a unit vector of the mesh's coordinates, `picked` a point on the thing, `size` how large it may be. */
export function clusterAt(facts: SplatFacts, picked: Vector3, size: number, up: Vector3): Cluster | null {
  const near = within(facts, picked, size * REACH);
  const height = (n: number): number => {
    const [x, y, z] = centre(facts, n);
    return x * up.x + y * up.y + z * up.z;
  };
  const around = near.filter((n) => aside(facts, n, picked, up) > size * ASIDE);
  const support = supportBelow(around.map(height), picked.dot(up), size);
  const candidates = near.filter((n) => height(n) > support && distance(facts, n, picked) < size);
  const together = connected(facts, candidates, picked, size / VOXELS);
  return together.length < FEWEST ? null : describe(facts, together);
}

const centre = (facts: SplatFacts, n: number): [number, number, number] => {
  const o = n * 4;
  return [facts.centres[o]!, facts.centres[o + 1]!, facts.centres[o + 2]!];
};

const distance = (facts: SplatFacts, n: number, from: Vector3): number => {
  const [x, y, z] = centre(facts, n);
  return Math.hypot(x - from.x, y - from.y, z - from.z);
};

/** Solid splats, none larger than the thing itself. */
function within(facts: SplatFacts, picked: Vector3, reach: number): number[] {
  const found: number[] = [];
  for (let n = 0; n < facts.count; n++) {
    if (distance(facts, n, picked) > reach || facts.opacity(n) < SOLID) continue;
    if (Math.max(...facts.scales(n)) < reach / 3) found.push(n);
  }
  return found;
}

/** How far from the vertical through the picked point. */
const aside = (facts: SplatFacts, n: number, picked: Vector3, up: Vector3): number => {
  const from = new Vector3(...centre(facts, n)).sub(picked);
  return from.addScaledVector(up, -from.dot(up)).length();
};

/** What is higher than this lies on the floor or table top: where most of the splats around the thing lie. */
function supportBelow(heights: readonly number[], picked: number, size: number): number {
  const bin = (2 * size) / HEIGHT_BINS;
  const lowest = picked - REACH * size;
  const counts = new Array<number>(HEIGHT_BINS).fill(0);
  for (const h of heights) {
    const index = Math.floor((h - lowest) / bin);
    if (index >= 0 && index < HEIGHT_BINS) counts[index]!++;
  }
  // Over two neighbouring bins, so that a floor on their border counts in full; below what was picked.
  const last = Math.floor((picked - lowest) / bin) - 1;
  let best = -1;
  let most = heights.length * FLOOR_SHARE;
  for (let i = 0; i < last; i++) {
    const count = counts[i]! + (counts[i + 1] ?? 0);
    if (count > most) [best, most] = [i, count];
  }
  if (best < 0) return -Infinity;
  const low = lowest + best * bin;
  const layer = heights.filter((h) => h >= low && h < low + 2 * bin).sort((a, b) => a - b);
  return layer[Math.floor(layer.length / 2)]! + size * FLOOR_THICKNESS;
}

/** Of the candidates, those reached from the one nearest to the picked point over neighbouring voxels. */
function connected(facts: SplatFacts, candidates: readonly number[], picked: Vector3, voxel: number): number[] {
  const voxels = new Map<string, number[]>();
  let start: readonly number[] | null = null;
  let nearest = Infinity;
  for (const n of candidates) {
    const at = centre(facts, n).map((v) => Math.floor(v / voxel));
    const key = at.join();
    const list = voxels.get(key);
    if (list === undefined) voxels.set(key, [n]);
    else list.push(n);
    const d = distance(facts, n, picked);
    if (d < nearest) [nearest, start] = [d, at];
  }
  const found: number[] = [];
  const open = start === null ? [] : [start];
  while (open.length > 0) {
    const [x, y, z] = open.pop() as [number, number, number];
    for (let i = -2; i <= 2; i++) {
      for (let j = -2; j <= 2; j++) {
        for (let k = -2; k <= 2; k++) {
          const key = `${x + i},${y + j},${z + k}`;
          const list = voxels.get(key);
          if (list === undefined) continue;
          voxels.delete(key);
          found.push(...list);
          open.push([x + i, y + j, z + k]);
        }
      }
    }
  }
  return found;
}

function describe(facts: SplatFacts, together: readonly number[]): Cluster {
  const indices = Uint32Array.from(together).sort();
  const points = new Float32Array(indices.length * 18);
  const middle = new Vector3();
  let o = 0;
  for (const n of indices) {
    const at = centre(facts, n);
    // The smallest deviation is a surface's thickness; along the larger ones the neighbours' centres lie anyway.
    const size = Math.min(...facts.scales(n));
    middle.add(new Vector3(...at));
    for (let axis = 0; axis < 3; axis++) {
      for (const side of [-size, size]) {
        points.set(at, o);
        points[o + axis]! += side;
        o += 3;
      }
    }
  }
  return { indices, points, centre: middle.divideScalar(indices.length) };
}
