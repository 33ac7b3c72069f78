// The one place where Diorama's conventions meet three.js's.
//
// Diorama's world is +z up, its cameras look along +z with +y down. three.js (and WebXR) want +y up, cameras that look
// along -z with +y up. Everything in world coordinates hangs in a group turned by `THREE_FROM_WORLD`; single points and
// camera poses are converted by the functions below.

import { Matrix4, type PerspectiveCamera, Quaternion, Vector3 } from "three";
import type { SceneCamera, Vec3 } from "./manifest";

/** A quarter turn about x: world +z becomes three's +y. */
export const THREE_FROM_WORLD = new Quaternion().setFromAxisAngle(new Vector3(1, 0, 0), -Math.PI / 2);

export const pointInThree = (x: Vec3): Vector3 => new Vector3(x[0], x[2], -x[1]);

export const pointInWorld = (p: Vector3): Vec3 => [p.x, -p.z, p.y];

export interface Viewpoint {
  readonly position: Vector3;
  readonly quaternion: Quaternion;
}

/** Where a capture camera stands and looks, in three's frame and with three's camera axes. */
export function viewpointOf(camera: SceneCamera): Viewpoint {
  const [r0, r1, r2] = camera.camFromWorld;
  const centre: Vec3 = [0, 1, 2].map((i) => -(r0[i]! * r0[3] + r1[i]! * r1[3] + r2[i]! * r2[3])) as unknown as Vec3;
  // Columns: the camera's right, up and backward axes in the world.
  const right = pointInThree([r0[0], r0[1], r0[2]]);
  const up = pointInThree([-r1[0], -r1[1], -r1[2]]);
  const backward = pointInThree([-r2[0], -r2[1], -r2[2]]);
  const rotation = new Matrix4().makeBasis(right, up, backward);
  return { position: pointInThree(centre), quaternion: new Quaternion().setFromRotationMatrix(rotation).normalize() };
}

/** A viewpoint that looks from one point at another, with the horizon level unless another `up` is given. */
export function lookingAt(position: Vector3, target: Vector3, up = new Vector3(0, 1, 0)): Viewpoint {
  const rotation = new Matrix4().lookAt(position, target, up);
  return { position: position.clone(), quaternion: new Quaternion().setFromRotationMatrix(rotation) };
}

/** A pinhole in pixels of the canvas it is seen on. */
export interface Lens {
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
}

export interface Rect {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A calm standard lens: 66 degrees across the diagonal, whatever the canvas's shape. */
export function freeLens(width: number, height: number): Lens {
  const f = (0.5 * Math.hypot(width, height)) / Math.tan((33 * Math.PI) / 180);
  return { fx: f, fy: f, cx: width / 2, cy: height / 2 };
}

/** The largest rectangle of the photo's shape inside `frame`, centred. */
export function photoRect(camera: SceneCamera, frame: Rect): Rect {
  const scale = Math.min(frame.width / camera.width, frame.height / camera.height);
  const width = camera.width * scale;
  const height = camera.height * scale;
  return { left: frame.left + (frame.width - width) / 2, top: frame.top + (frame.height - height) / 2, width, height };
}

/** The camera's own lens, scaled so that its photo covers `rect` of the canvas exactly. */
export function lensInRect(camera: SceneCamera, rect: Rect): Lens {
  const sx = rect.width / camera.width;
  const sy = rect.height / camera.height;
  return { fx: camera.fx * sx, fy: camera.fy * sy, cx: rect.left + camera.cx * sx, cy: rect.top + camera.cy * sy };
}

export function mixLens(a: Lens, b: Lens, t: number): Lens {
  const mix = (x: number, y: number): number => x + (y - x) * t;
  return { fx: mix(a.fx, b.fx), fy: mix(a.fy, b.fy), cx: mix(a.cx, b.cx), cy: mix(a.cy, b.cy) };
}

/** Gives a three camera exactly this pinhole: principal point off the centre and pixel aspect included. */
export function applyLens(camera: PerspectiveCamera, lens: Lens, width: number, height: number): void {
  const { near, far } = camera;
  camera.projectionMatrix.makePerspective(
    (-lens.cx / lens.fx) * near,
    ((width - lens.cx) / lens.fx) * near,
    (lens.cy / lens.fy) * near,
    (-(height - lens.cy) / lens.fy) * near,
    near,
    far,
  );
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  // Kept for code that asks a camera for its field of view (levels of detail).
  camera.fov = (2 * Math.atan(height / (2 * lens.fy)) * 180) / Math.PI;
  camera.aspect = width / height;
}
