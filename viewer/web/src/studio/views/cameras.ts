// The cameras while they are found: points and little pyramids on a plain canvas, turned by drag or arrow keys.

import { reducedMotion } from "../elements";

type Vector = [number, number, number];

/** What is known so far, +z about up, in no unit. */
export interface CameraMap {
  centres: Vector[];
  forwards: Vector[];
  points: Vector[];
  colours: Vector[];
  total: number | null;
}

const isVector = (v: unknown): v is Vector => Array.isArray(v) && v.length === 3 && v.every((x) => Number.isFinite(x));
const vectors = (value: unknown): Vector[] => (Array.isArray(value) ? value.filter(isVector) : []);

/** Reads a picture of the kind "cameras"; what is no camera or point is left out. */
export function parseMap(value: unknown): CameraMap {
  const map = (value ?? {}) as Record<string, unknown>;
  const cameras = (Array.isArray(map.cameras) ? map.cameras : []) as { position?: unknown; forward?: unknown }[];
  const whole = cameras.filter((c) => isVector(c.position) && isVector(c.forward));
  return {
    centres: whole.map((c) => c.position as Vector),
    forwards: whole.map((c) => c.forward as Vector),
    points: vectors(map.points),
    colours: vectors(map.colors),
    total: typeof map.total === "number" ? map.total : null,
  };
}

const TURN_PER_SECOND = 0.12;
const COLOUR = "#7cc4ff";
const UP: Vector = [0, 0, 1];

export class CameraCanvas {
  readonly element = document.createElement("canvas");
  private map: CameraMap | null = null;
  private azimuth = 0.6;
  private elevation = 0.5;
  private centre: Vector = [0, 0, 0];
  private extent = 1;
  private held = false;
  private frame = 0;
  private before = 0;

  constructor() {
    this.element.className = "camera-canvas";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", "No cameras are found yet");
    this.element.addEventListener("pointerdown", (event) => {
      this.held = true;
      this.element.setPointerCapture(event.pointerId);
    });
    this.element.addEventListener("pointerup", () => (this.held = false));
    this.element.addEventListener("pointermove", (event) => {
      if (this.held) this.turn(event.movementX * -0.008, event.movementY * 0.008);
    });
    this.element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.turn(step[0] ?? 0, step[1] ?? 0);
    });
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  show(map: CameraMap): void {
    this.map = map;
    const of = map.total === null ? "" : ` of ${map.total}`;
    this.element.setAttribute("aria-label", `${map.centres.length}${of} cameras found so far, and ${map.points.length} points; arrow keys turn the picture`);
    this.element.dataset.cameras = String(map.centres.length);
    this.fit(map);
    this.draw();
  }

  /** Turns slowly while it is looked at. */
  play(): void {
    if (this.frame !== 0 || reducedMotion()) return;
    const step = (now: number): void => {
      this.frame = requestAnimationFrame(step);
      const seconds = Math.min(0.1, (now - this.before) / 1000);
      // Thirty pictures a second are plenty for a slow turn.
      if (seconds < 0.03) return;
      this.before = now;
      if (!this.held && this.map !== null && this.element.isConnected && this.element.offsetParent !== null) this.turn(TURN_PER_SECOND * seconds, 0);
    };
    this.frame = requestAnimationFrame(step);
  }

  pause(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  private turn(azimuth: number, elevation: number): void {
    this.azimuth += azimuth;
    this.elevation = Math.min(1.5, Math.max(-0.2, this.elevation + elevation));
    this.draw();
  }

  /** Centre and size of what is worth seeing. */
  private fit(map: CameraMap): void {
    const near = map.centres.length > 0 ? map.centres : map.points;
    this.centre = mean(near);
    const distances = near.map((p) => length(minus(p, this.centre))).sort((a, b) => a - b);
    this.extent = Math.max(1e-9, (distances[Math.floor(distances.length * 0.9)] ?? 1) * 1.5);
  }

  private draw(): void {
    const ratio = Math.min(2, window.devicePixelRatio);
    const width = Math.round(this.element.clientWidth * ratio);
    const height = Math.round(this.element.clientHeight * ratio);
    const context = this.element.getContext("2d");
    if (context === null || width === 0 || height === 0) return;
    if (this.element.width !== width || this.element.height !== height) [this.element.width, this.element.height] = [width, height];
    context.clearRect(0, 0, width, height);
    if (this.map === null) return;
    const project = this.projection(width, height);
    for (const [i, p] of this.map.points.entries()) {
      const at = project(p);
      if (at === null) continue;
      const [r, g, b] = this.map.colours[i] ?? [160, 170, 185];
      context.fillStyle = `rgb(${r} ${g} ${b} / 75%)`;
      context.fillRect(at[0], at[1], 1.6 * ratio, 1.6 * ratio);
    }
    context.strokeStyle = COLOUR;
    context.lineWidth = 1.2 * ratio;
    context.lineJoin = "round";
    for (const [i, centre] of this.map.centres.entries()) this.pyramid(context, project, centre, this.map.forwards[i] ?? [0, 0, 1], i === this.map.centres.length - 1);
  }

  private pyramid(context: CanvasRenderingContext2D, project: (p: Vector) => [number, number] | null, centre: Vector, forward: Vector, latest: boolean): void {
    const size = this.extent * 0.085;
    const right = unit(cross(forward, UP));
    const down = cross(forward, right);
    const corner = (x: number, y: number): [number, number] | null =>
      project([0, 1, 2].map((k) => (centre[k] ?? 0) + size * ((forward[k] ?? 0) + x * (right[k] ?? 0) + y * (down[k] ?? 0))) as Vector);
    const corners = [corner(-0.6, -0.42), corner(0.6, -0.42), corner(0.6, 0.42), corner(-0.6, 0.42)];
    const tip = project(centre);
    if (tip === null || corners.some((c) => c === null)) return;
    context.beginPath();
    for (const c of corners) {
      context.moveTo(...tip);
      context.lineTo(...(c as [number, number]));
    }
    context.moveTo(...(corners[3] as [number, number]));
    for (const c of corners) context.lineTo(...(c as [number, number]));
    context.fillStyle = latest ? "rgb(124 196 255 / 55%)" : "rgb(124 196 255 / 12%)";
    context.fill();
    context.stroke();
  }

  private projection(width: number, height: number): (p: Vector) => [number, number] | null {
    const [ca, sa, ce, se] = [Math.cos(this.azimuth), Math.sin(this.azimuth), Math.cos(this.elevation), Math.sin(this.elevation)];
    const scale = 0.46 * Math.min(width, height * 1.5);
    const away = 3.2;
    return (p) => {
      const d = minus(p, this.centre);
      const [x, y, z] = d.map((v) => v / this.extent) as Vector;
      const [u, v] = [ca * x - sa * y, sa * x + ca * y];
      const depth = away + ce * v - se * z;
      if (depth < 0.3) return null;
      return [width / 2 + (scale * u * away) / depth, height / 2 - (scale * (ce * z + se * v) * away) / depth];
    };
  }
}

const minus = (a: Vector, b: Vector): Vector => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a: Vector, b: Vector): Vector => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const length = (a: Vector): number => Math.hypot(...a);
const unit = (a: Vector): Vector => {
  const n = length(a) || 1;
  return [a[0] / n, a[1] / n, a[2] / n];
};

function mean(all: readonly Vector[]): Vector {
  const sum = all.reduce<Vector>((s, v) => [s[0] + v[0], s[1] + v[1], s[2] + v[2]], [0, 0, 0]);
  const n = Math.max(1, all.length);
  return [sum[0] / n, sum[1] / n, sum[2] / n];
}
