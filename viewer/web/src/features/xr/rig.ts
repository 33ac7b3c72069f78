// Where the person's room stands in the scene: one similarity, changed by walking, turning, teleporting and grabbing.
//
// The room is WebXR's `local-floor` space: metres, +y up, the real floor at y = 0. The rig places it in three's world, so
// that the scene itself never moves: leaving XR has nothing to put back, and splats are not worked out anew.

import { Group, MathUtils, Matrix4, Quaternion, Vector3 } from "three";

const UP = new Vector3(0, 1, 0);
/** How small and how large the scene may be made against its usual size. */
const SMALLEST = 1 / 400;
const LARGEST = 60;

/** How a grab moves the scene about the room: turned about the vertical, scaled, shifted. */
export interface RoomMove {
  readonly from: Vector3;
  readonly to: Vector3;
  readonly yaw: number;
  readonly scale: number;
}

export class Rig {
  /** `world_from_room`: the camera and everything that stands in the room hang in it. */
  readonly group = new Group();
  /** World units a metre at the scene's usual size. */
  private usual = 1;

  constructor() {
    this.group.name = "xr room";
  }

  /** World units that one metre of the room spans now. */
  get unitsPerMetre(): number {
    return this.group.scale.x;
  }

  /** How much larger the scene is than at its usual size. */
  get magnification(): number {
    return this.usual / this.unitsPerMetre;
  }

  /** Sets the usual size and takes it. */
  setUsual(unitsPerMetre: number): void {
    this.usual = unitsPerMetre;
    this.setUnits(unitsPerMetre);
  }

  pointInWorld(room: Vector3): Vector3 {
    this.group.updateMatrix();
    return room.clone().applyMatrix4(this.group.matrix);
  }

  pointInRoom(world: Vector3): Vector3 {
    this.group.updateMatrix();
    return world.clone().applyMatrix4(new Matrix4().copy(this.group.matrix).invert());
  }

  directionInWorld(room: Vector3): Vector3 {
    return room.clone().applyQuaternion(this.group.quaternion);
  }

  /** Puts the floor under the head onto `point`; the way of looking stays. */
  stand(point: Vector3, headInRoom: Vector3): void {
    this.shift(this.pointInWorld(new Vector3(headInRoom.x, 0, headInRoom.z)), point);
  }

  /** Turns the person where they stand, to the left for positive angles. */
  turn(angle: number, headInRoom: Vector3): void {
    const before = this.pointInWorld(headInRoom);
    this.group.quaternion.premultiply(new Quaternion().setFromAxisAngle(UP, angle)).normalize();
    this.shift(this.pointInWorld(headInRoom), before);
  }

  /** Walks by metres of the room, along the room's axes. */
  walk(metres: Vector3): void {
    this.group.position.add(this.directionInWorld(metres).multiplyScalar(this.unitsPerMetre));
  }

  /** Changes the size; what is at `fixed` in the room stays there. */
  resize(unitsPerMetre: number, fixed: Vector3): void {
    const before = this.pointInWorld(fixed);
    this.setUnits(unitsPerMetre);
    this.shift(this.pointInWorld(fixed), before);
  }

  /** Puts a point of the world at a point of the room, the scene upright at a size and turned by `yaw`. */
  place(world: Vector3, room: Vector3, unitsPerMetre: number, yaw: number): void {
    this.setUnits(unitsPerMetre);
    this.group.quaternion.setFromAxisAngle(UP, yaw);
    this.shift(this.pointInWorld(room), world);
  }

  /** Where the rig goes when the scene, as it was at `start`, is moved through the room. */
  drag(start: Matrix4, move: RoomMove): void {
    const atStart = new Vector3().setFromMatrixScale(start).x;
    const shrink = this.limited(atStart / move.scale) / atStart;
    const matrix = new Matrix4()
      .makeTranslation(move.from)
      .multiply(new Matrix4().makeRotationY(-move.yaw))
      .multiply(new Matrix4().makeScale(shrink, shrink, shrink))
      .multiply(new Matrix4().makeTranslation(move.to.clone().negate()));
    matrix.premultiply(start).decompose(this.group.position, this.group.quaternion, this.group.scale);
  }

  private shift(from: Vector3, to: Vector3): void {
    this.group.position.add(to).sub(from);
  }

  private setUnits(unitsPerMetre: number): void {
    this.group.scale.setScalar(this.limited(unitsPerMetre));
  }

  private limited(unitsPerMetre: number): number {
    return MathUtils.clamp(unitsPerMetre, this.usual / LARGEST, this.usual / SMALLEST);
  }
}
