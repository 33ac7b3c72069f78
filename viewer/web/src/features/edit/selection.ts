// Which splats are meant: the twin of render/selection.py, which says what the words mean. Tests hold the two to the
// same sets. Everything is computed in double precision on centres as they were loaded, moved by `place`.

import { IDENTITY, type Matrix3, matrixOf, type Sim3, transposed, type Vec2, type Vec3, type Vec4 } from "./sim3";

export interface Everything {
  readonly kind: "all";
}

export interface Box {
  readonly kind: "box";
  readonly centre: Vec3;
  readonly half: Vec3;
  readonly rotation_wxyz?: Vec4;
}

export interface Sphere {
  readonly kind: "sphere";
  readonly centre: Vec3;
  readonly radius: number;
}

export interface Tube {
  readonly kind: "tube";
  readonly points: readonly Vec3[];
  readonly radius: number;
}

export interface Stroke {
  readonly kind: "stroke";
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly rotation_wxyz: Vec4;
  readonly translation: Vec3;
  readonly points_px: readonly Vec2[];
  readonly radius_px: number;
  readonly near?: number;
  readonly far?: number;
}

export interface Range {
  readonly kind: "opacity" | "size";
  readonly low?: number;
  readonly high?: number;
}

export type Region = Everything | Box | Sphere | Tube | Stroke | Range;
export type Mode = "add" | "subtract" | "intersect" | "toggle";
export type Step = { readonly mode: Mode } & Region;

/** Splats as they were loaded, and where the world has been moved to since. */
export interface Placed {
  readonly count: number;
  /** x, y, z of one splat after the other, `stride` numbers apart. */
  readonly centres: Float32Array;
  readonly stride: number;
  readonly opacities: Float32Array;
  /** Largest standard deviations. */
  readonly sizes: Float32Array;
  readonly place: Sim3;
}

type Test = (x: number, y: number, z: number, index: number) => boolean;

/** Calls `hit` with every splat that lies in the region. */
function visit(at: Placed, test: Test, hit: (index: number) => void): void {
  const { centres, stride, count, place } = at;
  const [a, b, c, d, e, f, g, h, i] = place.rotation;
  const [u, v, w] = place.translation;
  const s = place.scale;
  const still = place === IDENTITY;
  for (let n = 0, o = 0; n < count; n++, o += stride) {
    const x = centres[o]!;
    const y = centres[o + 1]!;
    const z = centres[o + 2]!;
    const meant = still
      ? test(x, y, z, n)
      : test(s * (a * x + b * y + c * z) + u, s * (d * x + e * y + f * z) + v, s * (g * x + h * y + i * z) + w, n);
    if (meant) hit(n);
  }
}

function boxTest({ centre: [p, q, r], half: [l, m, n], rotation_wxyz }: Box): Test {
  if (rotation_wxyz === undefined) {
    return (x, y, z) => Math.abs(x - p) <= l && Math.abs(y - q) <= m && Math.abs(z - r) <= n;
  }
  const [a, b, c, d, e, f, g, h, i] = transposed(matrixOf(rotation_wxyz));
  return (x, y, z) => {
    const [X, Y, Z] = [x - p, y - q, z - r];
    return (
      Math.abs(a * X + b * Y + c * Z) <= l && Math.abs(d * X + e * Y + f * Z) <= m && Math.abs(g * X + h * Y + i * Z) <= n
    );
  };
}

function sphereTest({ centre: [p, q, r], radius }: Sphere): Test {
  const most = radius * radius;
  return (x, y, z) => (x - p) * (x - p) + (y - q) * (y - q) + (z - r) * (z - r) <= most;
}

/** Whether a point of up to three numbers lies at most `reach` from a line; of a picture, `z` is 0. */
function nearLine(points: readonly (readonly number[])[], reach: number): (x: number, y: number, z: number) => boolean {
  const low = [0, 1, 2].map((i) => Math.min(...points.map((p) => p[i] ?? 0)) - reach);
  const high = [0, 1, 2].map((i) => Math.max(...points.map((p) => p[i] ?? 0)) + reach);
  const [l0, l1, l2] = low as [number, number, number];
  const [h0, h1, h2] = high as [number, number, number];
  const starts = points.length === 1 ? points : points.slice(0, -1);
  const segments = starts.map((from, n) => {
    const to = points[Math.min(n + 1, points.length - 1)]!;
    const along = [0, 1, 2].map((i) => (to[i] ?? 0) - (from[i] ?? 0)) as [number, number, number];
    const size = along[0] * along[0] + along[1] * along[1] + along[2] * along[2];
    return { from: [from[0]!, from[1]!, from[2] ?? 0] as const, along, size };
  });
  const most = reach * reach;
  return (x, y, z) => {
    if (!(x >= l0 && x <= h0 && y >= l1 && y <= h1 && z >= l2 && z <= h2)) return false;
    for (const { from, along, size } of segments) {
      let [dx, dy, dz] = [x - from[0], y - from[1], z - from[2]];
      const share = size > 0 ? Math.min(1, Math.max(0, (dx * along[0] + dy * along[1] + dz * along[2]) / size)) : 0;
      dx -= share * along[0];
      dy -= share * along[1];
      dz -= share * along[2];
      if (dx * dx + dy * dy + dz * dz <= most) return true;
    }
    return false;
  };
}

function strokeTest(stroke: Stroke): Test {
  const { fx, fy, cx, cy, near = 0, far = Infinity, translation } = stroke;
  const m: Matrix3 = matrixOf(stroke.rotation_wxyz);
  const test = nearLine(stroke.points_px, stroke.radius_px);
  return (x, y, z) => {
    const depth = m[6] * x + m[7] * y + m[8] * z + translation[2];
    if (!(depth > near && depth <= far)) return false;
    const right = m[0] * x + m[1] * y + m[2] * z + translation[0];
    const down = m[3] * x + m[4] * y + m[5] * z + translation[1];
    return test((right / depth) * fx + cx, (down / depth) * fy + cy, 0);
  };
}

function testOf(region: Region, at: Placed): Test {
  switch (region.kind) {
    case "all":
      return () => true;
    case "box":
      return boxTest(region);
    case "sphere":
      return sphereTest(region);
    case "tube":
      return nearLine(region.points, region.radius);
    case "stroke":
      return strokeTest(region);
    default: {
      const { low = 0, high = region.kind === "opacity" ? 1 : Infinity } = region;
      const values = region.kind === "opacity" ? at.opacities : at.sizes;
      const scale = region.kind === "opacity" ? 1 : at.place.scale;
      return (_x, _y, _z, n) => values[n]! * scale >= low && values[n]! * scale <= high;
    }
  }
}

/** Changes `chosen` (1 or 0 per splat) by one step. */
export function applyStep(step: Step, at: Placed, chosen: Uint8Array): void {
  const test = testOf(step, at);
  if (step.mode === "intersect") {
    const found = new Uint8Array(at.count);
    visit(at, test, (n) => (found[n] = 1));
    for (let n = 0; n < at.count; n++) chosen[n]! &= found[n]!;
  } else if (step.mode === "add") visit(at, test, (n) => (chosen[n] = 1));
  else if (step.mode === "subtract") visit(at, test, (n) => (chosen[n] = 0));
  else visit(at, test, (n) => (chosen[n]! ^= 1));
}

/** The selected splats after all steps, which start from none. */
export function select(steps: readonly Step[], at: Placed): Uint8Array {
  const chosen = new Uint8Array(at.count);
  for (const step of steps) applyStep(step, at, chosen);
  return chosen;
}
