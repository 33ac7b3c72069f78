// A view in an address: `#view=x,y,z;x,y,z;x,y,z`, position, target and up in the world, in its unit.

import type { SavedView, Vec3 } from "../../manifest";

const DIGITS = 5;
/** What rounding leaves of a zero. */
const NOTHING = 1e-9;

export function viewHash(view: SavedView): string {
  const point = (p: Vec3): string => p.map((x) => (Math.abs(x) < NOTHING ? 0 : Number(x.toPrecision(DIGITS)))).join(",");
  return `#view=${point(view.position)};${point(view.target)};${point(view.up)}`;
}

/** The view of an address, or null where it has none that makes sense. */
export function viewOfHash(hash: string): SavedView | null {
  const found = /^#view=([-+.,;\de]{5,200})$/i.exec(hash);
  if (found === null) return null;
  const points = found[1]!.split(";").map((part) => part.split(",").map(Number));
  if (points.length !== 3 || points.some((p) => p.length !== 3 || !p.every(Number.isFinite))) return null;
  const [position, target, up] = points as unknown as [Vec3, Vec3, Vec3];
  const same = position.every((x, i) => x === target[i]);
  return same || up.every((x) => x === 0) ? null : { name: "", position, target, up };
}
