// The open sheet: what the splats are coloured by, its legend, and the photos to take.

import "./coverage.css";
import { freeLens, lensInRect, photoRect, pointInThree, viewpointOf } from "../../coordinates";
import { press } from "../../dom";
import type { Page } from "../../page";
import type { CanvasTool } from "../../tools";
import type { Coverage } from "./data";
import { type Measure, measures, rampCss } from "./measures";
import { Paint } from "./paint";
import { Shots } from "./shots";

export class CoverageView {
  private readonly paint: Paint;
  private readonly shots: Shots;
  private readonly measures: readonly Measure[];
  private readonly buttons: readonly HTMLButtonElement[];
  private readonly legend = document.createElement("div");
  private readonly items: readonly HTMLButtonElement[];
  private readonly tool: CanvasTool;
  private isOpen = false;
  private chosen: number | null = null;

  constructor(
    private readonly page: Page,
    private readonly coverage: Coverage,
    body: HTMLElement,
  ) {
    this.paint = new Paint(coverage);
    this.shots = new Shots(page, coverage.shots);
    this.measures = measures(coverage);
    this.legend.className = "coverage-legend";
    this.buttons = this.measures.map((measure) => this.measureButton(measure));
    this.items = coverage.shots.map((_, index) => this.item(index));
    body.append(...this.content());
    this.tool = { name: "coverage", cursor: "grab", click: (x, y) => this.click(x, y) };
    page.onSplats((mesh) => this.isOpen && this.paint.use(mesh));
    this.measure(this.measures[0]!);
  }

  /** Opened or closed: the scene looks as always when it is closed. */
  show(open: boolean): void {
    if (this.isOpen === open) return;
    this.isOpen = open;
    this.paint.use(open ? this.page.splats : null);
    this.shots.visible = open;
    if (open) this.page.tools.use(this.tool);
    else {
      this.page.tools.end(this.tool);
      this.choose(null);
      this.page.navigation.changeLens(freeLens);
    }
    document.body.dataset.coverage = open ? "1" : "0";
    this.page.stage.invalidate();
  }

  private content(): HTMLElement[] {
    const row = document.createElement("div");
    row.className = "coverage-measures";
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", "Colour the scene by");
    row.append(...this.buttons);
    const list = document.createElement("ol");
    list.className = "coverage-shots";
    for (const item of this.items) {
      const entry = document.createElement("li");
      entry.append(item);
      list.append(entry);
    }
    const words = document.createElement("p");
    words.textContent =
      this.items.length === 0
        ? "No other photo would add much."
        : "Photos that would help most, the best first. Press one to stand there.";
    return [row, this.legend, words, list];
  }

  private measureButton(measure: Measure): HTMLButtonElement {
    const element = document.createElement("button");
    element.type = "button";
    element.textContent = measure.label;
    element.dataset.measure = measure.id;
    element.addEventListener("click", () => this.measure(measure));
    return element;
  }

  private measure(measure: Measure): void {
    this.buttons.forEach((button) => press(button, button.dataset.measure === measure.id));
    this.paint.show(measure);
    const { legend } = measure;
    this.legend.replaceChildren(...("swatches" in legend ? swatches(legend.swatches) : scale(legend.low, legend.high)));
    this.page.stage.invalidate();
  }

  private item(index: number): HTMLButtonElement {
    const shot = this.coverage.shots[index]!;
    const element = document.createElement("button");
    element.type = "button";
    element.className = "coverage-shot";
    const picture = document.createElement("img");
    picture.src = shot.thumbnail;
    picture.alt = `What would be seen from place ${index + 1}`;
    const number = document.createElement("b");
    number.textContent = String(index + 1);
    const words = document.createElement("span");
    words.textContent = shot.what;
    const todo = document.createElement("strong");
    todo.textContent = shot.do;
    element.append(picture, number, words, todo);
    element.addEventListener("click", () => this.fly(index));
    return element;
  }

  /** Stands where the photo should be taken and looks as its camera would. */
  private fly(index: number): void {
    const { page } = this;
    const { camera, target } = this.coverage.shots[index]!;
    this.choose(index);
    const view = viewpointOf(camera);
    page.navigation.onLeave();
    void page.navigation.flyTo(view, view.position.distanceTo(pointInThree(target)), (width, height) =>
      lensInRect(camera, photoRect(camera, { left: 0, top: 0, width, height })),
    );
  }

  private choose(index: number | null): void {
    this.chosen = index;
    this.shots.choose(index);
    this.items.forEach((item, i) => {
      if (i === index) item.setAttribute("aria-current", "true");
      else item.removeAttribute("aria-current");
    });
    if (index !== null) this.items[index]!.scrollIntoView({ block: "nearest" });
    document.body.dataset.shot = this.chosen === null ? "" : String(this.chosen + 1);
  }

  private click(x: number, y: number): boolean {
    const index = this.shots.pick(x, y);
    if (index === null) return false;
    this.fly(index);
    return true;
  }
}

function swatches(all: readonly { colour: readonly number[]; text: string }[]): HTMLElement[] {
  return all.map(({ colour, text }) => {
    const row = document.createElement("span");
    const swatch = document.createElement("i");
    swatch.style.background = `rgb(${colour.join(" ")})`;
    row.append(swatch, text);
    return row;
  });
}

function scale(low: string, high: string): HTMLElement[] {
  const bar = document.createElement("div");
  bar.className = "coverage-ramp";
  bar.style.background = rampCss();
  const ends = document.createElement("div");
  ends.className = "coverage-ends";
  for (const text of [low, high]) {
    const end = document.createElement("span");
    end.textContent = text;
    ends.append(end);
  }
  return [bar, ends];
}
