// Fewer splats than a scene has, for headsets that cannot draw them all: those that cover most are kept.

import type { SplatMesh } from "@sparkjsdev/spark";
import type { Page } from "../../page";
import { extract, factsOf } from "../../splat_parts";

/** The indices of the `count` splats with the most opacity times area. */
export function mostVisible(mesh: SplatMesh, count: number): Uint32Array | null {
  const facts = factsOf(mesh);
  if (facts === null || facts.count <= count) return null;
  const weights = new Float32Array(facts.count);
  for (let n = 0; n < facts.count; n++) {
    const [a, b, c] = facts.scales(n);
    weights[n] = facts.opacity(n) * Math.max(a * b, b * c, a * c);
  }
  const least = weights.slice().sort()[facts.count - count]!;
  const kept = new Uint32Array(count);
  let length = 0;
  for (let n = 0; n < facts.count && length < count; n++) if (weights[n]! >= least) kept[length++] = n;
  return kept.subarray(0, length);
}

export interface Thinned {
  readonly mesh: SplatMesh;
  /** Shows all splats again. */
  undo(): void;
}

/** Shows at most so many splats; null when the scene has no more than that. */
export function thinOut(page: Page, count: number): Thinned | null {
  const whole = page.splats;
  const kept = mostVisible(whole, count);
  if (kept === null) return null;
  const mesh = extract(whole, kept);
  mesh.position.copy(whole.position);
  mesh.quaternion.copy(whole.quaternion);
  mesh.scale.copy(whole.scale);
  whole.parent?.add(mesh);
  whole.visible = false;
  return {
    mesh,
    undo: () => {
      mesh.removeFromParent();
      mesh.dispose();
      whole.visible = true;
    },
  };
}
