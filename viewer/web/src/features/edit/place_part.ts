// The sheet's part that puts the world right: floor, up and scale by points that are picked.

import type { Page } from "../../page";
import { el, line, numberInput, textButton } from "./fields";
import type { EditModel } from "./model";
import type { Placing } from "./operations";
import { Picks } from "./picks";
import { length, subtract, type Vec3 } from "./sim3";
import { eyeOf } from "./view";

interface Job {
  readonly points: number;
  readonly ask: (count: number) => string;
}

const JOBS: Record<Placing["op"], Job> = {
  floor: { points: 3, ask: (n) => `Click three points of the floor, far apart (${n} of 3).` },
  up: { points: 2, ask: (n) => (n === 0 ? "Click the foot of something upright." : "Click its top.") },
  scale: { points: 2, ask: (n) => (n === 0 ? "Click one end of what you measured." : "Click its other end.") },
};

export class PlacePart {
  readonly element: HTMLElement;
  private readonly hint = el("p");
  private readonly middle = textButton("edit-pick", "Pick in the middle", () => this.picks?.pickMiddle(), "Pick the point in the middle of the picture (Enter)");
  private readonly metres = numberInput("edit-metres", "Distance in metres", { min: 0, onInput: () => {} });
  private readonly metresRow: HTMLElement;
  private picks: Picks | null = null;
  private measured: readonly [Vec3, Vec3] | null = null;

  constructor(
    private readonly page: Page,
    private readonly model: EditModel,
    private readonly onMove: () => void,
  ) {
    const buttons = el(
      "div",
      "edit-grid",
      textButton("edit-floor", "Floor", () => this.begin("floor"), "Set the floor by three points"),
      textButton("edit-up", "Up", () => this.begin("up"), "Set what is upright by two points"),
      textButton("edit-scale", "Scale", () => this.begin("scale"), "Set the scale by a distance that you measured"),
    );
    const apply = textButton("edit-scale-apply", "Set scale", () => this.scale());
    this.metresRow = el("div", "panel-row", line("Metres", this.metres), apply);
    this.metres.addEventListener("keydown", (event) => event.key === "Enter" && this.scale());
    this.element = el("details", "", el("summary", "", "Floor, up and scale"), buttons, this.hint, this.middle, this.metresRow);
    page.shortcuts.add("Enter", () => (this.picks === null ? false : this.picks.pickMiddle()));
    page.onFrame(() => (this.picks?.follow(), false));
    this.rest();
  }

  /** Puts down what was begun. */
  rest(): void {
    if (this.picks !== null) this.page.tools.end(this.picks);
    this.picks = null;
    this.measured = null;
    this.hint.hidden = this.middle.hidden = this.metresRow.hidden = true;
  }

  private begin(op: Placing["op"]): void {
    this.rest();
    const job = JOBS[op];
    const picks = new Picks(
      this.page,
      op,
      job.points,
      (points) => (points.length < job.points ? this.say(job.ask(points.length)) : this.done(op, [...points])),
      () => this.picks === picks && ((this.picks = null), this.measured === null && this.rest()),
    );
    this.picks = picks;
    this.page.tools.use(picks);
    this.middle.hidden = false;
    this.say(job.ask(0));
  }

  private say(text: string): void {
    this.hint.hidden = false;
    this.hint.textContent = text;
  }

  private done(op: Placing["op"], points: Vec3[]): void {
    const [a, b, c] = points as [Vec3, Vec3, Vec3];
    if (op === "floor") this.move({ op, points: [a, b, c], above: eyeOf(this.page.stage) });
    else if (op === "up") this.move({ op, start: a, end: b });
    else {
      this.measured = [a, b];
      this.middle.hidden = true;
      this.metresRow.hidden = false;
      const now = `${Number(length(subtract(a, b)).toPrecision(4))} ${this.page.scene.isMetric ? "m" : "units"}`;
      this.say(`Now ${now}. How far are they apart in metres?`);
      this.metres.value = "";
      this.metres.focus();
    }
  }

  private scale(): void {
    if (this.measured === null) return;
    const [a, b] = this.measured;
    const metres = this.metres.valueAsNumber;
    if (!(metres > 0)) return this.page.notice("Type the distance in metres, a number above 0.");
    this.move({ op: "scale", a, b, metres });
  }

  private move(operation: Placing): void {
    const refused = this.model.move(operation);
    this.rest();
    if (refused !== null) this.page.notice(refused);
    else this.onMove();
  }
}
