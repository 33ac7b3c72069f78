// A person on foot: gravity, walls, steps and stairs. All lengths in metres of the walker; `units` make one metre.

import { Vector3 } from "three";
import type { Surface } from "../../surface";

export const EYE_HEIGHT = 1.6;
/** What a foot climbs and follows without noticing: a stair's step is at most 0.2 m, a pavement's edge as well. */
export const STEP_UP = 0.4;
const STEP_DOWN = 0.4;
/** What the body keeps from walls. */
const BODY = 0.25;
/** Steeper than about 45 degrees is no floor. */
const STANDABLE = 0.7;
const GRAVITY = 9.81;
/** A long frame is walked in pieces, so that no wall is jumped over. */
const PIECE_SECONDS = 0.02;
const TERMINAL = 20;
/** The eye follows the feet over a step in about this time. */
const SMOOTH_SECONDS = 0.09;

export class Walker {
  /** Metres a second, downwards. */
  private fall = 0;
  private standing = true;
  /** Where the feet last stood, for falls that never end. */
  private readonly safe = new Vector3();

  constructor(
    readonly feet: Vector3,
    private readonly surface: Surface,
    readonly units: number,
    /** Below this height nothing is left to land on. */
    private readonly bottom: number,
  ) {
    this.safe.copy(feet);
  }

  get onGround(): boolean {
    return this.standing;
  }

  /**
   * Walks `velocity` (metres a second, level) for so many seconds, and falls where there is no floor. Returns whether
   * anything moved.
   */
  step(velocity: Vector3, seconds: number): boolean {
    const before = this.feet.clone();
    for (let left = seconds; left > 1e-9; left -= PIECE_SECONDS) {
      const piece = Math.min(left, PIECE_SECONDS);
      const way = new Vector3(velocity.x, 0, velocity.z).multiplyScalar(piece * this.units);
      this.feet.add(this.free(way));
      this.drop(piece);
    }
    if (this.feet.y < this.bottom) {
      this.feet.copy(this.safe);
      this.fall = 0;
    }
    return this.feet.distanceToSquared(before) > 1e-14 * this.units ** 2;
  }

  /** The eye's height on its way to the feet's: steps are climbed softly. */
  eyeHeight(now: number, seconds: number, smooth: boolean): number {
    const wanted = this.feet.y + EYE_HEIGHT * this.units;
    if (!smooth || !this.standing) return wanted;
    const next = wanted + (now - wanted) * Math.exp(-seconds / SMOOTH_SECONDS);
    return Math.abs(next - wanted) < 0.001 * this.units ? wanted : next;
  }

  /** As much of a way as walls allow: along them where they stand across. */
  private free(way: Vector3): Vector3 {
    if (way.lengthSq() === 0) return way;
    const wall = this.wallAhead(way);
    if (wall === null) return way;
    const along = way.clone().addScaledVector(wall, -way.dot(wall));
    return along.lengthSq() < 1e-12 || this.wallAhead(along) !== null ? new Vector3() : along;
  }

  /** The level normal of a wall that the body would touch, or null. */
  private wallAhead(way: Vector3): Vector3 | null {
    const ahead = way.clone().normalize();
    const side = new Vector3(-ahead.z, 0, ahead.x);
    const reach = way.clone().addScaledVector(ahead, BODY * this.units);
    for (const height of [STEP_UP + 0.05, EYE_HEIGHT * 0.6, EYE_HEIGHT]) {
      for (const shift of [0, -BODY * 0.8, BODY * 0.8]) {
        const from = this.feet.clone().addScaledVector(side, shift * this.units);
        from.y += height * this.units;
        const hit = this.surface.between(from, from.clone().add(reach));
        if (hit === null || Math.abs(hit.normal.y) >= STANDABLE) continue;
        const normal = new Vector3(hit.normal.x, 0, hit.normal.z).normalize();
        if (normal.dot(ahead) < 0) return normal;
      }
    }
    return null;
  }

  /** Follows the floor, or falls. */
  private drop(seconds: number): void {
    const at = (height: number): Vector3 => this.feet.clone().setY(this.feet.y + height * this.units);
    const way = this.standing ? STEP_DOWN : this.fall * seconds + 0.5 * GRAVITY * seconds ** 2;
    const hit = this.surface.between(at(STEP_UP), at(-way));
    if (hit !== null && hit.normal.y > STANDABLE) {
      this.feet.y = hit.point.y;
      this.fall = 0;
      this.standing = true;
      this.safe.copy(this.feet);
      return;
    }
    if (this.standing) {
      this.standing = false;
      return;
    }
    this.feet.y -= way * this.units;
    this.fall = Math.min(TERMINAL, this.fall + GRAVITY * seconds);
  }
}
