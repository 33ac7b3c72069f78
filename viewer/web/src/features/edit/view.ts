// Between the canvas and the world: points and rays in world coordinates (+z up), and the view as a pinhole.

import { Matrix4, Quaternion, Raycaster, Vector2, Vector3 } from "three";
import { pointInThree } from "../../coordinates";
import type { Stage } from "../../stage";
import { dot, type Vec2, type Vec3, type Vec4 } from "./sim3";

export const inWorld = (p: Vector3): Vec3 => [p.x, -p.z, p.y];
export const inThree = (p: Vec3): Vector3 => pointInThree(p);

/** A place in CSS pixels of the canvas; null behind the viewer. */
export function pixelOf(stage: Stage, point: Vec3): Vec2 | null {
  const p = inThree(point);
  if (p.clone().applyMatrix4(stage.camera.matrixWorldInverse).z >= 0) return null;
  p.project(stage.camera);
  return [((p.x + 1) / 2) * stage.width, ((1 - p.y) / 2) * stage.height];
}

export interface Ray {
  readonly origin: Vec3;
  readonly direction: Vec3;
}

export function rayAt(stage: Stage, x: number, y: number): Ray {
  stage.camera.updateMatrixWorld(true);
  const raycaster = new Raycaster();
  raycaster.setFromCamera(new Vector2((x / stage.width) * 2 - 1, 1 - (y / stage.height) * 2), stage.camera);
  return { origin: inWorld(raycaster.ray.origin), direction: inWorld(raycaster.ray.direction) };
}

/** How far along an axis through `point` the ray comes nearest to it. */
export function alongAxis(ray: Ray, point: Vec3, axis: Vec3): number {
  const away: Vec3 = [ray.origin[0] - point[0], ray.origin[1] - point[1], ray.origin[2] - point[2]];
  const cosine = dot(ray.direction, axis);
  const sine2 = 1 - cosine * cosine;
  if (sine2 < 1e-6) return 0;
  return (dot(away, axis) - cosine * dot(away, ray.direction)) / sine2;
}

/** Where the ray meets the plane through `point` that faces the viewer. */
export function onFacingPlane(stage: Stage, ray: Ray, point: Vec3): Vec3 {
  const forward = inWorld(new Vector3(0, 0, -1).applyQuaternion(stage.camera.quaternion));
  const away: Vec3 = [point[0] - ray.origin[0], point[1] - ray.origin[1], point[2] - ray.origin[2]];
  const reach = dot(away, forward) / Math.max(dot(ray.direction, forward), 1e-6);
  return [0, 1, 2].map((i) => ray.origin[i]! + reach * ray.direction[i]!) as unknown as Vec3;
}

export const eyeOf = (stage: Stage): Vec3 => inWorld(stage.camera.position);

export const depthOf = (stage: Stage, point: Vec3): number => {
  stage.camera.updateMatrixWorld(true);
  return -inThree(point).applyMatrix4(stage.camera.matrixWorldInverse).z;
};

/** The view as a pinhole with OpenCV axes in world coordinates, in CSS pixels. */
export interface Pinhole {
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly rotation_wxyz: Vec4;
  readonly translation: Vec3;
}

export function pinholeOf(stage: Stage): Pinhole {
  const p = stage.camera.projectionMatrix.elements;
  const { width, height } = stage;
  const axis = (x: number, y: number, z: number): Vec3 =>
    inWorld(new Vector3(x, y, z).applyQuaternion(stage.camera.quaternion));
  const rows = [axis(1, 0, 0), axis(0, -1, 0), axis(0, 0, -1)] as const;
  const eye = eyeOf(stage);
  const [r, d, f] = rows;
  const q = new Quaternion().setFromRotationMatrix(
    new Matrix4().set(r[0], r[1], r[2], 0, d[0], d[1], d[2], 0, f[0], f[1], f[2], 0, 0, 0, 0, 1),
  );
  return {
    fx: (width / 2) * p[0]!,
    fy: (height / 2) * p[5]!,
    cx: (width / 2) * (1 - p[8]!),
    cy: (height / 2) * (1 + p[9]!),
    rotation_wxyz: [q.w, q.x, q.y, q.z],
    translation: rows.map((row) => -dot(row, eye)) as unknown as Vec3,
  };
}
