// Edits as objects, in the JSON that render/operations.py reads, and what the ones that move the world do.

import type { Step } from "./selection";
import { cross, dot, length, plus, rotate, type Sim3, subtract, times, turnToZ, type Vec3, IDENTITY3 } from "./sim3";

export const FORMAT = "diorama-edits";
const MIN_ANGLE = (1 * Math.PI) / 180;
const MAX_SCALE = 1e6;

export interface Cut {
  readonly op: "delete" | "keep";
  readonly select: readonly Step[];
}

export interface Floor {
  readonly op: "floor";
  readonly points: readonly [Vec3, Vec3, Vec3];
  readonly above: Vec3;
}

export interface Up {
  readonly op: "up";
  readonly start: Vec3;
  readonly end: Vec3;
}

export interface Scale {
  readonly op: "scale";
  readonly a: Vec3;
  readonly b: Vec3;
  readonly metres: number;
}

export type Placing = Floor | Up | Scale;
export type Operation = Cut | Placing;

export const isCut = (operation: Operation): operation is Cut => operation.op === "delete" || operation.op === "keep";

/** Where an operation moves the world; null, with words for the person, where it says nothing. */
export function placeOf(operation: Placing): Sim3 | string {
  if (operation.op === "floor") return floorPlace(operation);
  if (operation.op === "up") {
    const way = subtract(operation.end, operation.start);
    const size = length(way);
    if (!(size > 1e-9)) return "The two points that say which way is up coincide; pick two apart.";
    const rotation = turnToZ(times(way, 1 / size));
    return { scale: 1, rotation, translation: subtract(operation.start, rotate(rotation, operation.start)) };
  }
  const scale = operation.metres / length(subtract(operation.a, operation.b));
  if (!(scale >= 1 / MAX_SCALE && scale <= MAX_SCALE)) return "These two points and this distance give no usable scale.";
  return { scale, rotation: IDENTITY3, translation: [0, 0, 0] };
}

function floorPlace({ points: [a, b, c], above }: Floor): Sim3 | string {
  const middle = times(plus(plus(a, b), c), 1 / 3);
  let normal = cross(subtract(b, a), subtract(c, a));
  const sides = [subtract(b, a), subtract(c, b), subtract(a, c)];
  const longest = Math.max(...sides.map((side) => dot(side, side)));
  const size = length(normal);
  if (!(size > Math.sin(MIN_ANGLE) * longest)) return "The three points lie on one line; pick them farther apart.";
  normal = times(normal, (dot(normal, subtract(above, middle)) < 0 ? -1 : 1) / size);
  const rotation = turnToZ(normal);
  const foot: Vec3 = [middle[0], middle[1], 0];
  return { scale: 1, rotation, translation: subtract(foot, rotate(rotation, middle)) };
}

/** The file that `diorama edit --edits` and `diorama convert --edits` take. */
export const toDocument = (operations: readonly Operation[]): object => ({ format: FORMAT, version: 1, operations });
