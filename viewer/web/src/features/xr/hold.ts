// Things in the hand: in play, a trigger or pinch takes what its ray meets, and letting go lets it fall.

import { Raycaster } from "three";
import type { Pose } from "../play/bodies";
import type { Playground } from "../play/playground";
import type { Pointer } from "./pointers";
import type { Rig } from "./rig";

export class Hold {
  private source: XRInputSource | null = null;

  /** Returns the pointers that hold nothing. */
  step(playground: Playground, pointers: readonly Pointer[], free: readonly Pointer[], rig: Rig): Pointer[] {
    if (this.source === null) this.begin(playground, free, rig);
    else {
      const pointer = pointers.find((p) => p.source === this.source);
      if (pointer?.selecting === true) playground.carry(poseOf(pointer, rig));
      else this.end(playground);
    }
    return free.filter((p) => p.source !== this.source);
  }

  end(playground: Playground): void {
    if (this.source !== null) playground.release();
    this.source = null;
  }

  private begin(playground: Playground, free: readonly Pointer[], rig: Rig): void {
    for (const pointer of free) {
      if (!pointer.selectBegan || !pointer.selecting) continue;
      const ray = new Raycaster(rig.pointInWorld(pointer.origin), rig.directionInWorld(pointer.direction));
      if (playground.take(ray, poseOf(pointer, rig)) === null) continue;
      this.source = pointer.source;
      return;
    }
  }
}

const poseOf = (pointer: Pointer, rig: Rig): Pose => ({
  position: rig.pointInWorld(pointer.origin),
  quaternion: rig.group.quaternion.clone().multiply(pointer.turned),
});
