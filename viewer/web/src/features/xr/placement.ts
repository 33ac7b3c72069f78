// Where the person and the scene meet: the first step into VR, the table and the floor in AR, and the scene's size.

import { Euler, MathUtils, Quaternion, Vector3 } from "three";
import type { Page } from "../../page";
import type { Head } from "./locomotion";
import type { Rig } from "./rig";
import type { Surface } from "../../surface";

/** The longest level side of a scene on a table. */
export const TABLE_METRES = 0.6;
const TABLE_HEIGHT = 0.75;
const ARM = 0.9;
/** In AR at true size the scene begins this far in front of the person. */
const AHEAD = 0.6;

const yawOf = (quaternion: Quaternion): number => new Euler().setFromQuaternion(quaternion, "YXZ").y;

const yawOfDirection = (d: Vector3): number => Math.atan2(-d.x, -d.z);

/** VR begins where the page's camera is, feet on the floor below it, looking the same way. */
export function standWhereThePageLooked(rig: Rig, page: Page, from: { position: Vector3; quaternion: Quaternion }, head: Head, surface: Surface): void {
  const units = rig.unitsPerMetre;
  const place = from.position.clone();
  const out = place.clone().sub(page.centre).setY(0);
  const farthest = page.radius * 1.5 + 1.5 * units;
  if (out.length() > farthest) place.copy(page.centre).add(out.setLength(farthest));
  const high = Math.max(place.y, surface.ground + 2 * units);
  const down = (top: number): Vector3 | null =>
    surface.between(new Vector3(place.x, top, place.z), new Vector3(place.x, surface.ground - 10 * units, place.z))?.point ?? null;
  // Below the camera first: from above, a roof would be the floor.
  const feet = down(place.y > surface.ground ? place.y : high) ?? new Vector3(place.x, surface.ground, place.z);
  rig.place(feet, new Vector3(head.position.x, 0, head.position.z), units, yawOf(from.quaternion) - yawOfDirection(head.ahead));
}

export type ArSize = "table" | "true";

/** The middle of the scene's foot. */
const foot = (page: Page, ground: number): Vector3 => new Vector3(page.centre.x, ground, page.centre.z);

function sizeInAr(page: Page, size: ArSize, trueUnits: number): number {
  if (size === "true") return trueUnits;
  const side = page.bounds.getSize(new Vector3());
  return Math.max(side.x, side.z, 1e-6) / TABLE_METRES;
}

/** Puts the scene's foot at a point of the room, its usual front towards the person. */
export function placeInRoom(rig: Rig, page: Page, size: ArSize, trueUnits: number, ground: number, at: Vector3, head: Head): void {
  const units = sizeInAr(page, size, trueUnits);
  rig.setUsual(units);
  const home = new Vector3(...page.scene.home.target).sub(new Vector3(...page.scene.home.position));
  const front = new Vector3(home.x, 0, -home.y); // World to three: z is up.
  const towards = at.clone().sub(head.position).setY(0);
  if (towards.lengthSq() < 1e-6) towards.set(0, 0, -1);
  const yaw = front.lengthSq() < 1e-9 ? 0 : yawOfDirection(front) - yawOfDirection(towards);
  rig.place(foot(page, ground), at, units, yaw);
}

/** Where AR begins before anything is placed: a table's height at arm's length, or the floor ahead. */
export function usualPlace(page: Page, size: ArSize, trueUnits: number, head: Head): Vector3 {
  const ahead = new Vector3(head.ahead.x, 0, head.ahead.z);
  if (ahead.lengthSq() < 1e-6) ahead.set(0, 0, -1);
  const half = size === "table" ? 0 : page.radius / trueUnits + AHEAD;
  const distance = size === "table" ? ARM : MathUtils.clamp(half, 1, 4);
  const at = head.position.clone().addScaledVector(ahead.normalize(), distance);
  return at.setY(size === "table" ? Math.min(TABLE_HEIGHT, head.position.y) : 0);
}
