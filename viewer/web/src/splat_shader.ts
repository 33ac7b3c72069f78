// One correction to Spark's vertex shader, so that the page draws what our rasterizer draws.
//
// A splat is flattened by the perspective's slope at its centre. Far outside the picture that slope says little about
// the part inside: large splats become wrong smears, which Spark avoids by leaving out splats with centres beyond 1.4
// times the picture, so that large ones pop at its edges. 3D Gaussian splatting (Kerbl et al. 2023) and our kernels
// (`MARGIN` in kernels/twin.py) take the slope where the ray leaves the picture by at most 15 % of its size instead,
// and leave nothing out.

import type { ShaderMaterial } from "three";

const SPARKS = "vec2 J2 = -(J1 * viewCenter.xy) * invZ;";
const OURS = `
        vec2 perFocal = 1.0 / vec2(projectionMatrix[0][0], projectionMatrix[1][1]);
        vec2 offCentre = vec2(projectionMatrix[2][0], projectionMatrix[2][1]);
        vec2 J2 = J1 * clamp(-viewCenter.xy * invZ, (offCentre - 1.3) * perFocal, (offCentre + 1.3) * perFocal);`;

/** How far outside the picture, in half pictures, a splat's centre may lie; beyond it even large ones hardly reach in. */
export const CLIP = 8;

export function correctPerspective(material: ShaderMaterial): void {
  if (!material.vertexShader.includes(SPARKS)) throw new Error("Spark's vertex shader has changed: see splat_shader.ts");
  material.vertexShader = material.vertexShader.replace(SPARKS, OURS);
}
