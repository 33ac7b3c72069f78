// The brush: a stroke over the picture that goes through everything behind it, or along the surface it is drawn on.

import type { Page } from "../../page";
import type { CanvasTool } from "../../tools";
import type { Mode, Region } from "./selection";
import type { Vec2, Vec3 } from "./sim3";
import { depthOf, inWorld, type Pinhole, pinholeOf } from "./view";

/** Nearer than this to the last point of a stroke, in pixels, a new one says nothing. */
const SPACING = 3;
const MAX_POINTS = 2000;

export interface BrushListener {
  readonly radius: () => number;
  readonly onSurface: () => boolean;
  readonly mode: (event: PointerEvent) => Mode;
  begin(mode: Mode, region: Region): void;
  /** The newest piece alone, and the stroke up to here. */
  go(mode: Mode, piece: Region, whole: Region): void;
  /** The brush was put away. */
  ended(): void;
}

export class Brush implements CanvasTool {
  readonly name = "edit-brush";
  readonly cursor = "none";
  private readonly ring = document.createElement("div");
  private mode: Mode = "add";
  private pinhole: Pinhole | null = null;
  private pixels: Vec2[] = [];
  private points: Vec3[] = [];
  private reach = 0;
  private begun = false;

  constructor(
    private readonly page: Page,
    private readonly listener: BrushListener,
  ) {
    this.ring.className = "edit-brush";
    this.ring.hidden = true;
    page.stage.canvas.after(this.ring);
    page.stage.canvas.addEventListener("pointerleave", () => (this.ring.hidden = true));
  }

  down(x: number, y: number, event: PointerEvent): boolean {
    if (event.altKey) return false;
    this.mode = this.listener.mode(event);
    this.pixels = [];
    this.points = [];
    this.begun = false;
    this.pinhole = pinholeOf(this.page.stage);
    this.add(x, y);
    return true;
  }

  move(x: number, y: number): void {
    this.follow(x, y);
    const last = this.pixels.at(-1);
    if (last !== undefined && Math.hypot(x - last[0], y - last[1]) < SPACING) return;
    this.add(x, y);
  }

  up(): void {
    this.pinhole = null;
  }

  hover(x: number, y: number): void {
    this.follow(x, y);
  }

  end(): void {
    this.ring.hidden = true;
    this.pinhole = null;
    this.listener.ended();
  }

  private follow(x: number, y: number): void {
    const radius = this.listener.radius();
    this.ring.hidden = false;
    this.ring.style.width = this.ring.style.height = `${2 * radius}px`;
    this.ring.style.transform = `translate(${x - radius}px, ${y - radius}px)`;
  }

  private add(x: number, y: number): void {
    if (this.pixels.length >= MAX_POINTS) return;
    this.pixels.push([x, y]);
    if (this.listener.onSurface()) {
      const hit = this.page.pick(x, y);
      if (hit === null) return;
      const point = inWorld(hit);
      if (this.points.length === 0) {
        this.reach = (this.listener.radius() * depthOf(this.page.stage, point)) / (this.pinhole?.fx ?? 1);
      }
      this.points.push(point);
    }
    const whole = this.region(0);
    if (whole === null) return;
    if (!this.begun) this.listener.begin(this.mode, whole);
    else this.listener.go(this.mode, this.region(-2) ?? whole, whole);
    this.begun = true;
  }

  /** The stroke from a point on, counted from the end when negative. */
  private region(from: number): Region | null {
    if (this.listener.onSurface()) {
      return this.points.length === 0 ? null : { kind: "tube", points: this.points.slice(from), radius: this.reach };
    }
    if (this.pinhole === null) return null;
    return { kind: "stroke", ...this.pinhole, points_px: this.pixels.slice(from), radius_px: this.listener.radius() };
  }
}
