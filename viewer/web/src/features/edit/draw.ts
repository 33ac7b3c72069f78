// Drawing a box or a sphere: from the point of the scene under the pointer outwards.

import type { Page } from "../../page";
import type { CanvasTool } from "../../tools";
import type { Shape } from "./shape";
import type { Mode } from "./selection";
import { length, subtract, type Vec3 } from "./sim3";
import { inWorld, onFacingPlane, rayAt } from "./view";

export interface DrawListener {
  readonly mode: (event: PointerEvent) => Mode;
  /** A new shape, or the same while it is drawn. */
  draw(mode: Mode, shape: Shape, isNew: boolean): void;
}

export class DrawShape implements CanvasTool {
  readonly name: string;
  private centre: Vec3 | null = null;
  private mode: Mode = "add";
  private isNew = true;

  constructor(
    private readonly page: Page,
    private readonly kind: Shape["kind"],
    private readonly listener: DrawListener,
  ) {
    this.name = `edit-${kind}`;
  }

  down(x: number, y: number, event: PointerEvent): boolean {
    if (event.altKey) return false;
    const hit = this.page.pick(x, y);
    const { stage } = this.page;
    this.centre = hit === null ? onFacingPlane(stage, rayAt(stage, x, y), inWorld(this.page.centre)) : inWorld(hit);
    this.mode = this.listener.mode(event);
    this.isNew = true;
    return true;
  }

  move(x: number, y: number): void {
    const { centre } = this;
    if (centre === null) return;
    const { stage } = this.page;
    const radius = length(subtract(onFacingPlane(stage, rayAt(stage, x, y), centre), centre));
    if (!(radius > 0)) return;
    this.listener.draw(this.mode, shapeOf(this.kind, centre, radius), this.isNew);
    this.isNew = false;
  }

  up(): void {
    this.centre = null;
    // Once drawn, dragging turns the view again; the handles fit the shape.
    if (!this.isNew) this.page.tools.end(this);
  }
}

export const shapeOf = (kind: Shape["kind"], centre: Vec3, radius: number): Shape =>
  kind === "box" ? { kind, centre, half: [radius, radius, radius] } : { kind, centre, radius };
