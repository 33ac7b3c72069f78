// Finding real tables and floors in AR.

import { Matrix4 } from "three";
import type { Pointer } from "./pointers";

/** Asks where the preferred hand points, or the middle of a phone's picture. */
export class HitTest {
  private source: XRHitTestSource | null = null;
  private asked: unknown = null;
  private viewer: XRReferenceSpace | null = null;

  constructor(private readonly session: XRSession) {
    session.requestReferenceSpace("viewer").then((space) => (this.viewer = space), () => {});
  }

  /** The pose of the surface in the room, +y its normal; null when none is found or the headset cannot tell. */
  read(frame: XRFrame, room: XRReferenceSpace, pointers: readonly Pointer[]): Matrix4 | null {
    const hand = pointers.find((p) => p.kind !== "screen" && p.handedness === "right") ?? pointers.find((p) => p.kind !== "screen");
    this.ask(hand?.source.targetRaySpace ?? this.viewer);
    if (this.source === null) return null;
    try {
      const pose = frame.getHitTestResults(this.source)[0]?.getPose(room);
      return pose ? new Matrix4().fromArray(pose.transform.matrix) : null;
    } catch {
      return null; // A source made in this very frame has no results yet.
    }
  }

  dispose(): void {
    this.source?.cancel();
    this.source = null;
  }

  private ask(space: XRSpace | null): void {
    if (space === null || this.asked === space) return;
    this.asked = space;
    this.dispose();
    const request = this.session.requestHitTestSource?.({ space });
    // Refused where the headset has no hit test: the scene then stands at a table's height.
    request?.then((source) => (this.source = source), () => {});
  }
}
