// A new scan: drop footage, say how it is to be made, go.

import { thumbnailUrl } from "../actions";
import { fill, h, keyed, say } from "../elements";
import { icon } from "../icons";
import { hashOf, type Studio, type View } from "../studio";
import { ACCEPT, type Choice, choose, type Found, fromPicker, kindOf } from "../upload/footage";
import { count, size, titleOf } from "../words";
import { Options } from "./options";
import { tips } from "./tips";

const SHOWN = 11;
const RECENT = 6;

/** The big drop zone; what is dropped turns it into a tray with the options below. */
export class StartView implements View {
  readonly title = "New scan";
  readonly element: HTMLElement;
  private found: Found[] = [];
  private readonly zone: HTMLElement;
  private readonly tray = h("div.tray", { hidden: true });
  private readonly problem = h("p.problem", { role: "alert", hidden: true });
  private readonly options: Options;
  private readonly heading = h("header.start-head", null, h("h1", null, "Turn footage into a place"), h("p", null, "A slow walk around with a phone, or overlapping photos, is all it takes."));
  private readonly recent = h("section.recent", { "aria-label": "Scenes" });
  private readonly tips = tips();
  private urls: string[] = [];

  constructor(
    private readonly studio: Studio,
    onPhone: () => void,
  ) {
    const files = h("input", { type: "file", multiple: true, accept: ACCEPT, hidden: true, id: "choose-files", "aria-label": "Choose a video or photos" });
    const folder = h("input", { type: "file", multiple: true, hidden: true, id: "choose-folder", "aria-label": "Choose a folder", webkitdirectory: true });
    for (const input of [files, folder]) {
      input.addEventListener("change", () => {
        this.add(fromPicker(input.files ?? []));
        input.value = "";
      });
    }
    this.zone = h(
      "div.zone",
      null,
      h("span.zone-mark", { "aria-hidden": "true" }, icon("film"), icon("photo")),
      h("p.zone-big", null, h("span.with-mouse", null, "Drop a video or photos here"), h("span.with-touch", null, "Add a video or photos")),
      h("div.zone-ways", null,
        h("button.primary", { type: "button", onclick: () => files.click() }, icon("add"), h("span.with-mouse", null, "Choose files"), h("span.with-touch", null, "From this phone")),
        h("button.with-mouse", { type: "button", onclick: () => folder.click() }, icon("folder"), "Choose a folder"),
        h("button.with-mouse", { type: "button", onclick: onPhone }, icon("phone"), "Use a phone"),
      ),
      h("p.zone-small", null, "MP4, MOV, MKV, WebM · JPEG, HEIC, PNG, TIFF, RAW"),
    );
    this.options = new Options(() => this.start(), () => this.clear());
    this.element = h("section.start", null, this.heading, this.zone, this.problem, this.tray, this.options.element, this.recent, this.tips, files, folder);
    this.update();
  }

  update(): void {
    const ready = this.studio.store.captures.filter((c) => c.scene !== null && c.thumbnail !== null).slice(0, RECENT);
    this.recent.hidden = ready.length === 0 || this.found.length > 0;
    this.tips.hidden = ready.length > 0 || this.found.length > 0;
    keyed(
      this.recent,
      ready,
      (c) => `${c.id} ${c.changed}`,
      (c) => h("a.recent-item", { href: hashOf(["capture", c.id]) }, h("img", { src: thumbnailUrl(c), alt: "", loading: "lazy", decoding: "async" }), h("span", null, c.title)),
      (element, c) => say(element.querySelector("span") as Element, c.title),
    );
  }

  leave(): void {
    this.dropUrls();
  }

  drop(found: readonly Found[]): void {
    this.add(found);
  }

  private add(found: readonly Found[]): void {
    if (found.length > 0) this.show(choose([...this.found, ...found]));
  }

  private show(choice: Choice): void {
    this.found = choice.found;
    this.problem.hidden = choice.problem === null && choice.leftOut.length === 0;
    this.problem.classList.toggle("soft", choice.problem === null);
    const left = choice.leftOut.length;
    say(this.problem, choice.problem ?? (left > 0 ? `${count(left, "file")} left out: neither a video nor photos (${choice.leftOut[0]}${left > 1 ? ", …" : ""}).` : ""));
    const some = this.found.length > 0;
    this.heading.hidden = some;
    this.zone.classList.toggle("small", some);
    this.tray.hidden = !some;
    this.fillTray();
    this.update();
    this.options.show(some, choice.problem === null, this.found.map((f) => f.path), titleOf(this.found.map((f) => f.path)));
  }

  private fillTray(): void {
    this.dropUrls();
    const bytes = this.found.reduce((sum, f) => sum + f.file.size, 0);
    const videos = this.found.filter((f) => kindOf(f.path) === "video").length;
    const photos = this.found.length - videos;
    const what = [videos > 0 && count(videos, "video"), photos > 0 && count(photos, "photo")].filter(Boolean).join(" and ");
    const more = this.found.length - SHOWN;
    fill(
      this.tray,
      h("p.tray-head", null, h("b", null, what), ` · ${size(bytes)}`, h("button.quiet", { type: "button", onclick: () => this.clear() }, "Clear")),
      h("ul.tray-files", null, ...this.found.slice(0, SHOWN).map((f) => this.tile(f)), more > 0 && h("li.tile.more", null, `+ ${more}`)),
    );
  }

  private tile(found: Found): HTMLElement {
    const remove = h("button.round", { type: "button", "aria-label": `Remove ${found.path}`, onclick: () => this.show(choose(this.found.filter((f) => f !== found))) }, icon("close"));
    const shown = /\.(jpe?g|png|webp)$/i.test(found.path);
    const mark = icon(kindOf(found.path) === "video" ? "film" : "photo");
    return h("li.tile", { title: found.path }, shown ? h("img", { src: this.url(found.file), alt: "", decoding: "async" }) : mark, h("span", null, found.file.name), remove);
  }

  private url(file: File): string {
    const url = URL.createObjectURL(file);
    this.urls.push(url);
    return url;
  }

  private dropUrls(): void {
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
  }

  private clear(): void {
    this.show({ found: [], leftOut: [], problem: null });
  }

  private start(): void {
    const key = this.studio.uploads.add(this.found, this.options.plan());
    this.studio.go("upload", key);
  }
}
