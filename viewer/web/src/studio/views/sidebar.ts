// The list of captures and what can be done without one.

import { thumbnailUrl } from "../actions";
import { fill, h, keyed, say } from "../elements";
import { icon, type IconName } from "../icons";
import { hashOf, type Route, type Studio } from "../studio";
import { type Capture, isActive, type Job, overall } from "../types";
import type { Upload } from "../upload/uploads";
import { percent, size, when } from "../words";

interface Row {
  key: string;
  route: Route;
  title: string;
  text: string;
  /** 0 to 1 while something runs. */
  fraction: number | null;
  tone: "calm" | "busy" | "bad" | "good";
  picture: string | null;
  mark: IconName;
}

export class Sidebar {
  readonly element: HTMLElement;
  private readonly list = h("ul.captures");
  private readonly nothing = h("p.nothing", null, "Your scans will be listed here.");
  private readonly trash: HTMLAnchorElement;

  constructor(
    private readonly studio: Studio,
    onPhone: () => void,
  ) {
    this.trash = h("a.trash-link", { href: hashOf(["trash"]) });
    this.element = h(
      "nav.side",
      { "aria-label": "Captures" },
      h("header.brand-row", null, h("a.brand", { href: "#/" }, brandMark(), "Diorama"), h("button.quiet.round", { type: "button", title: "Use a phone", "aria-label": "Use a phone", onclick: onPhone }, icon("phone"))),
      h("a.button.primary.new-scan", { href: hashOf(["new"]) }, icon("add"), "New scan"),
      h("div.list-box", null, this.list, this.nothing),
      this.trash,
    );
  }

  update(route: Route): void {
    const rows = [...this.studio.uploads.list().map(uploadRow), ...this.studio.store.captures.map((c) => this.captureRow(c))];
    this.nothing.hidden = rows.length > 0;
    keyed(this.list, rows, (r) => r.key, makeRow, (element, row) => updateRow(element, row, row.route.join("/") === route.slice(0, 2).join("/")));
    const trash = this.studio.store.trash.length;
    fill(this.trash, icon("trash"), h("span", null, "Trash"), trash > 0 && h("span.badge", null, trash));
    this.trash.toggleAttribute("aria-current", route[0] === "trash");
  }

  private captureRow(capture: Capture): Row {
    const job = this.studio.store.jobsOf(capture.id).find(isActive) ?? null;
    const bad = capture.state === "failed";
    return {
      key: `capture ${capture.id}`,
      route: ["capture", capture.id],
      title: capture.title,
      text: captureText(capture, job),
      fraction: job === null ? null : overall(job),
      tone: job !== null ? "busy" : bad ? "bad" : capture.scene !== null ? "good" : "calm",
      picture: thumbnailUrl(capture),
      mark: "scene",
    };
  }
}

function captureText(capture: Capture, job: Job | null): string {
  if (job !== null) {
    if (job.state === "queued") return "Waiting for its turn";
    if (job.state === "stopping") return "Stopping …";
    const stage = job.stages.find((s) => s.state === "running");
    return [stage?.title ?? job.title, percent(stage?.fraction)].filter((t) => t !== "").join(" ");
  }
  const state = { new: "New", waiting: "Waiting", working: "Working", stopped: "Stopped", failed: "Failed", ready: "" }[capture.state];
  return [state, size(capture.bytes), when(capture.created)].filter((t) => t !== "").join(" · ");
}

function uploadRow(upload: Upload): Row {
  const fraction = upload.total > 0 ? upload.bytes / upload.total : 0;
  const texts: Record<Upload["state"], string> = {
    sending: `Uploading ${percent(fraction)}`,
    paused: `Paused at ${percent(fraction)}`,
    unreachable: "Waiting for the connection",
    "needs files": "Choose the files again",
    elsewhere: "Uploading in another tab",
    starting: "Starting …",
    failed: "Upload refused",
  };
  return {
    key: `upload ${upload.batch.key}`,
    route: ["upload", upload.batch.key],
    title: upload.batch.title,
    text: texts[upload.state],
    fraction,
    tone: upload.state === "failed" || upload.state === "needs files" ? "bad" : "busy",
    picture: null,
    mark: "up",
  };
}

function makeRow(row: Row): HTMLElement {
  const picture = h("span.thumb", null, icon(row.mark));
  const words = h("span.row-words", null, h("b"), h("small"));
  return h("li", null, h("a.row", { href: hashOf(row.route) }, picture, words, h("i.row-bar", { "aria-hidden": "true" })));
}

function updateRow(element: HTMLElement, row: Row, current: boolean): void {
  const link = element.querySelector("a") as HTMLAnchorElement;
  link.dataset.tone = row.tone;
  if (current) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
  say(link.querySelector("b") as Element, row.title);
  say(link.querySelector("small") as Element, row.text);
  const bar = link.querySelector<HTMLElement>(".row-bar");
  if (bar !== null) {
    bar.hidden = row.fraction === null;
    bar.style.width = `${100 * (row.fraction ?? 0)}%`;
  }
  const thumb = link.querySelector(".thumb") as HTMLElement;
  if (row.picture !== null && thumb.dataset.src !== row.picture) {
    thumb.dataset.src = row.picture;
    fill(thumb, h("img", { src: row.picture, alt: "", loading: "lazy", decoding: "async" }));
  }
}

function brandMark(): HTMLElement {
  return h("span.brand-mark", { "aria-hidden": "true" }, icon("scene"));
}
