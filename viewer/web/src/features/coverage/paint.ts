// Colours on the splats by where they are: a three-dimensional texture over the scene, read for every splat's middle.
//
// By place and not by number, so that it holds for every file of the scene, level of detail and edit.

import { dyno, type SplatMesh } from "@sparkjsdev/spark";
import { Data3DTexture, Matrix3, NearestFilter, RGBAFormat, UnsignedByteType, Vector3 } from "three";
import type { Coverage } from "./data";
import type { Measure } from "./measures";

/** Splats reach a little out of the cells of their surface; they take the colour of a neighbour up to so far away. */
const SPREAD_CELLS = 2;

type Modifier = NonNullable<SplatMesh["objectModifiers"]>[number];

export class Paint {
  private readonly texture: Data3DTexture;
  private readonly texels: Uint8Array;
  /** For every cell the sample that colours it, or -1. */
  private readonly owner: Int32Array;
  private readonly modifier: Modifier;
  private mesh: SplatMesh | null = null;

  constructor(private readonly coverage: Coverage) {
    const [ni, nj, nk] = coverage.grid.shape;
    this.owner = owners(coverage);
    this.texels = new Uint8Array(4 * this.owner.length);
    this.texture = new Data3DTexture(this.texels, nk, nj, ni);
    this.texture.format = RGBAFormat;
    this.texture.type = UnsignedByteType;
    this.texture.minFilter = this.texture.magFilter = NearestFilter;
    this.modifier = this.makeModifier();
  }

  /** Paints this mesh and no other; null for none. */
  use(mesh: SplatMesh | null): void {
    if (this.mesh === mesh) return;
    const { mesh: old } = this;
    this.mesh = mesh;
    if (old !== null) {
      old.objectModifiers = (old.objectModifiers ?? []).filter((m) => m !== this.modifier);
      old.updateGenerator();
    }
    if (mesh !== null) {
      mesh.objectModifiers = [...(mesh.objectModifiers ?? []), this.modifier];
      mesh.updateGenerator();
    }
  }

  show(measure: Measure): void {
    const { owner, texels } = this;
    const colours = Array.from({ length: this.coverage.samples.count }, (_, i) => measure.colour(i));
    for (let cell = 0; cell < owner.length; cell++) {
      const sample = owner[cell]!;
      if (sample < 0) continue;
      texels.set(colours[sample]!, 4 * cell);
      texels[4 * cell + 3] = 255;
    }
    this.texture.needsUpdate = true;
    this.mesh?.updateVersion();
  }

  dispose(): void {
    this.use(null);
    this.texture.dispose();
  }

  private makeModifier(): Modifier {
    const { low, cell, shape, worldFromLevel: r } = this.coverage.grid;
    // Its transpose takes the world to the grid; `set` takes rows.
    const turn = new Matrix3().set(r[0][0], r[1][0], r[2][0], r[0][1], r[1][1], r[2][1], r[0][2], r[1][2], r[2][2]);
    const uniforms = {
      map: dyno.dynoSampler3D(this.texture as never, "coverageMap"),
      turn: dyno.dynoMat3(turn, "coverageTurn"),
      low: dyno.dynoVec3(new Vector3(...low), "coverageLow"),
      size: dyno.dynoVec3(new Vector3(...shape).multiplyScalar(cell), "coverageSize"),
    };
    return dyno.dynoBlock({ gsplat: dyno.Gsplat }, { gsplat: dyno.Gsplat }, ({ gsplat }) => {
      if (gsplat === undefined) throw new Error("a modifier gets a splat");
      const painter = new dyno.Dyno({
        inTypes: { gsplat: dyno.Gsplat, map: "sampler3D", turn: "mat3", low: "vec3", size: "vec3" },
        outTypes: { gsplat: dyno.Gsplat },
        inputs: { gsplat, ...uniforms },
        statements: ({ inputs, outputs }) =>
          dyno.unindentLines(`
            ${outputs.gsplat} = ${inputs.gsplat};
            vec3 coveragePlace = ((${inputs.turn} * ${inputs.gsplat}.center) - ${inputs.low}) / ${inputs.size};
            float coverageLight = dot(${inputs.gsplat}.rgba.rgb, vec3(0.30, 0.59, 0.11));
            vec3 coverageColour = vec3(0.16 + 0.3 * coverageLight);
            if (all(greaterThan(coveragePlace, vec3(0.0))) && all(lessThan(coveragePlace, vec3(1.0)))) {
              vec4 coverageTint = texture(${inputs.map}, coveragePlace.zyx);
              coverageColour = mix(coverageColour, coverageTint.rgb * (0.45 + 0.75 * coverageLight), coverageTint.a);
            }
            ${outputs.gsplat}.rgba.rgb = coverageColour;
          `),
      });
      return { gsplat: painter.outputs.gsplat };
    }) as Modifier;
  }
}

/** Known surface first, then cells around it: a splat beside a cell has the colour of what it belongs to. */
function owners(coverage: Coverage): Int32Array {
  const [ni, nj, nk] = coverage.grid.shape;
  const owner = new Int32Array(ni * nj * nk).fill(-1);
  let rim: number[] = [];
  coverage.samples.cells.forEach((cell, sample) => {
    owner[cell] = sample;
    rim.push(cell);
  });
  const steps = [
    [1, 0, 0],
    [-1, 0, 0],
    [0, 1, 0],
    [0, -1, 0],
    [0, 0, 1],
    [0, 0, -1],
  ] as const;
  for (let round = 0; round < SPREAD_CELLS; round++) {
    const next: number[] = [];
    for (const cell of rim) {
      const [i, j, k] = [Math.floor(cell / (nj * nk)), Math.floor(cell / nk) % nj, cell % nk];
      for (const [di, dj, dk] of steps) {
        const [a, b, c] = [i + di, j + dj, k + dk];
        if (a < 0 || b < 0 || c < 0 || a >= ni || b >= nj || c >= nk) continue;
        const there = (a * nj + b) * nk + c;
        if (owner[there] !== -1) continue;
        owner[there] = owner[cell]!;
        next.push(there);
      }
    }
    rim = next;
  }
  return owner;
}
