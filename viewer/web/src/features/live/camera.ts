// The page's camera as the trainer takes it.

import { Matrix4, type PerspectiveCamera, Vector3 } from "three";
import type { TrainerCamera } from "./messages";

/** A direction or point of three's frame in the world's (the inverse of `pointInThree`). */
export const inWorld = (v: Vector3): [number, number, number] => [v.x, -v.z, v.y];

/** Exactly what `camera` shows on a canvas of this shape, as a picture `width` pixels wide. */
export function trainerCamera(camera: PerspectiveCamera, canvasWidth: number, canvasHeight: number, width: number): TrainerCamera {
  const height = Math.max(1, Math.round((width * canvasHeight) / canvasWidth));
  const projection = camera.projectionMatrix.elements;
  const rotation = new Matrix4().makeRotationFromQuaternion(camera.quaternion);
  const [right, up, backward] = [new Vector3(), new Vector3(), new Vector3()];
  rotation.extractBasis(right, up, backward);
  // OpenCV's axes: right, down, forward.
  const axes = [right, up.negate(), backward.negate()];
  return {
    width_px: width,
    height_px: height,
    fx: (projection[0]! * width) / 2,
    fy: (projection[5]! * height) / 2,
    cx: (width * (1 - projection[8]!)) / 2,
    cy: (height * (1 + projection[9]!)) / 2,
    cam_from_world: axes.map((axis) => [...inWorld(axis), -axis.dot(camera.position)]),
  };
}
