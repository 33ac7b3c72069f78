// Picking up things of the scene and letting them fall: each thing is a cluster of splats with a convex body.

import { SplatMesh } from "@sparkjsdev/spark";
import type * as Rapier from "@dimforge/rapier3d";
import { Group, Quaternion, type Raycaster, Vector3 } from "three";
import type { Page } from "../../page";
import { extract, factsOf, hide, type SplatFacts } from "../../splat_parts";
import type { SceneSurface } from "../../surface";
import { Bodies, type Pose } from "./bodies";
import { type Cluster, clusterAt } from "./cluster";
import { loadRapier } from "./rapier";

/** Triangles of the collider this near to a thing's splats are its own, as a share of the things' size. */
const OWN_SHARE = 1 / 7;
/** Triangles no higher than this above a thing's foot are the floor's. */
const FOOT_SHARE = 0.03;

interface Thing {
  /** Placed by its body; the splats hang in it. */
  readonly holder: Group;
  readonly mesh: SplatMesh;
  readonly body: Rapier.RigidBody;
  readonly home: Vector3;
  readonly putBack: () => void;
  /** Which triangles of the scene's collider are its own surface. */
  readonly owns: Uint8Array | null;
}

export class Playground {
  /** How large a thing may be, in metres. */
  size = 0.6;
  private readonly things: Thing[] = [];
  private readonly bodies: Bodies;
  /** The collider in metres, three's axes. */
  private readonly triangles: Float32Array | null;
  private facts: { of: SplatMesh; facts: SplatFacts | null } | null = null;
  /** What is shown in the splats' place, as in a headset that cannot draw them all. */
  private standIn: SplatMesh | null = null;
  private grip: { thing: Thing; thingFromHand: Pose } | null = null;

  /** `units` world units are a metre. */
  static async open(page: Page, surface: SceneSurface, units: number): Promise<Playground> {
    const [engine] = await Promise.all([loadRapier(), surface.ready]);
    return new Playground(page, surface, units, engine);
  }

  private constructor(
    private readonly page: Page,
    surface: SceneSurface,
    private readonly units: number,
    engine: typeof Rapier,
  ) {
    const { triangles, ground } = surface.current;
    this.triangles = triangles === null ? null : triangles.map((v) => v / units);
    let floor = ground / units;
    for (let i = 1; i < (this.triangles?.length ?? 0); i += 3) floor = Math.min(floor, this.triangles![i]!);
    this.bodies = new Bodies(engine, floor);
    this.bodies.setScene(this.triangles);
    // Other splats, such as an edited version: the things belonged to the old ones.
    page.onSplats(() => this.clear(false));
  }

  private get splats(): SplatMesh {
    return this.standIn ?? this.page.splats;
  }

  /** Shows other splats for a while: everything goes back before. */
  useInstead(mesh: SplatMesh | null): void {
    if (this.standIn === mesh) return;
    this.clear();
    this.standIn = mesh;
  }

  get count(): number {
    return this.things.length;
  }

  get holding(): boolean {
    return this.grip !== null;
  }

  /** Takes what the ray meets first: a thing, or splats of the scene that become one. Returns the point, or null. */
  take(ray: Raycaster, hand: Pose): Vector3 | null {
    const meshes = this.things.map((thing) => thing.mesh);
    const [hit] = ray.intersectObjects<SplatMesh>([this.splats, ...meshes], false);
    if (hit === undefined) return null;
    const thing = this.things.find((t) => t.mesh === hit.object) ?? this.makeThing(hit.point);
    if (thing === null) return null;
    this.bodies.hold(thing.body);
    const { position, quaternion } = this.bodies.poseOf(thing.body);
    const back = hand.quaternion.clone().invert();
    const offset = position.clone().multiplyScalar(this.units).sub(hand.position).applyQuaternion(back);
    this.grip = { thing, thingFromHand: { position: offset, quaternion: back.multiply(quaternion) } };
    return hit.point;
  }

  /** The hand, in three's world, has gone there with what it holds. */
  carry(hand: Pose): void {
    if (this.grip === null) return;
    const { position, quaternion } = this.grip.thingFromHand;
    const at = position.clone().applyQuaternion(hand.quaternion).add(hand.position).divideScalar(this.units);
    this.bodies.carry({ position: at, quaternion: hand.quaternion.clone().multiply(quaternion) });
  }

  release(): void {
    this.grip = null;
    this.bodies.release();
  }

  /** Returns whether anything moves. */
  step(seconds: number): boolean {
    if (this.things.length === 0) return false;
    const moving = this.bodies.step(seconds);
    for (const body of this.bodies.lost()) this.remove(this.things.find((t) => t.body === body)!, true);
    for (const thing of this.things) this.show(thing);
    this.publish();
    return moving;
  }

  /** Everything back to where it was; `unhide` also in the scene's splats. */
  clear(unhide = true): void {
    this.release();
    for (const thing of [...this.things]) this.remove(thing, unhide);
    this.facts = null;
    this.publish();
  }

  // --- Inside ------------------------------------------------------------------------------------------------------

  private makeThing(picked: Vector3): Thing | null {
    const { splats } = this;
    if (this.facts?.of !== splats) this.facts = { of: splats, facts: factsOf(splats) };
    if (this.facts.facts === null) return null;
    splats.updateMatrixWorld(true);
    const inverse = splats.matrixWorld.clone().invert();
    const up = new Vector3(0, 1, 0).transformDirection(inverse);
    const scale = this.units / splats.matrixWorld.getMaxScaleOnAxis();
    const cluster = clusterAt(this.facts.facts, picked.clone().applyMatrix4(inverse), this.size * scale, up);
    return cluster === null ? null : this.embody(splats, cluster);
  }

  private embody(splats: SplatMesh, cluster: Cluster): Thing | null {
    const home = cluster.centre.clone().applyMatrix4(splats.matrixWorld).divideScalar(this.units);
    const corners = new Float32Array(cluster.points.length);
    const point = new Vector3();
    for (let i = 0; i < corners.length; i += 3) {
      point.fromArray(cluster.points, i).applyMatrix4(splats.matrixWorld).divideScalar(this.units).sub(home).toArray(corners, i);
    }
    const body = this.bodies.add(corners, home);
    if (body === null) return null;
    const mesh = extract(splats, cluster.indices);
    const holder = new Group();
    mesh.matrixAutoUpdate = false;
    mesh.matrix.copy(splats.matrixWorld);
    mesh.matrix.elements[12]! -= home.x * this.units;
    mesh.matrix.elements[13]! -= home.y * this.units;
    mesh.matrix.elements[14]! -= home.z * this.units;
    holder.add(mesh);
    this.page.stage.world.parent?.add(holder);
    const thing = { holder, mesh, body, home, putBack: hide(splats, cluster.indices), owns: this.ownTriangles(corners, home) };
    this.things.push(thing);
    this.updateScene();
    this.show(thing);
    return thing;
  }

  /** The collider holds the thing's own surface too, which would keep it where it is. */
  private ownTriangles(corners: Float32Array, home: Vector3): Uint8Array | null {
    if (this.triangles === null) return null;
    const cell = this.size * OWN_SHARE;
    const near = new Set<string>();
    let lowest = Infinity;
    for (let i = 0; i < corners.length; i += 3) {
      lowest = Math.min(lowest, corners[i + 1]! + home.y);
      const [x, y, z] = [home.x, home.y, home.z].map((h, k) => Math.floor((corners[i + k]! + h) / cell)) as [number, number, number];
      for (let a = -1; a <= 1; a++) for (let b = -1; b <= 1; b++) for (let c = -1; c <= 1; c++) near.add(`${x + a},${y + b},${z + c}`);
    }
    const owns = new Uint8Array(this.triangles.length / 9);
    const t = this.triangles;
    for (let i = 0; i < owns.length; i++) {
      const middle = [0, 1, 2].map((k) => (t[i * 9 + k]! + t[i * 9 + 3 + k]! + t[i * 9 + 6 + k]!) / 3);
      const floor = middle[1]! < lowest + this.size * FOOT_SHARE;
      if (!floor && near.has(middle.map((v) => Math.floor(v / cell)).join())) owns[i] = 1;
    }
    return owns;
  }

  private updateScene(): void {
    const { triangles } = this;
    if (triangles === null) return;
    const kept = (i: number): boolean => this.things.every((thing) => thing.owns?.[Math.floor(i / 9)] !== 1);
    this.bodies.setScene(triangles.filter((_, i) => kept(i)));
  }

  private show(thing: Thing): void {
    const { position, quaternion } = this.bodies.poseOf(thing.body);
    thing.holder.position.copy(position).multiplyScalar(this.units);
    thing.holder.quaternion.copy(quaternion);
  }

  private remove(thing: Thing, unhide: boolean): void {
    if (this.grip?.thing === thing) this.release();
    this.things.splice(this.things.indexOf(thing), 1);
    this.bodies.remove(thing.body);
    thing.holder.removeFromParent();
    thing.mesh.dispose();
    if (unhide) thing.putBack();
    this.updateScene();
    this.page.stage.invalidate();
  }

  /** For tests: where each thing is against where it was taken, in metres, three's axes. */
  private publish(): void {
    const places = this.things.map(({ body, home }) => {
      const { position } = this.bodies.poseOf(body);
      return [...position.toArray(), ...home.toArray()];
    });
    document.body.dataset.things = JSON.stringify(places);
  }
}

/** Where a hand without a turn of its own is, such as a mouse. */
export const unturned = (position: Vector3): Pose => ({ position, quaternion: new Quaternion() });
