// Parts of a splat mesh as meshes of their own, and hiding them where they were.

import { ExtSplats, SplatMesh } from "@sparkjsdev/spark";
import { DataUtils } from "three";

/** Rows of Spark's textures are so many splats, layers so many rows. */
const ROW = 2048;
const LAYER = ROW * ROW;
const WORDS = 4;
const HARMONICS = ["sh1", "sh2", "sh3a", "sh3b"] as const;

/** What there is to know of every splat, in the mesh's own coordinates. */
export interface SplatFacts {
  readonly count: number;
  /** Of splat n at 4 n. */
  readonly centres: Float32Array;
  opacity(n: number): number;
  /** Standard deviations along its three axes. */
  scales(n: number): readonly [number, number, number];
}

const half = (bits: number): number => DataUtils.fromHalfFloat(bits & 0xffff);

function arrays(mesh: SplatMesh): ExtSplats | null {
  const ext = mesh.extSplats;
  return ext === undefined || ext.numSplats === 0 ? null : ext;
}

/** Null for splats that are streamed in levels and never all in memory. */
export function factsOf(mesh: SplatMesh): SplatFacts | null {
  const ext = arrays(mesh);
  if (ext === null) return null;
  const [a, b] = ext.extArrays;
  return {
    count: ext.numSplats,
    centres: new Float32Array(a.buffer, a.byteOffset, a.length),
    opacity: (n) => half(a[n * WORDS + 3]!),
    scales: (n) => {
      const o = n * WORDS;
      return [Math.exp(half(b[o + 1]! >>> 16)), Math.exp(half(b[o + 2]!)), Math.exp(half(b[o + 2]! >>> 16))];
    },
  };
}

function pick(words: Uint32Array, indices: Uint32Array): Uint32Array {
  const rows = Math.max(1, Math.ceil(indices.length / ROW));
  const room = indices.length <= LAYER ? rows * ROW : Math.ceil(indices.length / LAYER) * LAYER;
  const picked = new Uint32Array(room * WORDS);
  for (let i = 0; i < indices.length; i++) {
    const from = indices[i]! * WORDS;
    const to = i * WORDS;
    for (let k = 0; k < WORDS; k++) picked[to + k] = words[from + k]!;
  }
  return picked;
}

/** These splats as a mesh of their own, in the same coordinates, harmonics included. */
export function extract(mesh: SplatMesh, indices: Uint32Array): SplatMesh {
  const ext = arrays(mesh);
  if (ext === null) throw new Error("the splats are not in memory");
  const extra: Record<string, Uint32Array> = {};
  for (const name of HARMONICS) {
    const words = ext.extra[name];
    if (words instanceof Uint32Array) extra[name] = pick(words, indices);
  }
  const [a, b] = ext.extArrays;
  const splats = new ExtSplats({ extArrays: [pick(a, indices), pick(b, indices)], numSplats: indices.length, extra });
  return new SplatMesh({ splats, extSplats: splats });
}

/** Makes these splats transparent; the function that comes back undoes it. */
export function hide(mesh: SplatMesh, indices: Uint32Array): () => void {
  const ext = arrays(mesh);
  if (ext === null) return () => {};
  const [a] = ext.extArrays;
  const before = Uint32Array.from(indices, (n) => a[n * WORDS + 3]!);
  const changed = (): void => {
    for (const texture of ext.textures) texture.needsUpdate = true;
    mesh.updateVersion();
  };
  for (const n of indices) a[n * WORDS + 3] = 0;
  changed();
  return () => {
    // Disposed meanwhile: there is nothing to put back.
    if (ext.extArrays[0] !== a) return;
    indices.forEach((n, i) => (a[n * WORDS + 3] = before[i]!));
    changed();
  };
}
