// The edge of the real room's free floor, shown while the person aims a teleport: so one knows which way to walk on.

import { BufferGeometry, LineBasicMaterial, LineLoop, Vector3 } from "three";

export class RoomEdge {
  readonly line = new LineLoop(
    new BufferGeometry(),
    new LineBasicMaterial({ color: 0x7cc4ff, transparent: true, opacity: 0.5, depthTest: false, toneMapped: false }),
  );
  private space: XRBoundedReferenceSpace | null = null;

  constructor(session: XRSession) {
    this.line.visible = false;
    this.line.frustumCulled = false;
    // Headsets without a marked floor refuse, and then there is nothing to show.
    session.requestReferenceSpace("bounded-floor").then((space) => this.take(space as XRBoundedReferenceSpace), () => {});
  }

  show(visible: boolean, frame: XRFrame, room: XRReferenceSpace): void {
    const pose = visible && this.space !== null ? frame.getPose(this.space, room) : null;
    this.line.visible = Boolean(pose);
    if (pose) this.line.matrix.fromArray(pose.transform.matrix).decompose(this.line.position, this.line.quaternion, this.line.scale);
  }

  dispose(): void {
    this.line.removeFromParent();
    this.line.geometry.dispose();
    this.line.material.dispose();
  }

  private take(space: XRBoundedReferenceSpace): void {
    const corners = [...(space.boundsGeometry ?? [])].map((p) => new Vector3(p.x, 0.01, p.z));
    if (corners.length < 3) return;
    this.line.geometry.setFromPoints(corners);
    this.line.renderOrder = 790;
    this.space = space;
  }
}
