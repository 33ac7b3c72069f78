// The history of edits and what it makes of the splats: undo and redo go through selections and operations alike.

import { type Cut, isCut, type Operation, placeOf } from "./operations";
import { applyStep, type Placed, type Step } from "./selection";
import { after, IDENTITY, type Sim3 } from "./sim3";

type Entry =
  | { readonly kind: "select"; step: Step }
  | { readonly kind: "clear" }
  | { readonly kind: "operation"; readonly operation: Operation };

/** The splats as they were loaded. */
export type Loaded = Omit<Placed, "place">;

export class EditModel {
  /** 1 for every splat that is left. */
  readonly alive: Uint8Array;
  /** 1 for every splat that is left and selected. */
  readonly chosen: Uint8Array;
  place: Sim3 = IDENTITY;
  left: number;
  selected = 0;
  /** Called after every change. */
  onChange: () => void = () => {};
  private entries: Entry[] = [];
  private undone: Entry[] = [];
  /** The selection before the last step, while that one is being drawn or adjusted. */
  private base: Uint8Array | null = null;

  private readonly splats: Loaded;

  /** No parameter property here: Node runs this file as it is, in a test against the Python twin. */
  constructor(splats: Loaded) {
    this.splats = splats;
    this.alive = new Uint8Array(splats.count).fill(1);
    this.chosen = new Uint8Array(splats.count);
    this.left = splats.count;
  }

  get operations(): Operation[] {
    return this.entries.flatMap((entry) => (entry.kind === "operation" ? [entry.operation] : []));
  }

  /** What the selection is made of. */
  get steps(): Step[] {
    const steps: Step[] = [];
    for (const entry of [...this.entries].reverse()) {
      if (entry.kind !== "select") break;
      steps.unshift(entry.step);
    }
    return steps;
  }

  get canUndo(): boolean {
    return this.entries.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  private get at(): Placed {
    return { ...this.splats, place: this.place };
  }

  /** Adds a step to the selection; `revise` may change it as long as nothing else happens. */
  select(step: Step): void {
    this.base = this.chosen.slice();
    this.entries.push({ kind: "select", step });
    this.undone = [];
    this.choose(step);
  }

  /** Puts another step in the last one's place: a handle was dragged, a number typed. */
  revise(step: Step): void {
    const last = this.entries.at(-1);
    if (last?.kind !== "select" || this.base === null) return this.select(step);
    last.step = step;
    this.undone = [];
    this.chosen.set(this.base);
    this.choose(step);
  }

  /** While a stroke is drawn: its newest piece is applied alone, as the pieces add up to the whole. */
  preview(piece: Step, whole: Step): void {
    const last = this.entries.at(-1);
    if (last?.kind !== "select") return this.select(whole);
    last.step = whole;
    this.choose(piece);
  }

  /** Selects nothing. */
  clear(): void {
    if (this.steps.length > 0) this.push({ kind: "clear" });
  }

  /** Takes out the selected splats, or all others. Returns why not, for the person. */
  cut(op: Cut["op"]): string | null {
    const goes = op === "delete" ? this.selected : this.left - this.selected;
    if (this.selected === 0) return "Nothing is selected.";
    if (goes === this.left) return "Nothing would be left of the scene.";
    if (goes === 0) return "Everything is selected already: nothing to take away.";
    this.push({ kind: "operation", operation: { op, select: this.steps } });
    return null;
  }

  /** Moves the world. Returns why not, for the person. */
  move(operation: Exclude<Operation, Cut>): string | null {
    const place = placeOf(operation);
    if (typeof place === "string") return place;
    this.push({ kind: "operation", operation });
    return null;
  }

  undo(): boolean {
    const entry = this.entries.pop();
    if (entry === undefined) return false;
    this.undone.push(entry);
    this.replay();
    return true;
  }

  redo(): boolean {
    const entry = this.undone.pop();
    if (entry === undefined) return false;
    this.entries.push(entry);
    this.replay();
    return true;
  }

  private push(entry: Entry): void {
    this.entries.push(entry);
    this.undone = [];
    this.base = null;
    this.perform(entry);
    this.count();
  }

  private replay(): void {
    this.alive.fill(1);
    this.chosen.fill(0);
    this.place = IDENTITY;
    this.base = null;
    for (const entry of this.entries) this.perform(entry);
    this.count();
  }

  private perform(entry: Entry): void {
    if (entry.kind === "select") return applyStep(entry.step, this.at, this.chosen);
    if (entry.kind === "operation") {
      const { operation } = entry;
      if (isCut(operation)) {
        const goes = operation.op === "delete" ? 1 : 0;
        for (let n = 0; n < this.alive.length; n++) if (this.chosen[n] === goes) this.alive[n] = 0;
      } else {
        const place = placeOf(operation);
        if (typeof place !== "string") this.place = after(place, this.place);
      }
    }
    this.chosen.fill(0);
  }

  private choose(step: Step): void {
    applyStep(step, this.at, this.chosen);
    this.count();
  }

  private count(): void {
    let [left, selected] = [0, 0];
    for (let n = 0; n < this.alive.length; n++) {
      if (this.alive[n] === 0) continue;
      left += 1;
      selected += this.chosen[n]!;
    }
    this.left = left;
    this.selected = selected;
    this.onChange();
  }
}
