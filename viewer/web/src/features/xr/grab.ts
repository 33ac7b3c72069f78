// Taking hold of the scene: with one grip it follows the hand, with two it also turns about the vertical and scales.

import { Matrix4, Vector3 } from "three";
import type { Pointer } from "./pointers";
import type { Rig } from "./rig";

/** Closer together than this, two hands say nothing about a direction. */
const APART = 0.02;

interface Hold {
  readonly sources: readonly XRInputSource[];
  readonly places: readonly Vector3[];
  readonly rig: Matrix4;
}

/** Who holds the scene: grips of controllers; of hands and touches, which have no grip, two pinches at once. */
function holders(pointers: readonly Pointer[]): Pointer[] {
  const grips = pointers.filter((p) => p.squeezing && p.kind === "controller");
  if (grips.length > 0) return grips.slice(0, 2);
  const pinches = pointers.filter((p) => p.selecting && p.kind !== "controller");
  return pinches.length >= 2 ? pinches.slice(0, 2) : [];
}

export class Grab {
  private hold: Hold | null = null;

  /** How many hands hold the scene. */
  get hands(): number {
    return this.hold?.sources.length ?? 0;
  }

  /** `reach` is how far away touches on a screen are taken to hold the scene, in metres. */
  step(pointers: readonly Pointer[], rig: Rig, reach: number): void {
    const now = holders(pointers);
    if (now.length === 0) {
      this.hold = null;
      return;
    }
    const places = now.map((p) =>
      p.kind === "screen" ? p.origin.clone().addScaledVector(p.direction, reach) : p.place.clone(),
    );
    const sources = now.map((p) => p.source);
    const same = this.hold?.sources.length === sources.length && sources.every((s) => this.hold!.sources.includes(s));
    if (this.hold === null || !same) {
      rig.group.updateMatrix();
      this.hold = { sources, places, rig: rig.group.matrix.clone() };
      return;
    }
    // In the order in which they were when the hold began.
    const ordered = this.hold.sources.map((source) => places[sources.indexOf(source)]!);
    this.drag(rig, this.hold, ordered);
  }

  private drag(rig: Rig, hold: Hold, places: readonly Vector3[]): void {
    const [a0, b0] = hold.places;
    const [a1, b1] = places;
    if (b0 === undefined || b1 === undefined) {
      rig.drag(hold.rig, { from: a0!, to: a1!, yaw: 0, scale: 1 });
      return;
    }
    const before = b0.clone().sub(a0!);
    const after = b1.clone().sub(a1!);
    if (before.length() < APART || after.length() < APART) return;
    const level = Math.hypot(before.x, before.z) > APART && Math.hypot(after.x, after.z) > APART;
    rig.drag(hold.rig, {
      from: a0!.clone().lerp(b0, 0.5),
      to: a1!.clone().lerp(b1, 0.5),
      yaw: level ? Math.atan2(-after.z, after.x) - Math.atan2(-before.z, before.x) : 0,
      scale: after.length() / before.length(),
    });
  }
}
