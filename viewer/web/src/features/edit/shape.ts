// A box or a sphere on the canvas: its wires, and handles that a pointer drags and arrow keys nudge.

import { BufferAttribute, BufferGeometry, LineBasicMaterial, LineSegments } from "three";
import type { Page } from "../../page";
import type { Box, Sphere } from "./selection";
import { length, matrixOf, plus, rotate, subtract, times, type Vec3 } from "./sim3";
import { alongAxis, onFacingPlane, pixelOf, rayAt } from "./view";

export type Shape = Box | Sphere;

const ROUND = 48;
const AXES: readonly { readonly name: string; readonly way: Vec3 }[] = [
  { name: "right", way: [1, 0, 0] },
  { name: "left", way: [-1, 0, 0] },
  { name: "back", way: [0, 1, 0] },
  { name: "front", way: [0, -1, 0] },
  { name: "top", way: [0, 0, 1] },
  { name: "bottom", way: [0, 0, -1] },
];

interface Handle {
  readonly element: HTMLButtonElement;
  readonly place: (shape: Shape) => Vec3 | null;
  readonly drag: (shape: Shape, x: number, y: number) => Shape;
  readonly nudge: (shape: Shape, steps: number) => Shape;
}

const axesOf = (box: Box): ((way: Vec3) => Vec3) => {
  const m = matrixOf(box.rotation_wxyz ?? [1, 0, 0, 0]);
  return (way) => rotate(m, way);
};

export class ShapeView {
  /** The person changed the shape. */
  onChange: (shape: Shape) => void = () => {};
  private shape: Shape | null = null;
  private readonly wires: LineSegments;
  private readonly layer = document.createElement("div");
  private readonly handles: Handle[];

  constructor(private readonly page: Page) {
    const material = new LineBasicMaterial({ color: 0x7cc4ff, depthTest: false, transparent: true });
    material.toneMapped = false;
    this.wires = new LineSegments(new BufferGeometry(), material);
    this.wires.frustumCulled = false;
    this.wires.renderOrder = 10;
    this.wires.visible = false;
    page.stage.add(this.wires);
    this.layer.className = "edit-handles";
    this.layer.hidden = true;
    page.stage.canvas.after(this.layer);
    this.handles = [this.centreHandle(), ...AXES.map((axis) => this.faceHandle(axis.name, axis.way))];
    page.onFrame(() => (this.follow(), false));
  }

  show(shape: Shape | null): void {
    this.shape = shape;
    this.wires.visible = shape !== null;
    this.layer.hidden = shape === null;
    if (shape !== null) this.wires.geometry.setAttribute("position", new BufferAttribute(wireOf(shape), 3));
    this.follow();
    this.page.stage.invalidate();
  }

  /** Puts the handles where the view has their points now. */
  private follow(): void {
    const { shape } = this;
    if (shape === null) return;
    for (const handle of this.handles) {
      const point = handle.place(shape);
      const pixel = point === null ? null : pixelOf(this.page.stage, point);
      handle.element.hidden = pixel === null;
      if (pixel !== null) handle.element.style.transform = `translate(${pixel[0]}px, ${pixel[1]}px)`;
    }
  }

  private change(shape: Shape): void {
    this.show(shape);
    this.onChange(shape);
  }

  private centreHandle(): Handle {
    const move = (shape: Shape, by: Vec3): Shape => ({ ...shape, centre: plus(shape.centre, by) });
    return this.handle("centre", {
      place: (shape) => shape.centre,
      drag: (shape, x, y) => {
        const { stage } = this.page;
        return move(shape, subtract(onFacingPlane(stage, rayAt(stage, x, y), shape.centre), shape.centre));
      },
      nudge: (shape, steps) => move(shape, [0, 0, steps * sizeOf(shape)]),
    });
  }

  /** A box's face goes along its axis, the opposite one stays; a sphere has but one such handle: its radius. */
  private faceHandle(name: string, way: Vec3): Handle {
    const sign = way[0] + way[1] + way[2];
    const index = way.findIndex((v) => v !== 0);
    const pull = (shape: Shape, by: number): Shape => {
      if (shape.kind === "sphere") return { ...shape, radius: Math.max(shape.radius + by, 1e-6) };
      const grown = Math.max(shape.half[index]! + by / 2, 1e-6);
      const moved = grown - shape.half[index]!;
      const half = shape.half.map((v, i) => (i === index ? grown : v)) as unknown as Vec3;
      return { ...shape, half, centre: plus(shape.centre, times(axesOf(shape)(way), moved)) };
    };
    const place = (shape: Shape): Vec3 | null => {
      if (shape.kind === "box") return plus(shape.centre, times(axesOf(shape)(way), shape.half[index]!));
      return name === "right" ? plus(shape.centre, [shape.radius, 0, 0]) : null;
    };
    return this.handle(name, {
      place,
      drag: (shape, x, y) => {
        const axis = shape.kind === "box" ? axesOf(shape)(way) : way;
        return pull(shape, alongAxis(rayAt(this.page.stage, x, y), place(shape)!, axis));
      },
      nudge: (shape, steps) => pull(shape, steps * sizeOf(shape) * (sign > 0 ? 1 : -1)),
    });
  }

  private handle(name: string, does: Omit<Handle, "element">): Handle {
    const element = document.createElement("button");
    element.type = "button";
    element.className = "edit-handle";
    element.dataset.handle = name;
    element.setAttribute("aria-label", name === "centre" ? "Move the shape" : `Pull the ${name} of the shape`);
    element.title = "Drag, or use the arrow keys";
    const { canvas } = this.page.stage;
    element.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      element.focus({ preventScroll: true });
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      if (!element.hasPointerCapture(event.pointerId) || this.shape === null) return;
      const rect = canvas.getBoundingClientRect();
      this.change(does.drag(this.shape, event.clientX - rect.left, event.clientY - rect.top));
    });
    element.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
      if (steps === undefined || this.shape === null) return;
      event.preventDefault();
      event.stopPropagation();
      this.change(does.nudge(this.shape, steps * 0.05));
    });
    this.layer.append(element);
    return { element, ...does };
  }
}

const sizeOf = (shape: Shape): number => (shape.kind === "sphere" ? shape.radius : length(shape.half));

function wireOf(shape: Shape): Float32Array {
  const lines: number[] = [];
  if (shape.kind === "sphere") {
    for (const plane of [0, 1, 2]) {
      for (let i = 0; i < ROUND; i++) {
        for (const step of [i, i + 1]) {
          const angle = (2 * Math.PI * step) / ROUND;
          const way = [0, 0, 0];
          way[plane] = Math.cos(angle);
          way[(plane + 1) % 3] = Math.sin(angle);
          lines.push(...plus(shape.centre, times(way as unknown as Vec3, shape.radius)));
        }
      }
    }
    return new Float32Array(lines);
  }
  const turn = axesOf(shape);
  const corner = (n: number): Vec3 => {
    const signs = [n & 1 ? 1 : -1, n & 2 ? 1 : -1, n & 4 ? 1 : -1];
    return plus(shape.centre, turn(signs.map((s, i) => s * shape.half[i]!) as unknown as Vec3));
  };
  for (let n = 0; n < 8; n++) for (const bit of [1, 2, 4]) if (!(n & bit)) lines.push(...corner(n), ...corner(n | bit));
  return new Float32Array(lines);
}
