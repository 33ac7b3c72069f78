// Moving through the scene: orbit about a pivot, fly, walk, and smooth flights to a viewpoint.
//
// Both modes share one state: a viewpoint and a pivot straight ahead of it. Turning keeps the camera's roll, which then
// fades away while the person moves, so that leaving a tilted photo never jumps.

import { MathUtils, Quaternion, Vector3 } from "three";
import { freeLens, type Lens, lookingAt, mixLens, type Viewpoint } from "./coordinates";
import type { Stage } from "./stage";

export type Mode = "orbit" | "fly" | "walk";

/** What carries the eye when walking: see features/walk. */
export interface Carrier {
  /** Moves the eye: `wanted` is level, 1 long for a usual pace. Returns whether anything moved. */
  step(eye: Vector3, wanted: Vector3, seconds: number): boolean;
  readonly unitsPerMetre: number;
}
export type LensAt = (width: number, height: number) => Lens;

const UP = new Vector3(0, 1, 0);
const MAX_PITCH = MathUtils.degToRad(89);
const FLIGHT_SECONDS = 1.1;
const LENS_SECONDS = 0.5;
/** How fast a thrown view comes to rest: the time constant in seconds. */
const REST_SECONDS = 0.09;

/** Walking by fingers and wheel, in seconds at the usual pace, and how many times that pace is the fastest. */
const PACES_PER_PIXEL = 0.02;
const PACES_PER_ZOOM = 3;
const MAX_PUSH = 4;

interface Flight {
  readonly from: Viewpoint;
  readonly to: Viewpoint;
  readonly pivotFrom: number;
  readonly pivotTo: number;
  readonly done: () => void;
  seconds: number;
}

const ease = (t: number): number => (t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2);

export class Navigation {
  private way: Mode = "orbit";
  /** Fired after the way of moving has changed. */
  onMode: (mode: Mode) => void = () => {};
  /** Carries the eye while walking. */
  walker: Carrier | null = null;
  /** Fired when the person, not a flight, begins to move the view. */
  onLeave: () => void = () => {};
  /** True while a pointer holds the view: it does not run on by itself then. */
  held = false;
  private pivotDistance = 1;
  private flight: Flight | null = null;
  private lensFrom: LensAt = freeLens;
  private lensTo: LensAt = freeLens;
  private lensMix = 1;
  private readonly spin = { yaw: 0, pitch: 0 };
  private readonly drive = new Vector3();
  /** Seconds at the usual pace still to walk, right and backward, by wheel and fingers. */
  private readonly push = new Vector3();
  /** World units a second by keys. */
  private readonly speed: number;

  constructor(
    private readonly stage: Stage,
    /** Half the scene's diagonal, in world units. */
    private readonly radius: number,
    private readonly reducedMotion: () => boolean,
  ) {
    this.speed = radius * 0.35;
    stage.onStep((seconds) => this.step(seconds));
  }

  get mode(): Mode {
    return this.way;
  }

  set mode(mode: Mode) {
    this.way = mode;
    this.walker = null;
    this.push.set(0, 0, 0);
    this.onMode(mode);
  }

  get pivot(): Vector3 {
    return this.forward().multiplyScalar(this.pivotDistance).add(this.stage.camera.position);
  }

  place(view: Viewpoint, pivotDistance: number): void {
    this.stage.camera.position.copy(view.position);
    this.stage.camera.quaternion.copy(view.quaternion);
    this.pivotDistance = Math.max(pivotDistance, this.nearest);
    this.stage.invalidate();
  }

  /** Flies to a viewpoint, changing the lens on the way. Resolves on arrival, or never when the person takes over. */
  flyTo(to: Viewpoint, pivotDistance: number, lens: LensAt): Promise<void> {
    const camera = this.stage.camera;
    this.rest();
    this.changeLens(lens);
    return new Promise((resolve) => {
      const from = { position: camera.position.clone(), quaternion: camera.quaternion.clone() };
      this.flight = { from, to, pivotFrom: this.pivotDistance, pivotTo: pivotDistance, done: resolve, seconds: 0 };
      if (this.reducedMotion()) this.flight.seconds = FLIGHT_SECONDS;
      this.stage.invalidate();
    });
  }

  /** Turns so that `point` is straight ahead and becomes the pivot, half as far away. */
  focus(point: Vector3): void {
    const position = point.clone().lerp(this.stage.camera.position, 0.6);
    if (this.mode === "walk") this.mode = "orbit";
    this.onLeave();
    void this.flyTo(lookingAt(position, point), position.distanceTo(point), freeLens);
  }

  changeLens(lens: LensAt): void {
    if (lens === this.lensTo) return;
    this.lensFrom = this.currentLens;
    this.lensTo = lens;
    this.lensMix = this.reducedMotion() ? 1 : 0;
    this.refreshLens();
  }

  /** The canvas changed its size or the photo its place: take the lens again. */
  refreshLens(): void {
    this.stage.setLens(this.lensAt(this.stage.width, this.stage.height));
  }

  // --- What the person does ---------------------------------------------------------------------------------------

  /** A drag in pixels: around the pivot in orbit, looking about in fly. */
  turn(dx: number, dy: number): void {
    this.take();
    const perPixel = this.mode === "orbit" ? 1 / 190 : 1 / 320;
    this.rotate(-dx * perPixel, -dy * perPixel);
    if (!this.reducedMotion()) {
      this.spin.yaw = MathUtils.lerp(this.spin.yaw, -dx * perPixel * 60, 0.35);
      this.spin.pitch = MathUtils.lerp(this.spin.pitch, -dy * perPixel * 60, 0.35);
    }
  }

  /** A drag in pixels that moves the view along the screen; what lies at the pivot's depth stays under the pointer. */
  pan(dx: number, dy: number): void {
    this.take();
    const lens = this.lensAt(this.stage.width, this.stage.height);
    if (this.mode === "walk") {
      this.push.add(new Vector3(-dx, 0, -dy).multiplyScalar(PACES_PER_PIXEL));
      return;
    }
    const shift = new Vector3((-dx / lens.fx) * this.pivotDistance, (dy / lens.fy) * this.pivotDistance, 0);
    this.stage.camera.position.add(shift.applyQuaternion(this.stage.camera.quaternion));
  }

  /** Nearer for factors below one: to the pivot in orbit, straight ahead in fly. */
  dolly(factor: number): void {
    this.take();
    if (this.mode === "walk") {
      this.push.z += Math.log(factor) * PACES_PER_ZOOM;
      return;
    }
    if (this.mode === "fly") {
      const step = Math.max(this.pivotDistance, this.radius * 0.1) * (1 - factor);
      this.stage.camera.position.addScaledVector(this.forward(), step);
      return;
    }
    const next = MathUtils.clamp(this.pivotDistance * factor, this.nearest, this.radius * 20);
    this.stage.camera.position.addScaledVector(this.forward(), this.pivotDistance - next);
    this.pivotDistance = next;
  }

  /** Sets the direction of walking by keys: right, up and backward in -1, 0, 1; `fast` triples the pace. */
  steer(right: number, up: number, backward: number, fast: boolean): void {
    const moving = right !== 0 || up !== 0 || backward !== 0;
    if (moving) this.take();
    this.drive.set(right, up, backward).multiplyScalar(fast ? 3 : 1);
    this.stage.invalidate();
  }

  /** The drag begins: stop what still turns. */
  rest(): void {
    this.spin.yaw = 0;
    this.spin.pitch = 0;
  }

  // --- Inside -----------------------------------------------------------------------------------------------------

  private get nearest(): number {
    return this.radius * 0.01;
  }

  private get currentLens(): LensAt {
    const { lensFrom, lensTo, lensMix } = this;
    if (lensMix >= 1) return lensTo;
    return (w, h) => mixLens(lensFrom(w, h), lensTo(w, h), ease(lensMix));
  }

  private lensAt(width: number, height: number): Lens {
    return this.currentLens(width, height);
  }

  private forward(): Vector3 {
    return new Vector3(0, 0, -1).applyQuaternion(this.stage.camera.quaternion);
  }

  /** The person takes the view over from a flight or a photo. */
  private take(): void {
    this.flight = null;
    this.onLeave();
    this.changeLens(freeLens);
    this.stage.invalidate();
  }

  private rotate(yaw: number, pitch: number): void {
    const camera = this.stage.camera;
    const pivot = this.pivot;
    const now = Math.asin(MathUtils.clamp(this.forward().y, -1, 1));
    const limit = Math.max(MAX_PITCH, Math.abs(now));
    const limited = MathUtils.clamp(now + pitch, -limit, limit) - now;
    const turn = new Quaternion().setFromAxisAngle(UP, yaw);
    const right = this.forward().cross(UP);
    if (right.lengthSq() > 1e-8) turn.multiply(new Quaternion().setFromAxisAngle(right.normalize(), limited));
    camera.quaternion.premultiply(turn).normalize();
    this.unroll(Math.min(1, (Math.abs(yaw) + Math.abs(limited)) * 2));
    if (this.mode === "orbit") camera.position.copy(pivot).addScaledVector(this.forward(), -this.pivotDistance);
    this.stage.invalidate();
  }

  /** Takes a share of the roll away, keeping the direction of sight. */
  private unroll(share: number): void {
    const camera = this.stage.camera;
    if (Math.abs(this.forward().y) > 0.999) return;
    const level = lookingAt(camera.position, this.pivot).quaternion;
    camera.quaternion.slerp(level, share);
  }

  private step(seconds: number): boolean {
    const moving = [this.stepFlight(seconds), this.stepLens(seconds), this.stepSpin(seconds), this.stepDrive(seconds)];
    return moving.some(Boolean);
  }

  private stepFlight(seconds: number): boolean {
    const flight = this.flight;
    if (flight === null) return false;
    flight.seconds += seconds;
    const t = ease(Math.min(1, flight.seconds / FLIGHT_SECONDS));
    const camera = this.stage.camera;
    camera.position.lerpVectors(flight.from.position, flight.to.position, t);
    camera.quaternion.slerpQuaternions(flight.from.quaternion, flight.to.quaternion, t);
    this.pivotDistance = MathUtils.lerp(flight.pivotFrom, flight.pivotTo, t);
    if (flight.seconds >= FLIGHT_SECONDS) {
      this.place(flight.to, flight.pivotTo);
      this.flight = null;
      flight.done();
    }
    return true;
  }

  private stepLens(seconds: number): boolean {
    if (this.lensMix >= 1) return false;
    const duration = this.flight === null ? LENS_SECONDS : FLIGHT_SECONDS;
    this.lensMix = Math.min(1, this.lensMix + seconds / duration);
    this.refreshLens();
    return true;
  }

  private stepSpin(seconds: number): boolean {
    if (this.flight !== null || Math.hypot(this.spin.yaw, this.spin.pitch) < 0.002) return false;
    if (!this.held) this.rotate(this.spin.yaw * seconds, this.spin.pitch * seconds);
    const fade = Math.exp(-seconds / REST_SECONDS);
    this.spin.yaw *= fade;
    this.spin.pitch *= fade;
    return true;
  }

  private stepDrive(seconds: number): boolean {
    if (this.walker !== null) return this.flight === null && this.stepWalk(this.walker, seconds);
    if (this.drive.lengthSq() === 0) return false;
    const step = this.drive.clone().multiplyScalar(this.speed * seconds);
    const climb = step.y;
    step.y = 0;
    step.applyQuaternion(this.stage.camera.quaternion);
    step.y += climb;
    this.stage.camera.position.add(step);
    return true;
  }

  private stepWalk(walker: Carrier, seconds: number): boolean {
    const wanted = new Vector3(this.drive.x, 0, this.drive.z);
    const pushed = this.push.length();
    if (pushed > 1e-3 && seconds > 0) {
      const share = Math.min(1, (MAX_PUSH * seconds) / pushed);
      wanted.addScaledVector(this.push, share / seconds);
      this.push.multiplyScalar(1 - share);
    }
    const ahead = this.forward();
    const yaw = Math.atan2(-ahead.x, -ahead.z);
    return walker.step(this.stage.camera.position, wanted.applyAxisAngle(UP, yaw), seconds);
  }
}
