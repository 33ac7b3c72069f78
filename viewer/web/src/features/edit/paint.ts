// The edits on the canvas: what is taken out becomes transparent, what is selected takes the page's accent.

import type { ExtSplats, SplatMesh } from "@sparkjsdev/spark";
import { DataUtils, Matrix4, Quaternion, Vector3 } from "three";
import type { EditModel, Loaded } from "./model";
import type { Sim3 } from "./sim3";

/** The accent (#7cc4ff), mixed into a selected splat's colour by this share. */
const TINT = [0.486, 0.769, 1] as const;
const SHARE = 0.75;

const half = (bits: number): number => DataUtils.fromHalfFloat(bits & 0xffff);
const bits = (value: number): number => DataUtils.toHalfFloat(value);

export class Paint {
  readonly loaded: Loaded;
  /** Of every splat as it was loaded: its opacity, and the two words with its colour. */
  private readonly original: Uint32Array;
  private readonly ext: ExtSplats;

  constructor(private readonly mesh: SplatMesh) {
    const ext = mesh.extSplats;
    if (ext === undefined) throw new Error("the splats are not in memory as they were loaded");
    this.ext = ext;
    const [a, b] = ext.extArrays;
    const count = ext.numSplats;
    this.original = new Uint32Array(3 * count);
    const opacities = new Float32Array(count);
    const sizes = new Float32Array(count);
    for (let n = 0, o = 0; n < count; n++, o += 4) {
      this.original[3 * n] = a[o + 3]!;
      this.original[3 * n + 1] = b[o]!;
      this.original[3 * n + 2] = b[o + 1]!;
      opacities[n] = half(a[o + 3]!);
      sizes[n] = Math.exp(Math.max(half(b[o + 1]! >>> 16), half(b[o + 2]!), half(b[o + 2]! >>> 16)));
    }
    const centres = new Float32Array(a.buffer, a.byteOffset, 4 * count);
    this.loaded = { count, centres, stride: 4, opacities, sizes };
  }

  /** Draws the model; without one the splats as they were loaded. */
  show(model: EditModel | null): void {
    const [a, b] = this.ext.extArrays;
    const { original } = this;
    for (let n = 0, o = 0; n < this.loaded.count; n++, o += 4) {
      a[o + 3] = model === null || model.alive[n] === 1 ? original[3 * n]! : 0;
      const [low, high] = [original[3 * n + 1]!, original[3 * n + 2]!];
      if (model === null || model.chosen[n] === 0) {
        b[o] = low;
        b[o + 1] = high;
      } else {
        const mixed = [half(low), half(low >>> 16), half(high)].map((c, i) => bits(c + SHARE * (TINT[i]! - c)));
        b[o] = mixed[0]! | (mixed[1]! << 16);
        b[o + 1] = mixed[2]! | (high & 0xffff0000);
      }
    }
    for (const texture of this.ext.textures) texture.needsUpdate = true;
    this.place(model?.place ?? null);
    this.mesh.updateVersion();
  }

  private place(place: Sim3 | null): void {
    const { mesh } = this;
    if (place === null) {
      mesh.position.set(0, 0, 0);
      mesh.quaternion.identity();
      mesh.scale.setScalar(1);
      return;
    }
    const [a, b, c, d, e, f, g, h, i] = place.rotation;
    mesh.position.set(...place.translation);
    mesh.quaternion.copy(new Quaternion().setFromRotationMatrix(new Matrix4().set(a, b, c, 0, d, e, f, 0, g, h, i, 0, 0, 0, 0, 1)));
    mesh.scale.copy(new Vector3(1, 1, 1).multiplyScalar(place.scale));
  }
}
