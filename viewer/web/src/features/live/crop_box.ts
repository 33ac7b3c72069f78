// A box along the world's axes with a handle on each face, to choose what of the scene is wanted.

import { BoxGeometry, EdgesGeometry, LineBasicMaterial, LineSegments, Vector3 } from "three";
import { pointInThree } from "../../coordinates";
import type { Vec3 } from "../../manifest";
import type { Page } from "../../page";

const AXES = ["x", "y", "z"] as const;
/** Keys move a face by this share of the scene's radius. */
const KEY_STEP = 0.04;

export type Corners = [number, number, number, number, number, number];

export class CropBox {
  /** Called while a face moves (`done` false) and when it has moved. */
  onChange: (corners: Corners, done: boolean) => void = () => {};
  private readonly edges: LineSegments;
  private readonly handles: HTMLButtonElement[] = [];
  private on = false;

  constructor(
    private readonly page: Page,
    public corners: Corners,
  ) {
    this.edges = new LineSegments(new EdgesGeometry(new BoxGeometry(1, 1, 1)), new LineBasicMaterial({ color: 0x7cc4ff }));
    this.edges.frustumCulled = false;
    this.edges.visible = false;
    page.stage.add(this.edges);
    for (let face = 0; face < 6; face++) this.handles.push(this.makeHandle(face));
    page.onFrame(() => (this.on && this.place(), false));
  }

  get visible(): boolean {
    return this.on;
  }

  set visible(value: boolean) {
    this.on = value;
    this.edges.visible = value;
    for (const handle of this.handles) handle.hidden = !value;
    this.draw();
  }

  /** Whether enough of it is seen to take hold of it. */
  get isInView(): boolean {
    const { width, height } = this.page.stage;
    const seen = this.handles.filter((_, face) => {
      const { x, y, isAhead } = this.onScreen(this.middle(face));
      return isAhead && x > 0 && x < width && y > 0 && y < height;
    });
    return seen.length >= 4;
  }

  set(corners: readonly number[]): void {
    this.corners = [...corners] as Corners;
    this.draw();
  }

  /** The middle of a face in three's frame. */
  private middle(face: number): Vector3 {
    const c = this.corners;
    const point = [0, 1, 2].map((axis) => (c[axis]! + c[axis + 3]!) / 2);
    point[face % 3] = c[face]!;
    return pointInThree(point as unknown as Vec3);
  }

  private makeHandle(face: number): HTMLButtonElement {
    const handle = document.createElement("button");
    handle.type = "button";
    handle.className = "live-handle";
    handle.hidden = true;
    handle.dataset.face = String(face);
    const name = `${face < 3 ? "Low" : "High"} ${AXES[face % 3]} side of the crop box`;
    handle.setAttribute("aria-label", `${name}: drag, or use the arrow keys`);
    handle.title = name;
    handle.addEventListener("pointerdown", (event) => this.drag(face, handle, event));
    handle.addEventListener("keydown", (event) => {
      const out = event.key === "ArrowRight" || event.key === "ArrowUp";
      if (!out && event.key !== "ArrowLeft" && event.key !== "ArrowDown") return;
      event.preventDefault();
      this.move(face, this.corners[face]! + (out ? 1 : -1) * KEY_STEP * this.page.radius, true);
    });
    this.page.stage.canvas.after(handle);
    return handle;
  }

  private drag(face: number, handle: HTMLElement, down: PointerEvent): void {
    down.preventDefault();
    handle.focus();
    handle.setPointerCapture(down.pointerId);
    const start = this.corners[face]!;
    // How far the handle goes on the screen for one unit along its axis.
    const unit = this.page.radius * 0.01;
    const from = this.onScreen(this.middle(face));
    const axis: [number, number, number] = [0, 0, 0];
    axis[face % 3] = unit;
    const to = this.onScreen(this.middle(face).add(pointInThree(axis)));
    const step = [to.x - from.x, to.y - from.y] as const;
    const length = Math.max(step[0] ** 2 + step[1] ** 2, 1e-6);
    const move = (event: PointerEvent, done: boolean): void => {
      const along = (event.clientX - down.clientX) * step[0] + (event.clientY - down.clientY) * step[1];
      this.move(face, start + (along / length) * unit, done);
    };
    const moved = (event: PointerEvent): void => move(event, false);
    const up = (event: PointerEvent): void => {
      handle.removeEventListener("pointermove", moved);
      handle.removeEventListener("pointerup", up);
      handle.removeEventListener("pointercancel", up);
      move(event, true);
    };
    handle.addEventListener("pointermove", moved);
    handle.addEventListener("pointerup", up);
    handle.addEventListener("pointercancel", up);
  }

  private move(face: number, value: number, done: boolean): void {
    const least = this.page.radius * 1e-3;
    const other = this.corners[(face + 3) % 6]!;
    this.corners[face] = face < 3 ? Math.min(value, other - least) : Math.max(value, other + least);
    this.draw();
    this.onChange([...this.corners], done);
  }

  private draw(): void {
    const c = this.corners;
    this.edges.position.set((c[0] + c[3]) / 2, (c[1] + c[4]) / 2, (c[2] + c[5]) / 2);
    this.edges.scale.set(c[3] - c[0], c[4] - c[1], c[5] - c[2]);
    this.page.stage.invalidate();
    if (this.on) this.place();
  }

  private onScreen(point: Vector3): { x: number; y: number; isAhead: boolean } {
    const { camera, width, height } = this.page.stage;
    const p = point.clone().project(camera);
    return { x: ((p.x + 1) / 2) * width, y: ((1 - p.y) / 2) * height, isAhead: p.z < 1 };
  }

  private place(): void {
    this.handles.forEach((handle, face) => {
      const { x, y, isAhead } = this.onScreen(this.middle(face));
      handle.style.translate = `${x.toFixed(1)}px ${y.toFixed(1)}px`;
      handle.style.visibility = isAhead ? "" : "hidden";
    });
  }
}
