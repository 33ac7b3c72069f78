// The sheet of a training: what it does, how well, and the buttons.

import { Curve } from "./curve";
import type { History, Phase, State } from "./messages";

export interface PanelActions {
  pause(): void;
  resume(): void;
  stop(): void;
  reload(): void;
  showRendered(on: boolean): void;
  showCrop(on: boolean): void;
  keepCrop(on: boolean): void;
  showPhoto(show: "photo" | "rendering" | "error" | null): void;
}

const PHASES: Record<Phase, string> = {
  waiting: "Waiting for a training to start",
  preparing: "Getting ready: reading the photos",
  training: "Training",
  paused: "Paused",
  finished: "Training has finished",
  saved: "Stopped and saved",
  stopped: "Training was interrupted; it can go on from where it was",
  failed: "Training failed; its own words are where it was started",
  lost: "The training is gone; waiting for it to come back",
};

function element<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

function textButton(id: string, text: string, title: string, onPress: () => void): HTMLButtonElement {
  const made = element("button", "", text);
  made.type = "button";
  made.id = id;
  made.title = title;
  made.addEventListener("click", onPress);
  return made;
}

/** Buttons of which one is chosen. */
class Choice<T extends string> {
  readonly row: HTMLElement;
  private readonly buttons = new Map<T, HTMLButtonElement>();

  constructor(label: string, options: readonly (readonly [T, string, string])[], onChoose: (value: T) => void) {
    this.row = element("div", "live-choice");
    this.row.setAttribute("role", "radiogroup");
    this.row.setAttribute("aria-label", label);
    for (const [value, text, title] of options) {
      const made = textButton(`live-show-${value}`, text, title, () => {
        this.choose(value);
        onChoose(value);
      });
      made.setAttribute("role", "radio");
      this.buttons.set(value, made);
      this.row.append(made);
    }
  }

  choose(value: T | null): void {
    for (const [name, made] of this.buttons) made.setAttribute("aria-checked", String(name === value));
  }

  set disabled(value: boolean) {
    for (const made of this.buttons.values()) made.disabled = value;
  }
}

export class TrainingPanel {
  private readonly phase = element("p", "live-phase");
  private readonly bar = element("progress");
  private readonly numbers = element("dl", "live-numbers");
  private readonly curve = new Curve();
  private readonly pause: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;
  private readonly reload: HTMLButtonElement;
  private readonly crop: HTMLButtonElement;
  private readonly keep = element("input");
  private readonly note = element("p", "live-note");
  private readonly photoNote = element("p", "live-note");
  private readonly source: Choice<"splats" | "rendered">;
  private readonly photo: Choice<"scene" | "photo" | "rendering" | "error">;
  private state: State | null = null;
  private connected = false;
  private isStranger = false;

  constructor(body: HTMLElement, actions: PanelActions) {
    body.classList.add("live-panel");
    this.phase.id = "live-phase";
    this.phase.setAttribute("role", "status");
    this.bar.id = "live-bar";
    this.bar.setAttribute("aria-label", "Steps done");
    this.pause = textButton("live-pause", "Pause", "Hold the training; looking is then as fast as it can be", () =>
      this.state?.phase === "paused" ? actions.resume() : actions.pause(),
    );
    this.stop = textButton(
      "live-stop",
      "Stop and save",
      "End here: what there is becomes the scene, and training can go on from it later",
      () => actions.stop(),
    );
    this.reload = textButton("live-reload", "Open the finished scene", "Loads the page anew", () => actions.reload());
    this.reload.classList.add("primary");
    const buttons = element("div", "panel-row live-buttons");
    buttons.append(this.pause, this.stop);
    this.source = new Choice(
      "What is shown",
      [
        ["splats", "Splats", "The splats themselves, without what depends on the direction of view"],
        ["rendered", "Trainer's picture", "Drawn by the trainer for exactly this view: for scenes too big to send"],
      ],
      (value) => actions.showRendered(value === "rendered"),
    );
    this.photo = new Choice(
      "At a photo",
      [
        ["scene", "Scene", "The scene from this photo's camera"],
        ["photo", "Photo", "The photo as it is trained on"],
        ["rendering", "Rendering", "What the trainer draws for this photo"],
        ["error", "Error", "Where the two differ"],
      ],
      (value) => actions.showPhoto(value === "scene" ? null : value),
    );
    this.crop = textButton("live-crop", "Crop box", "Show only what lies in a box", () =>
      actions.showCrop(this.crop.getAttribute("aria-pressed") !== "true"),
    );
    this.crop.setAttribute("aria-pressed", "false");
    this.keep.type = "checkbox";
    this.keep.id = "live-keep";
    this.keep.addEventListener("change", () => actions.keepCrop(this.keep.checked));
    const keepLabel = element("label", "live-keep");
    keepLabel.title = "When training ends, splats outside the box are left out. Until then they are trained on: the photos show them.";
    keepLabel.append(this.keep, "Crop the result, too");
    this.note.id = "live-note";
    this.photoNote.id = "live-photo-note";
    body.append(this.phase, this.bar, buttons, this.reload, this.numbers, this.curve.element);
    body.append(element("h3", "", "Shown"), this.source.row, this.note, element("h3", "", "At a photo"), this.photo.row, this.photoNote);
    body.append(element("h3", "", "Crop"), this.crop, keepLabel);
    this.source.choose("splats");
    this.atPhoto(null);
    this.refresh();
  }

  connection(connected: boolean): void {
    this.connected = connected;
    if (connected) this.isStranger = false;
    this.refresh();
  }

  /** The server was started anew, with another key. */
  stranger(): void {
    this.isStranger = true;
    this.refresh();
  }

  show(state: State, history: History): void {
    this.state = state;
    this.curve.draw(history, state.steps);
    const rate = history.step_ms.at(-1);
    const psnr = history.psnr_db.slice(-5);
    const share = state.seconds > 0 ? (100 * state.watchingSeconds) / (state.seconds + state.watchingSeconds) : 0;
    const rows: [string, string][] = [
      ["Step", `${state.step.toLocaleString("en")} of ${state.steps.toLocaleString("en")}`],
      ["Splats", state.splats.toLocaleString("en")],
      ["PSNR", psnr.length > 0 ? `${(psnr.reduce((a, b) => a + b, 0) / psnr.length).toFixed(1)} dB on training photos` : "–"],
      ["Per step", rate === undefined ? "–" : `${rate.toFixed(rate < 10 ? 1 : 0)} ms`],
      ["Showing it", `${share.toFixed(1)} % of its time`],
    ];
    this.numbers.replaceChildren(
      ...rows.map(([name, value]) => {
        const row = element("div");
        row.append(element("dt", "", name), element("dd", "", value));
        return row;
      }),
    );
    this.refresh();
  }

  /** What the splats on the canvas are. */
  shown(text: string): void {
    this.note.textContent = text;
  }

  words(text: string): void {
    this.photoNote.textContent = text;
  }

  atPhoto(name: string | null): void {
    this.photo.disabled = name === null;
    this.photo.choose(name === null ? null : "scene");
    if (name === null) this.photoNote.textContent = "Stand at one of the photos to compare it.";
    else this.photoNote.textContent = "";
  }

  cropped(on: boolean, keeps: boolean): void {
    this.crop.setAttribute("aria-pressed", String(on));
    this.keep.disabled = !on;
    this.keep.checked = on && keeps;
  }

  private refresh(): void {
    const phase = this.state?.phase ?? "waiting";
    const runs = this.connected && (phase === "training" || phase === "paused" || phase === "preparing");
    const lost = this.isStranger
      ? "Diorama was started anew. Open the link that it printed."
      : "The connection to Diorama was lost, trying again …";
    let words = this.connected ? PHASES[phase] : lost;
    if (runs && this.state?.isStopping === true) words = "Stopping and saving …";
    this.phase.textContent = words;
    document.body.dataset.training = this.connected ? phase : "offline";
    this.phase.classList.toggle("lost", !this.connected || phase === "lost" || phase === "failed");
    this.bar.max = Math.max(1, this.state?.steps ?? 1);
    this.bar.value = this.state?.step ?? 0;
    this.pause.textContent = phase === "paused" ? "Resume" : "Pause";
    this.pause.disabled = !runs || this.state?.isStopping === true;
    this.stop.disabled = !runs || this.state?.isStopping === true;
    this.reload.hidden = phase !== "finished" && phase !== "saved";
  }
}
