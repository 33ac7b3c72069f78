// The teleport's flight: a thrown ball's parabola in the room, and where it first meets the scene.

import { Vector3 } from "three";
import type { Rig } from "./rig";
import type { Surface, SurfaceHit } from "../../surface";

/** Metres a second at the hand: 5 m far on level ground at best, a few steps when held naturally. */
export const THROW_SPEED = 7;
export const GRAVITY = 9.81;
/** A chord is at most a millimetre off the parabola. */
const STEP_SECONDS = 1 / 30;
const MAX_SECONDS = 2.4;
/** What is steeper than this, 45 degrees, is a wall: nobody stands on it. */
const STEEPEST = Math.cos(Math.PI / 4);

export interface Flight {
  /** Points along the way, in the room. */
  readonly points: readonly Vector3[];
  /** Where it ends, in the world; null when it meets nothing. */
  readonly hit: SurfaceHit | null;
  /** Whether one can stand there. */
  readonly standable: boolean;
}

/** `origin` and `direction` (unit) in the room; the surface is asked in the world. */
export function throwArc(origin: Vector3, direction: Vector3, rig: Rig, surface: Surface): Flight {
  const at = (t: number): Vector3 =>
    origin.clone().addScaledVector(direction, THROW_SPEED * t).add(new Vector3(0, -0.5 * GRAVITY * t * t, 0));
  const points = [origin.clone()];
  for (let t = STEP_SECONDS; t <= MAX_SECONDS; t += STEP_SECONDS) {
    const next = at(t);
    const hit = surface.between(rig.pointInWorld(points[points.length - 1]!), rig.pointInWorld(next));
    if (hit !== null) {
      points.push(rig.pointInRoom(hit.point));
      return { points, hit, standable: hit.normal.y > STEEPEST };
    }
    points.push(next);
  }
  return { points, hit: null, standable: false };
}
