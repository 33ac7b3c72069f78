// Similarities, x' = scale * rotation * x + translation, in plain numbers: the twin of capture/transforms.py's Sim3.

export type Vec2 = readonly [number, number];
export type Vec3 = readonly [number, number, number];
/** wxyz */
export type Vec4 = readonly [number, number, number, number];
/** Rows one after the other. */
export type Matrix3 = readonly [number, number, number, number, number, number, number, number, number];

export interface Sim3 {
  readonly scale: number;
  readonly rotation: Matrix3;
  readonly translation: Vec3;
}

export const IDENTITY3: Matrix3 = [1, 0, 0, 0, 1, 0, 0, 0, 1];
export const IDENTITY: Sim3 = { scale: 1, rotation: IDENTITY3, translation: [0, 0, 0] };

export const subtract = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vec3): number => Math.sqrt(dot(a, a));
export const times = (a: Vec3, s: number): Vec3 => [a[0] * s, a[1] * s, a[2] * s];
export const plus = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const cross = (a: Vec3, b: Vec3): Vec3 => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

export function rotate(m: Matrix3, x: Vec3): Vec3 {
  return [
    m[0] * x[0] + m[1] * x[1] + m[2] * x[2],
    m[3] * x[0] + m[4] * x[1] + m[5] * x[2],
    m[6] * x[0] + m[7] * x[1] + m[8] * x[2],
  ];
}

export const transposed = (m: Matrix3): Matrix3 => [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];

function product(a: Matrix3, b: Matrix3): Matrix3 {
  const at = (i: number, j: number): number => a[3 * i]! * b[j]! + a[3 * i + 1]! * b[3 + j]! + a[3 * i + 2]! * b[6 + j]!;
  return [at(0, 0), at(0, 1), at(0, 2), at(1, 0), at(1, 1), at(1, 2), at(2, 0), at(2, 1), at(2, 2)];
}

export const apply = (t: Sim3, x: Vec3): Vec3 => plus(times(rotate(t.rotation, x), t.scale), t.translation);

/** `a` after `b`. */
export const after = (a: Sim3, b: Sim3): Sim3 => ({
  scale: a.scale * b.scale,
  rotation: product(a.rotation, b.rotation),
  translation: apply(a, b.translation),
});

export function inverse(t: Sim3): Sim3 {
  const rotation = transposed(t.rotation);
  return { scale: 1 / t.scale, rotation, translation: times(rotate(rotation, t.translation), -1 / t.scale) };
}

/** The matrix of a quaternion, which need not be unit. */
export function matrixOf(q: Vec4): Matrix3 {
  const norm = Math.hypot(...q);
  const [w, x, y, z] = q.map((v) => v / norm) as unknown as [number, number, number, number];
  return [
    1 - 2 * (y * y + z * z),
    2 * (x * y - w * z),
    2 * (x * z + w * y),
    2 * (x * y + w * z),
    1 - 2 * (x * x + z * z),
    2 * (y * z - w * x),
    2 * (x * z - w * y),
    2 * (y * z + w * x),
    1 - 2 * (x * x + y * y),
  ];
}

/** The smallest rotation that takes a unit direction to +z; half a turn about x from straight down. */
export function turnToZ([x, y, z]: Vec3): Matrix3 {
  if (z < -1 + 1e-12) return [1, 0, 0, 0, -1, 0, 0, 0, -1];
  const f = 1 / (1 + z);
  return [1 - f * x * x, -f * x * y, -x, -f * x * y, 1 - f * y * y, -y, x, y, z];
}
