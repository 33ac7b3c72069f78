// Two corrections to Spark's vertex shader.
//
// The first makes the page draw what our rasterizer draws.
//
// A splat is flattened by the perspective's slope at its centre. Far outside the picture that slope says little about
// the part inside: large splats become wrong smears, which Spark avoids by leaving out splats with centres beyond 1.4
// times the picture, so that large ones pop at its edges. 3D Gaussian splatting (Kerbl et al. 2023) and our kernels
// (`MARGIN` in kernels/twin.py) take the slope where the ray leaves the picture by at most 15 % of its size instead,
// and leave nothing out.
//
// The second lets a headset's room be smaller or larger than the scene: Spark takes only the turn and the shift of the
// camera's transform, which shrinks nothing when the person becomes a giant.

import type { ShaderMaterial } from "three";

const SPARKS = "vec2 J2 = -(J1 * viewCenter.xy) * invZ;";
const OURS = `
        vec2 perFocal = 1.0 / vec2(projectionMatrix[0][0], projectionMatrix[1][1]);
        vec2 offCentre = vec2(projectionMatrix[2][0], projectionMatrix[2][1]);
        vec2 J2 = J1 * clamp(-viewCenter.xy * invZ, (offCentre - 1.3) * perFocal, (offCentre + 1.3) * perFocal);`;

const WITHOUT_SCALE =
  "vec3 viewCenter = (!enableCovSplats ? quatVec(renderToViewQuat, center) : (renderToViewBasis * center)) + renderToViewPos;";
const WITH_SCALE = `
    vec3 viewCenter = renderToViewBasis * center + renderToViewPos;
    scales *= length(renderToViewBasis[0]);`;

/** How far outside the picture, in half pictures, a splat's centre may lie; beyond it even large ones hardly reach in. */
export const CLIP = 8;

export function correctShader(material: ShaderMaterial): void {
  for (const [theirs, ours] of [[SPARKS, OURS], [WITHOUT_SCALE, WITH_SCALE]] as const) {
    if (!material.vertexShader.includes(theirs)) throw new Error("Spark's vertex shader has changed: see splat_shader.ts");
    material.vertexShader = material.vertexShader.replace(theirs, ours);
  }
}
