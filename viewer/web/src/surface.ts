// What one stands on and bumps into, in three's world: the scene's collider where it has one, else its level ground.

import { type Matrix4, Ray, Vector3 } from "three";
import { loadCollider } from "./collider";
import { matrixInThree } from "./glb";
import { PageError } from "./errors";
import type { Page } from "./page";

export interface SurfaceHit {
  readonly point: Vector3;
  /** Unit, on the side that was hit. */
  readonly normal: Vector3;
}

export interface Surface {
  /** The first meeting with a straight way. */
  between(from: Vector3, to: Vector3): SurfaceHit | null;
  /** Corner triples of its triangles; null for level ground. */
  readonly triangles: Float32Array | null;
  /** The height of the level ground. */
  readonly ground: number;
}

/** An endless level floor. */
export class LevelGround implements Surface {
  readonly triangles = null;

  constructor(readonly ground: number) {}

  between(from: Vector3, to: Vector3): SurfaceHit | null {
    if (from.y < this.ground || to.y >= this.ground) return null;
    const t = (from.y - this.ground) / (from.y - to.y);
    return { point: from.clone().lerp(to, t), normal: new Vector3(0, 1, 0) };
  }
}

/** Triangles in columns of a grid seen from above: a short way looks at a few columns only. */
export class TriangleSurface implements Surface {
  private readonly columns = new Map<number, number[]>();
  private readonly cell: number;
  private readonly a = new Vector3();
  private readonly b = new Vector3();
  private readonly c = new Vector3();

  constructor(
    readonly triangles: Float32Array,
    readonly ground: number,
  ) {
    const count = triangles.length / 9;
    let area = 0;
    for (let i = 0; i < count; i++) {
      this.load(i);
      area += (Math.max(this.a.x, this.b.x, this.c.x) - Math.min(this.a.x, this.b.x, this.c.x)) *
        (Math.max(this.a.z, this.b.z, this.c.z) - Math.min(this.a.z, this.b.z, this.c.z));
    }
    // About one usual triangle a column; walls alone have no area from above.
    this.cell = Math.max(Math.sqrt(area / Math.max(1, count)) * 2, 1e-4);
    for (let i = 0; i < count; i++) {
      this.load(i);
      this.visit(
        Math.min(this.a.x, this.b.x, this.c.x), Math.max(this.a.x, this.b.x, this.c.x),
        Math.min(this.a.z, this.b.z, this.c.z), Math.max(this.a.z, this.b.z, this.c.z),
        (key) => {
          const column = this.columns.get(key);
          if (column === undefined) this.columns.set(key, [i]);
          else column.push(i);
        },
      );
    }
  }

  between(from: Vector3, to: Vector3): SurfaceHit | null {
    const length = from.distanceTo(to);
    if (length === 0) return null;
    const ray = new Ray(from, to.clone().sub(from).divideScalar(length));
    const met = new Vector3();
    let nearest = length;
    let hit: SurfaceHit | null = null;
    const looked = new Set<number>();
    this.visit(
      Math.min(from.x, to.x), Math.max(from.x, to.x), Math.min(from.z, to.z), Math.max(from.z, to.z),
      (key) => {
        for (const i of this.columns.get(key) ?? []) {
          if (looked.has(i)) continue;
          looked.add(i);
          this.load(i);
          if (ray.intersectTriangle(this.a, this.b, this.c, false, met) === null) continue;
          const distance = met.distanceTo(from);
          if (distance > nearest) continue;
          nearest = distance;
          const normal = this.b.clone().sub(this.a).cross(this.c.clone().sub(this.a)).normalize();
          if (normal.dot(ray.direction) > 0) normal.negate();
          hit = { point: met.clone(), normal };
        }
      },
    );
    return hit;
  }

  private load(i: number): void {
    this.a.fromArray(this.triangles, i * 9);
    this.b.fromArray(this.triangles, i * 9 + 3);
    this.c.fromArray(this.triangles, i * 9 + 6);
  }

  private visit(x0: number, x1: number, z0: number, z1: number, look: (key: number) => void): void {
    const index = (v: number): number => Math.floor(v / this.cell);
    for (let x = index(x0); x <= index(x1); x++) {
      for (let z = index(z0); z <= index(z1); z++) look(x * 0x8000000 + z);
    }
  }
}

/** A reconstruction has its ground at zero where it found one; else it is the foot of the scene's bulk. */
function groundHeight(page: Page): number {
  const { min, max } = page.bounds;
  const near = min.y <= page.radius * 0.25 && min.y >= -page.radius * 0.5;
  return near && max.y > 0 ? 0 : min.y;
}

/** A page's surface: level ground at first, its collider once that has come. */
export class SceneSurface {
  current: Surface;
  /** Settled when the collider is there, or there is none. */
  readonly ready: Promise<void>;

  constructor(page: Page) {
    this.current = new LevelGround(groundHeight(page));
    this.ready = page.scene.collider === null ? Promise.resolve() : this.load(page, page.scene.collider);
  }

  private async load(page: Page, url: string): Promise<void> {
    try {
      const triangles = await loadCollider(url);
      placeCorners(triangles, matrixInThree(page.scene));
      if (triangles.length > 0) this.current = new TriangleSurface(triangles, this.current.ground);
    } catch (error) {
      page.notice(error instanceof PageError ? error.message : `The scene's collider cannot be used: ${String(error)}`);
    }
  }
}

/** Where the collider is now: a version may have moved since it was made. */
function placeCorners(triangles: Float32Array, place: Matrix4): void {
  const corner = new Vector3();
  for (let i = 0; i < triangles.length; i += 3) corner.fromArray(triangles, i).applyMatrix4(place).toArray(triangles, i);
}

const surfaces = new WeakMap<Page, SceneSurface>();

/** The page's surface, loaded when it is first asked for. */
export function surfaceOf(page: Page): SceneSurface {
  let surface = surfaces.get(page);
  if (surface === undefined) {
    surface = new SceneSurface(page);
    surfaces.set(page, surface);
  }
  return surface;
}
