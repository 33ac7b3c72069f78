// The physics: the scene's collider at rest, things that fall, and the one that a hand holds. In metres, +y up.

import type * as Rapier from "@dimforge/rapier3d";
import { Quaternion, Vector3 } from "three";

type Engine = typeof Rapier;

const GRAVITY = 9.81;
const STEP_SECONDS = 1 / 120;
/** A page that draws slowly falls behind the clock rather than freezing. */
const MAX_STEPS = 24;
const FRICTION = 0.8;
const RESTITUTION = 0.1;
/** What is thrown faster leaves small rooms through their walls. */
const FASTEST = 8;
/** A thing that fell off the scene is put back from here, in metres below its floor. */
const LOST = 20;
const FLOOR_HALF = 500;
/** Over which time a hand's speed is measured. */
const THROW_SECONDS = 0.1;

export interface Pose {
  readonly position: Vector3;
  readonly quaternion: Quaternion;
}

export class Bodies {
  private readonly world: Rapier.World;
  private scene: Rapier.Collider | null = null;
  private readonly bodies: Rapier.RigidBody[] = [];
  private held: { body: Rapier.RigidBody; at: Vector3; track: { time: number; position: Vector3 }[] } | null = null;
  private left = 0;
  private time = 0;

  constructor(
    private readonly engine: Engine,
    private readonly floor: number,
  ) {
    this.world = new engine.World({ x: 0, y: -GRAVITY, z: 0 });
    this.world.timestep = STEP_SECONDS;
    const floorBox = engine.ColliderDesc.cuboid(FLOOR_HALF, 1, FLOOR_HALF).setTranslation(0, floor - 1, 0);
    this.world.createCollider(floorBox.setFriction(FRICTION));
  }

  /** Corner triples of what does not move; null leaves the level floor alone. */
  setScene(triangles: Float32Array | null): void {
    if (this.scene !== null) this.world.removeCollider(this.scene, true);
    this.scene = null;
    if (triangles === null || triangles.length === 0) return;
    const indices = Uint32Array.from({ length: triangles.length / 3 }, (_, i) => i);
    this.scene = this.world.createCollider(this.engine.ColliderDesc.trimesh(triangles, indices).setFriction(FRICTION));
  }

  /** Adds a thing whose hull has these corners about `at`; null when they span no volume. */
  add(corners: Float32Array, at: Vector3): Rapier.RigidBody | null {
    const { engine, world } = this;
    const hull = engine.ColliderDesc.convexHull(corners);
    if (hull === null) return null;
    const body = world.createRigidBody(
      engine.RigidBodyDesc.dynamic().setTranslation(at.x, at.y, at.z).setCcdEnabled(true).setLinearDamping(0.1).setAngularDamping(0.6),
    );
    world.createCollider(hull.setFriction(FRICTION).setRestitution(RESTITUTION).setDensity(300), body);
    this.bodies.push(body);
    return body;
  }

  remove(body: Rapier.RigidBody): void {
    if (this.held?.body === body) this.held = null;
    this.bodies.splice(this.bodies.indexOf(body), 1);
    this.world.removeRigidBody(body);
  }

  poseOf(body: Rapier.RigidBody): Pose {
    const t = body.translation();
    const r = body.rotation();
    return { position: new Vector3(t.x, t.y, t.z), quaternion: new Quaternion(r.x, r.y, r.z, r.w) };
  }

  hold(body: Rapier.RigidBody): void {
    this.release();
    body.setBodyType(this.engine.RigidBodyType.KinematicPositionBased, true);
    this.held = { body, at: this.poseOf(body).position, track: [] };
  }

  /** Where the held thing goes. */
  carry(pose: Pose): void {
    if (this.held === null) return;
    this.held.body.setNextKinematicTranslation(pose.position);
    this.held.body.setNextKinematicRotation(pose.quaternion);
    this.held.at.copy(pose.position);
  }

  /** Lets go: it flies on with the hand's speed. */
  release(): void {
    const held = this.held;
    if (held === null) return;
    this.held = null;
    held.body.setBodyType(this.engine.RigidBodyType.Dynamic, true);
    const [first, last] = [held.track[0], held.track.at(-1)];
    const seconds = first && last ? last.time - first.time : 0;
    const speed = seconds > 0 ? last!.position.clone().sub(first!.position).divideScalar(seconds) : new Vector3();
    held.body.setLinvel(speed.clampLength(0, FASTEST), true);
    held.body.setAngvel(new Vector3(), true);
  }

  /** Goes on in time; returns whether anything moves. */
  step(seconds: number): boolean {
    this.time += seconds;
    this.follow();
    this.left = Math.min(this.left + seconds, MAX_STEPS * STEP_SECONDS);
    for (; this.left >= STEP_SECONDS; this.left -= STEP_SECONDS) this.world.step();
    return this.held !== null || this.bodies.some((body) => !body.isSleeping());
  }

  /** Remembers where the hand was, a still hand too: it lets go without a throw. */
  private follow(): void {
    if (this.held === null) return;
    const { track, at } = this.held;
    track.push({ time: this.time, position: at.clone() });
    while (track.length > 2 && track[0]!.time < this.time - THROW_SECONDS) track.shift();
  }

  /** Things that fell off the scene's edge for ever. */
  lost(): Rapier.RigidBody[] {
    return this.bodies.filter((body) => body.translation().y < this.floor - LOST);
  }

  dispose(): void {
    this.world.free();
  }
}
