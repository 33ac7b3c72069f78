// The sheet of the camera path: keyframes of the view, their order and times, a preview, and the film.

import "./path.css";
import { freeLens, viewpointOf } from "../../coordinates";
import { button } from "../../dom";
import { PageError } from "../../errors";
import type { SceneCamera } from "../../manifest";
import type { Page } from "../../page";
import { el, line, numberInput, shown, slider, textButton } from "../edit/fields";
import { matrixOf } from "../edit/sim3";
import { pinholeOf } from "../edit/view";
import { Film } from "./film";
import { PathLine } from "./line";
import { type Keyframe, type PathDocument, type Place, placeAt, wayBetween } from "./spline";

const SIZES = ["1280 x 720", "1920 x 1080", "3840 x 2160", "1080 x 1920", "1080 x 1080"];
const MIN_GAP_S = 0.1;
const ICONS = {
  up: '<path d="m6.500 14.500 5.500-5.500 5.500 5.500" />',
  down: '<path d="m6.500 9.500 5.500 5.500 5.500-5.500" />',
  remove: '<path d="m6.500 6.500 11 11m0-11-11 11" />',
};

export class PathPanel {
  private keys: Keyframe[] = [];
  private readonly list = el("ol", "panel-list path-keys");
  private readonly path: PathLine;
  private readonly scrub = slider("path-scrub", "Place on the path", { min: 0, max: 1, step: 0.001, onInput: () => this.scrubbed() });
  private readonly play = textButton("path-play", "Play", () => this.togglePlay());
  private readonly fps = numberInput("path-fps", "Pictures a second", { min: 1, max: 240, step: 1, onInput: () => {} });
  private readonly size = el("select");
  private readonly download: HTMLButtonElement;
  private readonly render: HTMLButtonElement;
  private readonly progress = el("progress");
  private readonly result = el("p");
  private readonly base: string | undefined;
  private isOpen = false;
  /** The time of the preview that runs. */
  private playing: number | null = null;
  private film: Film | null = null;

  constructor(
    private readonly page: Page,
    body: HTMLElement,
  ) {
    this.base = page.scene.server.video;
    this.path = new PathLine(page);
    this.fps.value = "30";
    this.size.id = "path-size";
    for (const size of SIZES) this.size.append(el("option", "", size));
    const add = textButton("path-add", "Add this view", () => this.add(), "Add the present view as a keyframe");
    add.classList.add("primary");
    this.download = textButton("path-download", "Download path", () => this.save(), "The path as JSON, for `diorama render --path`");
    this.render = textButton("path-render", "Make video", () => void this.make(), "Rendered by Diorama in full quality");
    this.progress.id = "path-progress";
    this.progress.hidden = this.result.hidden = true;
    this.render.hidden = this.base === undefined;
    const hint = this.base === undefined ? el("p", "", "Take the path along and render it with diorama render --path FILE.") : "";
    body.append(
      add,
      this.list,
      this.scrub,
      this.play,
      line("Size", this.size),
      line("Pictures a second", this.fps),
      el("div", "path-two", this.download, this.render),
      this.progress,
      this.result,
      hint,
    );
    page.onFrame((seconds) => this.step(seconds));
    this.changed();
  }

  opened(open: boolean): void {
    this.isOpen = open;
    if (!open) this.stop();
    this.path.show(this.keys, open);
  }

  private get duration(): number {
    return this.keys.at(-1)?.time_s ?? 0;
  }

  private add(): void {
    const { rotation_wxyz, translation } = pinholeOf(this.page.stage);
    const place: Place = { quaternion_wxyz: rotation_wxyz, translation };
    const last = this.keys.at(-1);
    // A calm pace: the scene's radius in four seconds.
    const { radius } = this.page;
    const gap = last === undefined ? 0 : Math.min(20, Math.max(1, (4 * wayBetween(last, place, radius)) / radius));
    this.keys.push({ ...place, time_s: last === undefined ? 0 : Math.round((last.time_s + gap) * 10) / 10 });
    this.changed();
  }

  private remove(index: number): void {
    const [gone] = this.keys.splice(index, 1);
    const first = this.keys[0];
    if (index === 0 && first !== undefined && gone !== undefined) this.shift(first.time_s);
    this.changed();
  }

  private shift(by: number): void {
    this.keys = this.keys.map((key) => ({ ...key, time_s: Math.round((key.time_s - by) * 1000) / 1000 }));
  }

  /** Places change, times stay. */
  private swap(index: number, other: number): void {
    const [a, b] = [this.keys[index], this.keys[other]];
    if (a === undefined || b === undefined) return;
    this.keys[index] = { ...b, time_s: a.time_s };
    this.keys[other] = { ...a, time_s: b.time_s };
    this.changed();
  }

  /** A keyframe's time; those after it keep their distance to it. */
  private retime(index: number, time: number): void {
    const before = this.keys[index - 1]?.time_s ?? 0;
    const key = this.keys[index]!;
    const moved = Math.max(time, before + MIN_GAP_S) - key.time_s;
    this.keys = this.keys.map((k, i) => (i < index ? k : { ...k, time_s: Math.round((k.time_s + moved) * 1000) / 1000 }));
    this.changed();
  }

  private changed(): void {
    this.list.replaceChildren(...this.keys.map((key, index) => this.row(key, index)));
    const { length } = this.keys;
    this.play.disabled = this.scrub.disabled = length < 2;
    this.download.disabled = length === 0;
    this.render.disabled = length === 0 || this.film !== null;
    this.path.show(this.keys, this.isOpen);
    document.body.dataset.pathKeys = String(length);
  }

  private row(key: Keyframe, index: number): HTMLElement {
    const go = textButton(`path-go-${index + 1}`, `View ${index + 1}`, () => (this.stop(), this.look(key)), "Go to this view");
    go.classList.add("path-go");
    const time = numberInput(`path-time-${index + 1}`, `Time of view ${index + 1} in seconds`, { min: 0, step: 0.1, onInput: () => {} });
    time.value = shown(key.time_s);
    time.disabled = index === 0;
    time.addEventListener("change", () => this.retime(index, time.valueAsNumber || 0));
    const small = (icon: keyof typeof ICONS, label: string, action: () => void, off = false): HTMLButtonElement => {
      const made = button({ id: `path-${icon}-${index + 1}`, label: `${label} view ${index + 1}`, icon: ICONS[icon] });
      made.classList.add("icon");
      made.disabled = off;
      made.addEventListener("click", action);
      return made;
    };
    return el(
      "li",
      "",
      go,
      time,
      el("span", "", "s"),
      small("up", "Earlier:", () => this.swap(index, index - 1), index === 0),
      small("down", "Later:", () => this.swap(index, index + 1), index === this.keys.length - 1),
      small("remove", "Remove", () => this.remove(index)),
    );
  }

  private look(place: Place): void {
    const m = matrixOf(place.quaternion_wxyz);
    const t = place.translation;
    const rows = [0, 1, 2].map((i) => [m[3 * i], m[3 * i + 1], m[3 * i + 2], t[i]]);
    this.page.navigation.changeLens(freeLens);
    this.page.navigation.place(viewpointOf({ camFromWorld: rows } as unknown as SceneCamera), this.page.radius);
  }

  private scrubbed(): void {
    this.stop();
    if (this.keys.length > 0) this.look(placeAt(this.keys, this.scrub.valueAsNumber * this.duration));
  }

  private togglePlay(): void {
    if (this.playing !== null) return this.stop();
    this.playing = 0;
    this.play.textContent = "Stop";
    this.path.show(this.keys, false);
    this.page.stage.invalidate();
  }

  private stop(): void {
    if (this.playing === null) return;
    this.playing = null;
    this.play.textContent = "Play";
    this.path.show(this.keys, this.isOpen);
  }

  private step(seconds: number): boolean {
    if (this.playing === null) return false;
    this.look(placeAt(this.keys, this.playing));
    this.scrub.value = String(this.playing / this.duration);
    if (this.playing >= this.duration) this.stop();
    else this.playing = Math.min(this.playing + seconds, this.duration);
    return true;
  }

  /** The document that `diorama render --path` reads. */
  private document(): PathDocument {
    const [width, height] = this.size.value.split(" x ").map(Number) as [number, number];
    const lens = freeLens(width, height);
    const fps = Math.min(240, Math.max(1, this.fps.valueAsNumber || 30));
    const camera = { width_px: width, height_px: height, ...lens };
    return { format: "diorama-camera-path", version: 1, fps, camera, keyframes: this.keys };
  }

  private save(): void {
    const url = URL.createObjectURL(new Blob([JSON.stringify(this.document(), null, 1)], { type: "application/json" }));
    const link = el("a");
    link.href = url;
    link.download = "camera-path.json";
    link.click();
    URL.revokeObjectURL(url);
  }

  private async make(): Promise<void> {
    if (this.base === undefined || this.film !== null) return;
    const film = new Film(this.base);
    this.film = film;
    const cancel = textButton("path-cancel", "Cancel", () => void film.cancel());
    this.progress.hidden = this.result.hidden = false;
    this.result.replaceChildren("The film is being made … ", cancel);
    this.changed();
    try {
      const version = /(\d+)$/.exec(this.page.scene.server.version ?? "0")?.[1] ?? "0";
      const address = await film.make(this.document(), version, (fraction) => (this.progress.value = fraction));
      this.result.replaceChildren(address === null ? "Cancelled." : this.link(address));
    } catch (error) {
      this.result.replaceChildren(error instanceof PageError ? error.advice : String(error));
    }
    this.progress.hidden = true;
    this.film = null;
    this.changed();
  }

  private link(address: string): HTMLAnchorElement {
    const link = el("a", "", "Download the video");
    link.id = "path-video";
    link.href = address;
    link.download = "";
    return link;
  }
}
