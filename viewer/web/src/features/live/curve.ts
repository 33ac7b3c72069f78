// The PSNR of training photos over the steps, as a small drawing.

import type { History } from "./messages";

const WIDTH = 268;
const HEIGHT = 84;
const SVG = "http://www.w3.org/2000/svg";

export class Curve {
  readonly element = document.createElementNS(SVG, "svg");
  private readonly dots = document.createElementNS(SVG, "path");
  private readonly line = document.createElementNS(SVG, "path");
  private readonly low = document.createElementNS(SVG, "text");
  private readonly high = document.createElementNS(SVG, "text");

  constructor() {
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("class", "live-curve");
    this.element.setAttribute("role", "img");
    this.dots.setAttribute("class", "dots");
    this.line.setAttribute("class", "line");
    this.high.setAttribute("y", "11");
    this.low.setAttribute("y", String(HEIGHT - 4));
    for (const label of [this.low, this.high]) label.setAttribute("x", String(WIDTH - 4));
    this.element.append(this.dots, this.line, this.low, this.high);
  }

  /** Photos differ, so single values jump: the line is their running mean. */
  draw(history: History, steps: number): void {
    const values = history.psnr_db;
    this.element.dataset.points = String(values.length);
    if (values.length === 0) return;
    const means = values.map((_, i) => {
      const part = values.slice(Math.max(0, i - 4), i + 1);
      return part.reduce((a, b) => a + b, 0) / part.length;
    });
    const least = Math.floor(Math.min(...values) - 0.5);
    const most = Math.ceil(Math.max(...values) + 0.5);
    const last = Math.max(steps, history.step.at(-1) ?? 1);
    const x = (i: number): string => ((history.step[i]! / last) * WIDTH).toFixed(1);
    const y = (v: number): string => (HEIGHT - 2 - ((v - least) / (most - least)) * (HEIGHT - 4)).toFixed(1);
    this.line.setAttribute("d", means.map((v, i) => `${i === 0 ? "M" : "L"}${x(i)} ${y(v)}`).join(""));
    this.dots.setAttribute("d", values.map((v, i) => `M${x(i)} ${y(v)}h0`).join(""));
    this.high.textContent = `${most} dB`;
    this.low.textContent = `${least} dB`;
    this.element.setAttribute("aria-label", `PSNR of training photos: ${means.at(-1)!.toFixed(1)} dB now`);
  }
}
