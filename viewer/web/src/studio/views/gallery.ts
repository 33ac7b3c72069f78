// What a job shows of itself: frames as they are chosen, cameras as they are found, the training view as it improves.

import { get, pictureUrl } from "../api";
import { fill, h, keyed, say } from "../elements";
import { icon } from "../icons";
import type { Job, Picture } from "../types";
import { count } from "../words";
import { CameraCanvas, parseMap } from "./cameras";

type Tab = "training" | "cameras" | "frames";
const TABS: { id: Tab; name: string }[] = [
  { id: "frames", name: "Pictures" },
  { id: "cameras", name: "Cameras" },
  { id: "training", name: "Training" },
];

/** Three looks at a job; the one that has news comes to the front until a person picks one. */
export class Gallery {
  readonly element: HTMLElement;
  private readonly tabs = new Map<Tab, HTMLButtonElement>();
  private readonly panels = new Map<Tab, HTMLElement>();
  private readonly training = new Training();
  private readonly frames = new Frames();
  private readonly canvas = new CameraCanvas();
  private readonly found = h("p.pane-note");
  private shown: Tab = "frames";
  private picked = false;
  private map = "";

  constructor() {
    const list = h("div.tabs", { role: "tablist", "aria-label": "What is going on" });
    for (const { id, name } of TABS) {
      const tab = h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `pane-${id}`, onclick: () => this.pick(id) }, name);
      tab.addEventListener("keydown", (event) => this.step(event));
      this.tabs.set(id, tab);
      list.append(tab);
    }
    const contents: Record<Tab, Node[]> = { training: [this.training.element], cameras: [this.canvas.element, this.found], frames: [this.frames.element] };
    for (const { id } of TABS) this.panels.set(id, h("div.pane", { role: "tabpanel", id: `pane-${id}`, "aria-labelledby": `tab-${id}` }, ...contents[id]));
    this.element = h("section.card.gallery", { "aria-label": "Pictures of the work" }, list, ...this.panels.values());
    this.show("frames");
  }

  update(job: Job, pictures: readonly Picture[]): void {
    const of = (...kinds: Picture["kind"][]): Picture[] => pictures.filter((p) => kinds.includes(p.kind));
    const [frames, maps, training] = [of("chosen", "refused"), of("cameras"), of("training")];
    this.frames.update(job, frames);
    this.training.update(job, training);
    this.showMap(job, maps.at(-1));
    const filled: Record<Tab, boolean> = { frames: frames.length > 0, cameras: maps.length > 0, training: training.length > 0 };
    for (const { id } of TABS) (this.tabs.get(id) as HTMLButtonElement).disabled = !filled[id];
    if (!this.picked) {
      const latest = [...TABS].reverse().find(({ id }) => filled[id]);
      if (latest !== undefined && latest.id !== this.shown) this.show(latest.id);
    }
  }

  leave(): void {
    this.canvas.pause();
  }

  private showMap(job: Job, picture: Picture | undefined): void {
    if (picture === undefined || picture.name === this.map) return;
    this.map = picture.name;
    get<unknown>(pictureUrl(job.id, picture.name)).then(
      (value) => {
        if (this.map !== picture.name) return;
        const map = parseMap(value);
        this.canvas.show(map);
        say(this.found, `${map.centres.length}${map.total === null ? "" : ` of ${map.total}`} cameras found`);
      },
      () => (this.map = ""),
    );
  }

  private pick(tab: Tab): void {
    this.picked = true;
    this.show(tab);
  }

  private show(tab: Tab): void {
    this.shown = tab;
    for (const [id, button] of this.tabs) {
      button.setAttribute("aria-selected", String(id === tab));
      button.tabIndex = id === tab ? 0 : -1;
      (this.panels.get(id) as HTMLElement).hidden = id !== tab;
    }
    if (tab === "cameras") this.canvas.play();
    else this.canvas.pause();
  }

  /** Arrow keys go from tab to tab, as in every list of tabs. */
  private step(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) return;
    const able = TABS.filter(({ id }) => !this.tabs.get(id)?.disabled);
    const at = able.findIndex(({ id }) => id === this.shown);
    const next = able[(at + step + able.length) % able.length];
    if (next === undefined) return;
    event.preventDefault();
    this.pick(next.id);
    this.tabs.get(next.id)?.focus();
  }
}

/** The training view, with a slider through what it was. */
class Training {
  readonly element: HTMLElement;
  private readonly image = h("img", { alt: "The view that is being trained", decoding: "async" });
  private readonly slider = h("input", { type: "range", min: "0", step: "1", "aria-label": "Through the training" });
  private readonly note = h("p.pane-note");
  private pictures: Picture[] = [];
  private job = "";
  private follows = true;

  constructor() {
    this.slider.addEventListener("input", () => {
      this.follows = Number(this.slider.value) === this.pictures.length - 1;
      this.draw();
    });
    this.element = h("div.training", null, h("div.frame", null, this.image), h("div.scrub", null, this.slider, this.note));
  }

  update(job: Job, pictures: Picture[]): void {
    if (pictures.length === 0) return;
    this.job = job.id;
    this.pictures = pictures;
    this.slider.max = String(pictures.length - 1);
    this.slider.disabled = pictures.length < 2;
    if (this.follows) this.slider.value = this.slider.max;
    this.draw();
  }

  private draw(): void {
    const picture = this.pictures[Number(this.slider.value)];
    if (picture === undefined) return;
    const url = pictureUrl(this.job, picture.name);
    if (this.image.getAttribute("src") !== url) this.image.src = url;
    const text = picture.step === null ? "" : `after ${count(picture.step, "step")}`;
    this.slider.setAttribute("aria-valuetext", text);
    say(this.note, text);
  }
}

/** Chosen frames, and those that were refused with the reason. */
class Frames {
  readonly element: HTMLElement;
  private readonly grid = h("ul.frames");
  private readonly note = h("p.pane-note");
  private readonly only: HTMLInputElement;
  private pictures: Picture[] = [];
  private job = "";

  constructor() {
    this.only = h("input", { type: "checkbox" });
    this.only.addEventListener("change", () => this.draw());
    this.element = h("div.frames-pane", null, h("div.frames-bar", null, this.note, h("label.tick", null, this.only, h("span", null, "Only refused ones"))), this.grid);
  }

  update(job: Job, pictures: Picture[]): void {
    if (pictures.length === this.pictures.length && job.id === this.job) return;
    const atEnd = this.grid.scrollTop + this.grid.clientHeight > this.grid.scrollHeight - 40;
    this.job = job.id;
    this.pictures = pictures;
    this.draw();
    // Follows the newest while nobody has scrolled elsewhere.
    if (atEnd) this.grid.scrollTop = this.grid.scrollHeight;
  }

  private draw(): void {
    const refused = this.pictures.filter((p) => p.kind === "refused").length;
    const chosen = this.pictures.length - refused;
    say(this.note, `${chosen} chosen${refused > 0 ? `, ${refused} refused` : ""}`);
    (this.only.parentElement as HTMLElement).hidden = refused === 0;
    if (refused === 0) this.only.checked = false;
    const shown = this.only.checked ? this.pictures.filter((p) => p.kind === "refused") : this.pictures;
    keyed(this.grid, shown, (p) => p.name, (p) => frameTile(this.job, p));
  }
}

function frameTile(job: string, picture: Picture): HTMLElement {
  const refused = picture.kind === "refused";
  const image = h("img", { src: pictureUrl(job, picture.name), alt: refused ? `${picture.title}, refused: ${picture.reason}` : picture.title, loading: "lazy", decoding: "async" });
  const tile = h(`li.frame-tile.${picture.kind}`, { title: refused ? `${picture.title}: ${picture.reason}` : picture.title }, image);
  if (refused) fill(tile, image, h("span.why", null, picture.reason));
  else tile.append(h("span.tick-mark", { "aria-hidden": "true" }, icon("check")));
  return tile;
}
