// Moving through the scene in VR: teleport along an arc, smooth walking on the left stick, snap turns on the right one.

import { MathUtils, Vector3 } from "three";
import { type Flight, throwArc } from "./arc";
import type { Pointer } from "./pointers";
import type { Rig } from "./rig";
import type { Settings } from "./settings";
import type { Surface } from "../../surface";

const DEAD = 0.15;
/** A stick counts as pushed beyond the first and as let go below the second. */
const PUSHED = 0.7;
const LET_GO = 0.35;
/** A step up or down that a walker takes without noticing, in metres. */
const STEP_UP = 0.45;
const STEP_DOWN = 0.8;
/** What a walker's body keeps from walls, and how high above the floor it is asked, in metres. */
const BODY = 0.25;
const CHEST = 0.9;
const STANDABLE = 0.7;

export interface Head {
  readonly position: Vector3;
  /** Unit, where the eyes look. */
  readonly ahead: Vector3;
}

export interface Moved {
  /** Whether the person was moved smoothly, which wants the vignette. */
  readonly smooth: boolean;
  readonly flight: Flight | null;
}

export class Locomotion {
  private turning = false;
  /** The pointer that aims, and whether by its stick. */
  private aiming: { source: XRInputSource; stick: boolean; flight: Flight | null } | null = null;

  constructor(
    private readonly rig: Rig,
    private readonly surface: () => Surface,
    private readonly settings: Settings,
  ) {}

  /** `free` are the pointers whose trigger or pinch is not taken by something else. */
  step(pointers: readonly Pointer[], free: readonly Pointer[], head: Head, seconds: number): Moved {
    const left = pointers.find((p) => p.handedness === "left");
    const right = pointers.find((p) => p.handedness === "right") ?? pointers.find((p) => p.handedness === "none");
    const smooth = left !== undefined && this.walk(left.stick, head, seconds);
    if (right !== undefined) this.turn(right.stick[0], head);
    return { smooth, flight: this.teleport(pointers, free, right, head) };
  }

  /** Forgets the arc, as when both hands take the scene. */
  cancel(): void {
    this.aiming = null;
  }

  private walk(stick: readonly [number, number], head: Head, seconds: number): boolean {
    const push = Math.hypot(...stick);
    if (push < DEAD) return false;
    const ahead = new Vector3(head.ahead.x, 0, head.ahead.z).normalize();
    const right = new Vector3(-ahead.z, 0, ahead.x);
    const step = ahead.multiplyScalar(-stick[1]).addScaledVector(right, stick[0]);
    step.multiplyScalar(this.settings.walkSpeed * Math.min(1, seconds));
    if (this.blocked(step, head)) return false;
    this.rig.walk(step);
    this.followFloor(head);
    return true;
  }

  private blocked(step: Vector3, head: Head): boolean {
    const chest = new Vector3(head.position.x, CHEST, head.position.z);
    const reach = chest.clone().add(step).addScaledVector(step.clone().normalize(), BODY);
    const hit = this.surface().between(this.rig.pointInWorld(chest), this.rig.pointInWorld(reach));
    return hit !== null && Math.abs(hit.normal.y) < STANDABLE;
  }

  /** Up and down steps and slopes, while the floor is about where the feet are. */
  private followFloor(head: Head): void {
    const at = (height: number): Vector3 => this.rig.pointInWorld(new Vector3(head.position.x, height, head.position.z));
    const hit = this.surface().between(at(STEP_UP), at(-STEP_DOWN));
    if (hit !== null && hit.normal.y > STANDABLE) this.rig.group.position.y += hit.point.y - at(0).y;
  }

  private turn(x: number, head: Head): void {
    if (Math.abs(x) < LET_GO) this.turning = false;
    if (this.turning || Math.abs(x) < PUSHED) return;
    this.turning = true;
    this.rig.turn(-Math.sign(x) * MathUtils.degToRad(this.settings.turnDegrees), head.position);
  }

  private teleport(
    pointers: readonly Pointer[], free: readonly Pointer[], right: Pointer | undefined, head: Head,
  ): Flight | null {
    if (this.aiming === null) {
      const began = free.find((p) => p.selectBegan && p.kind !== "screen");
      if (began !== undefined) this.aiming = { source: began.source, stick: false, flight: null };
      else if (right !== undefined && !this.turning && right.stick[1] < -PUSHED) {
        this.aiming = { source: right.source, stick: true, flight: null };
      }
    }
    const { aiming } = this;
    if (aiming === null) return null;
    const pointer = pointers.find((p) => p.source === aiming.source);
    // Vision Pro's pinches are pointers only while they last: such a one lands where it pointed last.
    if (pointer === undefined && aiming.source.targetRayMode !== "transient-pointer") {
      this.aiming = null;
      return null;
    }
    const flight = pointer ? throwArc(pointer.origin, pointer.direction, this.rig, this.surface()) : aiming.flight;
    const released = pointer === undefined || (aiming.stick ? pointer.stick[1] > -LET_GO : !pointer.selecting);
    aiming.flight = flight;
    if (!released) return flight;
    this.aiming = null;
    if (flight?.hit && flight.standable) this.rig.stand(flight.hit.point, head.position);
    return null;
  }
}
