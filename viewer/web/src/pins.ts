// HTML elements and lines that stay at points of the scene.

import "./pins.css";
import { BufferAttribute, BufferGeometry, Line, LineBasicMaterial, Vector3 } from "three";
import type { Page } from "./page";

const BEHIND_PIXELS = 60;

interface Pin {
  readonly element: HTMLElement;
  readonly point: Vector3;
}

export class Pins {
  private readonly layer = document.createElement("div");
  private readonly pins = new Set<Pin>();
  private readonly at = new Vector3();

  constructor(private readonly page: Page) {
    const found = document.getElementById("pins");
    if (found !== null) this.layer = found as HTMLDivElement;
    else {
      this.layer.id = "pins";
      page.stage.canvas.after(this.layer);
    }
    page.stage.onDraw(() => this.place());
  }

  /** Keeps the element centred on a point in three's frame; returns what takes it away. */
  add(element: HTMLElement, point: Vector3): () => void {
    const pin = { element, point: point.clone() };
    element.classList.add("pin");
    this.pins.add(pin);
    this.layer.append(element);
    this.place();
    return () => {
      this.pins.delete(pin);
      element.remove();
    };
  }

  private place(): void {
    const { camera, width, height } = this.page.stage;
    for (const { element, point } of this.pins) {
      this.at.copy(point).project(camera);
      const x = ((this.at.x + 1) / 2) * width;
      const y = ((1 - this.at.y) / 2) * height;
      const seen =
        Math.abs(this.at.z) <= 1 &&
        x > -BEHIND_PIXELS && y > -BEHIND_PIXELS && x < width + BEHIND_PIXELS && y < height + BEHIND_PIXELS;
      element.style.visibility = seen ? "" : "hidden";
      if (seen) element.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translate(-50%, -50%)`;
    }
  }
}

/** A straight line through points in three's frame, over everything; returns what takes it away. */
export function addLine(page: Page, points: readonly Vector3[], colour = 0x7cc4ff): () => void {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points.flatMap((p) => p.toArray())), 3));
  const line = new Line(geometry, new LineBasicMaterial({ color: colour, depthTest: false, transparent: true }));
  line.renderOrder = 10;
  line.frustumCulled = false;
  // Its points are in three's frame already, the world's group is turned.
  line.quaternion.copy(page.stage.world.quaternion).invert();
  page.stage.add(line);
  return () => {
    line.removeFromParent();
    geometry.dispose();
    line.material.dispose();
    page.stage.invalidate();
  };
}

/** A point by pointer or keyboard: while `name` is in use, a click or Enter (at the page's middle) gives one. */
export function pointTool(page: Page, name: string, onPoint: (point: Vector3) => void, onEnd: () => void) {
  const crosshair = document.createElement("div");
  crosshair.id = "crosshair";
  const take = (x: number, y: number): void => {
    const point = page.pick(x, y);
    if (point === null) page.notice("There is nothing of the scene at this place.");
    else onPoint(point);
  };
  const tool = {
    name,
    click: (x: number, y: number): void => take(x, y),
    end(): void {
      crosshair.remove();
      onEnd();
    },
  };
  page.shortcuts.add("Enter", () => {
    if (page.tools.current !== tool) return false;
    take(page.stage.width / 2, page.stage.height / 2);
    return true;
  });
  return {
    get active(): boolean {
      return page.tools.current === tool;
    },
    begin(): void {
      page.tools.use(tool);
      document.body.append(crosshair);
      page.stage.canvas.focus({ preventScroll: true });
    },
    end: (): boolean => page.tools.end(tool),
  };
}
