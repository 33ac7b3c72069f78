// Two runs side by side: one scene left of a line, the other right of it, and their numbers.

import { compare } from "../actions";
import { words } from "../api";
import { fill, h, say } from "../elements";
import { icon } from "../icons";
import type { Studio, View } from "../studio";
import type { Comparison } from "../types";
import { percent } from "../words";
import type { TwoScenes } from "./scenes";

const STEP = 2;

export class CompareView implements View {
  readonly title = "Compare";
  readonly element: HTMLElement;
  private readonly under = h("canvas", { tabIndex: 0, role: "application", "aria-label": "Both scenes; drag to turn them" });
  private readonly over = h("canvas.over", { "aria-hidden": "true" });
  private readonly handle: HTMLElement;
  private readonly box: HTMLElement;
  private readonly note = h("p.compare-note", { role: "status" }, "Opening both scenes …");
  private readonly labels = [h("b.label.left"), h("b.label.right")] as const;
  private readonly photo = h("select", { "aria-label": "Stand where a photo was taken" });
  private readonly bar = h("div.compare-bar", { hidden: true });
  private readonly table = h("div.card.compare-rows", { hidden: true });
  private readonly hint = h("p.hint", { hidden: true });
  private two: TwoScenes | null = null;
  private left = false;
  private split = 50;

  constructor(studio: Studio, a: string, b: string) {
    this.handle = h("div.handle", { tabIndex: 0, role: "slider", "aria-label": "Line between the two scenes", "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": "100" }, h("span", null, icon("compare")));
    this.box = h("div.compare-box", null, this.under, this.over, this.handle, ...this.labels, this.note);
    const swap = h("button", { type: "button", onclick: () => studio.go("compare", b, a) }, icon("again"), "Swap sides");
    const home = h("button", { type: "button", onclick: () => this.home() }, icon("back"), "First view");
    const step = (by: number) => (): void => this.stepPhoto(by);
    this.photo.addEventListener("change", () => this.stand());
    this.bar.append(
      home,
      h("div.together", null, h("button.round", { type: "button", "aria-label": "Previous photo", onclick: step(-1) }, icon("back")), this.photo, h("button.round", { type: "button", "aria-label": "Next photo", onclick: step(1) }, icon("next"))),
      swap,
    );
    this.element = h("section.compare", null, h("header.capture-head", null, h("h1", { tabIndex: -1 }, "Side by side")), this.box, this.bar, this.hint, this.table);
    this.listen();
    this.setSplit(50);
    this.open(a, b).catch((error: unknown) => {
      this.box.classList.add("failed");
      say(this.note, words(error));
    });
  }

  update(): void {}

  leave(): void {
    this.left = true;
    this.two?.close();
  }

  private async open(a: string, b: string): Promise<void> {
    const comparison = await compare(a, b);
    this.describe(comparison);
    if (comparison.a.scene === null || comparison.b.scene === null) throw new Error("One of the two has no scene yet.");
    const { TwoScenes } = await import("./scenes");
    if (this.left) return;
    const two = await TwoScenes.open(this.under, this.over, [comparison.a.scene, comparison.b.scene], comparison.b_from_a, (fraction) =>
      say(this.note, fraction < 1 ? `Loading ${percent(fraction)}` : "Preparing the picture …"),
    );
    if (this.left) return two.close();
    this.two = two;
    this.note.hidden = true;
    this.bar.hidden = false;
    this.element.dataset.ready = "1";
  }

  private describe(comparison: Comparison): void {
    const { a, b } = comparison;
    say(this.labels[0], a.title);
    say(this.labels[1], b.title);
    fill(this.photo, h("option", { value: "" }, "A photo’s place"), ...comparison.shared.map((name) => h("option", { value: name }, name)));
    (this.photo.parentElement as HTMLElement).hidden = comparison.shared.length === 0;
    this.hint.hidden = comparison.b_from_a !== null;
    say(this.hint, comparison.b_from_a === null ? "These two share too few pictures to be laid over each other: each stands as it was scanned." : "");
    const cells = (row: [string, string, string]): HTMLElement => h("tr", null, h("th", { scope: "row" }, row[0]), h("td", null, row[1]), h("td", null, row[2]));
    this.table.hidden = comparison.rows.length === 0;
    fill(this.table, h("table", null, h("thead", null, h("tr", null, h("td"), h("th", { scope: "col" }, a.title), h("th", { scope: "col" }, b.title))), h("tbody", null, ...comparison.rows.map(cells))));
  }

  private listen(): void {
    this.handle.addEventListener("pointerdown", (event) => {
      this.handle.setPointerCapture(event.pointerId);
      event.preventDefault();
      this.handle.focus({ preventScroll: true });
    });
    this.handle.addEventListener("pointermove", (event) => {
      if (!this.handle.hasPointerCapture(event.pointerId)) return;
      const { left, width } = this.box.getBoundingClientRect();
      this.setSplit((100 * (event.clientX - left)) / Math.max(1, width));
    });
    this.handle.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: this.split - STEP, ArrowRight: this.split + STEP, Home: 0, End: 100 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.setSplit(to);
    });
  }

  /** Where the line is, in percent of the width. */
  private setSplit(to: number): void {
    this.split = Math.min(100, Math.max(0, to));
    this.over.style.clipPath = `inset(0 0 0 ${this.split}%)`;
    this.handle.style.left = `${this.split}%`;
    this.handle.setAttribute("aria-valuenow", String(Math.round(this.split)));
  }

  private home(): void {
    this.photo.value = "";
    this.two?.home();
  }

  private stand(): void {
    if (this.photo.value === "") this.two?.home();
    else this.two?.standAt(this.photo.value);
  }

  private stepPhoto(by: number): void {
    const count = this.photo.options.length;
    const next = this.photo.selectedIndex + by;
    this.photo.selectedIndex = next < 1 ? count - 1 : next >= count ? 1 : next;
    this.stand();
  }
}
