// Points of the scene picked one after the other, for the floor, the way up and a measured distance.

import type { Page } from "../../page";
import type { CanvasTool } from "../../tools";
import type { Vec3 } from "./sim3";
import { inWorld, pixelOf } from "./view";

export class Picks implements CanvasTool {
  readonly name: string;
  readonly points: Vec3[] = [];
  private readonly marks: HTMLElement[] = [];

  constructor(
    private readonly page: Page,
    name: string,
    private readonly wanted: number,
    private readonly onPoint: (points: readonly Vec3[]) => void,
    private readonly onEnd: () => void,
  ) {
    this.name = `edit-${name}`;
  }

  click(x: number, y: number): void {
    if (this.points.length >= this.wanted) return;
    const hit = this.page.pick(x, y);
    if (hit === null) return this.page.notice("There is nothing of the scene under this point; click on a surface.");
    this.points.push(inWorld(hit));
    const mark = document.createElement("div");
    mark.className = "edit-mark";
    mark.textContent = String(this.points.length);
    this.page.stage.canvas.after(mark);
    this.marks.push(mark);
    this.follow();
    this.onPoint(this.points);
  }

  /** With the keyboard: the middle of the picture. */
  pickMiddle(): void {
    this.click(this.page.stage.width / 2, this.page.stage.height / 2);
  }

  follow(): void {
    this.marks.forEach((mark, i) => {
      const pixel = pixelOf(this.page.stage, this.points[i]!);
      mark.hidden = pixel === null;
      if (pixel !== null) mark.style.transform = `translate(${pixel[0]}px, ${pixel[1]}px)`;
    });
  }

  end(): void {
    for (const mark of this.marks) mark.remove();
    this.marks.length = 0;
    this.onEnd();
  }
}
