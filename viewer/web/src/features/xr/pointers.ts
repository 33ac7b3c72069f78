// What the person's hands do, read once a frame: controllers, tracked hands and touches on a phone's screen alike.

import { Quaternion, Vector3 } from "three";

/** Order of the xr-standard gamepad's buttons. */
const LOWER_BUTTON = 4;
const UPPER_BUTTON = 5;

export type Kind = "controller" | "hand" | "screen";

export interface Pointer {
  readonly source: XRInputSource;
  readonly kind: Kind;
  readonly handedness: XRHandedness;
  /** The pointing ray in the room; `direction` is unit. */
  readonly origin: Vector3;
  readonly direction: Vector3;
  /** What follows the hand when it holds something: a controller's tip, the pinch between finger tips. */
  readonly place: Vector3;
  readonly turned: Quaternion;
  /** Trigger, pinch or touch: held now, and begun or ended since the last frame. */
  selecting: boolean;
  selectBegan: boolean;
  selectEnded: boolean;
  squeezing: boolean;
  squeezeBegan: boolean;
  squeezeEnded: boolean;
  menuPressed: boolean;
  /** Thumbstick: right and down positive, as WebXR gives it. */
  stick: readonly [number, number];
  /** Joints of a tracked hand in the room, 25 triples; null without. */
  joints: Float32Array | null;
}

interface Held {
  select: boolean;
  squeeze: boolean;
  began: Set<string>;
  ended: Set<string>;
  menu: boolean;
}

const EVENTS = ["selectstart", "selectend", "squeezestart", "squeezeend"] as const;

export class Pointers {
  private readonly held = new Map<XRInputSource, Held>();
  private readonly listeners: (() => void)[] = [];
  /** Whose trigger, pinch or touch has ended since the last frame; touches and Vision Pro's pinches are gone by then. */
  ended: readonly XRInputSource[] = [];
  private ending: XRInputSource[] = [];

  constructor(private readonly session: XRSession) {
    for (const type of EVENTS) {
      const listener = (event: XRInputSourceEvent): void => this.note(event.inputSource, type);
      session.addEventListener(type, listener);
      this.listeners.push(() => session.removeEventListener(type, listener));
    }
  }

  dispose(): void {
    for (const remove of this.listeners) remove();
    this.held.clear();
  }

  /** Everything that points and is tracked in this frame. */
  read(frame: XRFrame, room: XRReferenceSpace): Pointer[] {
    const pointers: Pointer[] = [];
    this.ended = this.ending;
    this.ending = [];
    for (const source of this.session.inputSources) {
      const ray = frame.getPose(source.targetRaySpace, room);
      if (!ray) continue;
      pointers.push(this.pointer(frame, room, source, ray.transform));
    }
    return pointers;
  }

  private pointer(frame: XRFrame, room: XRReferenceSpace, source: XRInputSource, ray: XRRigidTransform): Pointer {
    const held = this.holding(source);
    const turned = quaternion(ray.orientation);
    const kind: Kind = source.hand ? "hand" : source.targetRayMode === "screen" ? "screen" : "controller";
    const origin = vector(ray.position);
    const direction = new Vector3(0, 0, -1).applyQuaternion(turned);
    const joints = source.hand ? jointsOf(frame, room, source.hand) : null;
    const menu = isDown(source, LOWER_BUTTON, UPPER_BUTTON);
    const pointer: Pointer = {
      source,
      kind,
      handedness: source.handedness,
      origin,
      direction,
      place: pinchPlace(joints) ?? origin.clone(),
      turned,
      selecting: held.select,
      selectBegan: held.began.has("select"),
      selectEnded: held.ended.has("select"),
      squeezing: held.squeeze,
      squeezeBegan: held.began.has("squeeze"),
      squeezeEnded: held.ended.has("squeeze"),
      menuPressed: menu && !held.menu,
      stick: stickOf(source),
      joints,
    };
    held.began.clear();
    held.ended.clear();
    held.menu = menu;
    return pointer;
  }

  private holding(source: XRInputSource): Held {
    let held = this.held.get(source);
    if (held === undefined) {
      held = { select: false, squeeze: false, began: new Set(), ended: new Set(), menu: false };
      this.held.set(source, held);
    }
    return held;
  }

  private note(source: XRInputSource, type: (typeof EVENTS)[number]): void {
    const held = this.holding(source);
    const what = type.startsWith("select") ? "select" : "squeeze";
    const begins = type.endsWith("start");
    held[what] = begins;
    (begins ? held.began : held.ended).add(what);
    if (type === "selectend") this.ending.push(source);
  }
}

const vector = (p: DOMPointReadOnly): Vector3 => new Vector3(p.x, p.y, p.z);
const quaternion = (q: DOMPointReadOnly): Quaternion => new Quaternion(q.x, q.y, q.z, q.w);

function isDown(source: XRInputSource, ...buttons: number[]): boolean {
  return source.gamepad?.mapping === "xr-standard" && buttons.some((i) => source.gamepad?.buttons[i]?.pressed === true);
}

/** The thumbstick's axes, else the touchpad's. */
function stickOf(source: XRInputSource): readonly [number, number] {
  const axes = source.hand ? undefined : source.gamepad?.axes;
  if (axes === undefined) return [0, 0];
  return axes.length >= 4 ? [axes[2]!, axes[3]!] : [axes[0] ?? 0, axes[1] ?? 0];
}

function jointsOf(frame: XRFrame, room: XRReferenceSpace, hand: XRHand): Float32Array | null {
  const joints = new Float32Array(hand.size * 3);
  let index = 0;
  for (const space of hand.values()) {
    const pose = frame.getJointPose?.(space, room);
    if (!pose) return null;
    const { x, y, z } = pose.transform.position;
    joints.set([x, y, z], index);
    index += 3;
  }
  return joints;
}

/** Order of WebXR's joints: the thumb's tip is the fifth, the index finger's the tenth. */
const THUMB_TIP = 4;
const INDEX_TIP = 9;

function pinchPlace(joints: Float32Array | null): Vector3 | null {
  if (joints === null) return null;
  const tip = (joint: number): Vector3 => new Vector3().fromArray(joints, joint * 3);
  return tip(THUMB_TIP).lerp(tip(INDEX_TIP), 0.5);
}
