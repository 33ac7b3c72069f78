// Camera paths: the document of render/paths.py and the curve through its keyframes, which is the same there.
//
// No parameter properties, and no imports but plain numbers: Node runs this file as it is, in a test against Python.

import { dot, matrixOf, rotate, times, transposed, type Vec3, type Vec4 } from "../edit/sim3";

/** Of `cam_from_world`, OpenCV axes. */
export interface Keyframe {
  readonly time_s: number;
  readonly quaternion_wxyz: Vec4;
  readonly translation: Vec3;
}

export interface PathDocument {
  readonly format: "diorama-camera-path";
  readonly version: 1;
  readonly fps: number;
  readonly camera: {
    readonly width_px: number;
    readonly height_px: number;
    readonly fx: number;
    readonly fy: number;
    readonly cx: number;
    readonly cy: number;
  };
  readonly keyframes: readonly Keyframe[];
}

export type Place = Omit<Keyframe, "time_s">;

export const centreOf = ({ quaternion_wxyz, translation }: Place): Vec3 =>
  times(rotate(transposed(matrixOf(quaternion_wxyz)), translation), -1);

/** The camera at a time between the first and the last keyframe; at least one is needed. */
export function placeAt(keys: readonly Keyframe[], time: number): Place {
  const first = keys[0]!;
  if (keys.length === 1) return first;
  const times_ = keys.map((key) => key.time_s);
  const at = Math.min(Math.max(time, first.time_s), times_.at(-1)!);
  const values = catmullRom(times_, rowsOf(keys), at);
  const quaternion_wxyz = values.slice(3) as unknown as Vec4;
  const centre = values.slice(0, 3) as unknown as Vec3;
  return { quaternion_wxyz, translation: times(rotate(matrixOf(quaternion_wxyz), centre), -1) };
}

/** Frames of a film: the first at the first keyframe's time. */
export function frameTimes(keys: readonly Keyframe[], fps: number): number[] {
  const [first, last] = [keys[0]!.time_s, keys.at(-1)!.time_s];
  const count = keys.length === 1 ? 1 : Math.floor((last - first) * fps + 1e-6) + 1;
  return Array.from({ length: count }, (_, i) => Math.min(first + i / fps, last));
}

/** Centre and quaternion of each keyframe, each quaternion on the same side as the one before. */
function rowsOf(keys: readonly Keyframe[]): number[][] {
  let before: readonly number[] | null = null;
  return keys.map((key) => {
    const size = Math.hypot(...key.quaternion_wxyz);
    let q = key.quaternion_wxyz.map((v) => v / size);
    if (before !== null && q.reduce((sum, v, i) => sum + v * before![i]!, 0) < 0) q = q.map((v) => -v);
    before = q;
    return [...centreOf(key), ...q];
  });
}

/** The cubic spline of render/paths.py: uneven steps, parabolic tangents. */
function catmullRom(at: readonly number[], rows: readonly number[][], time: number): number[] {
  const step = at.slice(1).map((t, i) => t - at[i]!);
  const slope = step.map((h, i) => rows[i]!.map((v, k) => (rows[i + 1]![k]! - v) / h));
  if (rows.length === 2) return rows[0]!.map((v, k) => v + (time - at[0]!) * slope[0]![k]!);
  const inner = slope.slice(1).map((next, i) =>
    next.map((v, k) => (slope[i]![k]! * step[i + 1]! + v * step[i]!) / (step[i + 1]! + step[i]!)),
  );
  const end = (edge: readonly number[], beside: readonly number[]): number[] => edge.map((v, k) => 2 * v - beside[k]!);
  const tangent = [end(slope[0]!, inner[0]!), ...inner, end(slope.at(-1)!, inner.at(-1)!)];
  let i = 0;
  while (i < step.length - 1 && at[i + 1]! <= time) i += 1;
  const h = step[i]!;
  const s = (time - at[i]!) / h;
  return rows[i]!.map(
    (v, k) =>
      (1 + 2 * s) * (1 - s) ** 2 * v +
      s * (1 - s) ** 2 * h * tangent[i]![k]! +
      s * s * (3 - 2 * s) * rows[i + 1]![k]! +
      s * s * (s - 1) * h * tangent[i + 1]![k]!,
  );
}

/** How far apart two places are, for a time that suits: the way, and the turn as if it were a way. */
export function wayBetween(a: Place, b: Place, distance: number): number {
  const [p, q] = [centreOf(a), centreOf(b)];
  const cosine = Math.abs(a.quaternion_wxyz.reduce((sum, v, i) => sum + v * b.quaternion_wxyz[i]!, 0));
  const turn = 2 * Math.acos(Math.min(1, cosine));
  const away: Vec3 = [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
  return Math.hypot(Math.sqrt(dot(away, away)), 0.5 * distance * turn);
}
