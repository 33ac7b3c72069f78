// An upload on its way.

import { ApiError, words } from "../api";
import { confirm, toast } from "../dialog";
import { fill, h, say } from "../elements";
import { icon } from "../icons";
import type { Studio, View } from "../studio";
import { ACCEPT, choose, type Found, fromPicker } from "../upload/footage";
import type { Upload } from "../upload/uploads";
import { count, percent, size, timeLeft } from "../words";

export class UploadView implements View {
  readonly title: string;
  readonly element: HTMLElement;
  private readonly state = h("p.upload-state", { role: "status" });
  private readonly numbers = h("p.upload-numbers");
  private readonly bar = h("i");
  private readonly track: HTMLElement;
  private readonly percentage = h("span.upload-percent", { "aria-hidden": "true" });
  private readonly buttons = h("div.actions");
  private readonly again: HTMLInputElement;
  private shownState = "";

  constructor(
    private readonly studio: Studio,
    private readonly key: string,
  ) {
    const upload = studio.uploads.get(key);
    this.title = upload?.batch.title ?? "Upload";
    this.track = h("div.bar", { role: "progressbar", "aria-label": "Uploaded", "aria-valuemin": "0", "aria-valuemax": "100" }, this.bar);
    this.again = h("input", { type: "file", multiple: true, hidden: true, accept: ACCEPT, id: "choose-again", "aria-label": "Choose the files again" });
    this.again.addEventListener("change", () => this.attach(fromPicker(this.again.files ?? [])));
    this.element = h(
      "section.upload",
      null,
      h("div.card.upload-card", null, h("span.upload-mark", { "aria-hidden": "true" }, icon("up")), h("h1", null, this.title), this.state, this.track, h("div.upload-line", null, this.percentage, this.numbers), this.buttons),
      this.again,
    );
    this.update();
  }

  update(): void {
    const upload = this.studio.uploads.get(this.key);
    if (upload === null) return;
    const fraction = upload.total > 0 ? Math.min(1, upload.bytes / upload.total) : 0;
    this.bar.style.width = `${100 * fraction}%`;
    this.track.setAttribute("aria-valuenow", String(Math.floor(100 * fraction)));
    say(this.percentage, percent(fraction));
    say(this.numbers, numbers(upload));
    say(this.state, stateText(upload));
    this.element.dataset.state = upload.state;
    if (this.shownState !== upload.state) {
      this.shownState = upload.state;
      fill(this.buttons, ...this.actions(upload));
    }
  }

  private actions(upload: Upload): HTMLElement[] {
    const { uploads } = this.studio;
    const cancel = h("button.quiet", { type: "button", onclick: () => void this.cancel() }, "Cancel");
    if (upload.state === "starting") return [];
    if (upload.state === "paused") return [cancel, h("button.primary", { type: "button", onclick: () => uploads.resume(this.key) }, icon("play"), "Continue")];
    if (upload.state === "needs files") return [cancel, h("button.primary", { type: "button", onclick: () => this.again.click() }, icon("folder"), "Choose the files again")];
    if (upload.state === "failed") return [cancel, h("button.primary", { type: "button", onclick: () => uploads.resume(this.key) }, icon("again"), "Try again")];
    return [cancel, h("button", { type: "button", onclick: () => uploads.pause(this.key) }, icon("pause"), "Pause")];
  }

  drop(found: readonly Found[]): void {
    if (this.studio.uploads.get(this.key)?.state === "needs files") this.attach(found);
  }

  private attach(found: readonly Found[]): void {
    const problem = this.studio.uploads.attach(this.key, choose(found).found);
    if (problem !== null) toast(problem, "error");
  }

  private async cancel(): Promise<void> {
    if (!(await confirm("Cancel this upload?", "What has arrived so far is thrown away. Your own files stay where they are.", "Cancel the upload"))) return;
    try {
      await this.studio.uploads.cancel(this.key);
    } catch (error) {
      if (error instanceof ApiError) toast(words(error), "error");
    }
    this.studio.go("new");
  }
}

function stateText(upload: Upload): string {
  switch (upload.state) {
    case "sending":
      return "Uploading. You can use this page meanwhile; keep it open.";
    case "paused":
      return "Paused. Nothing is lost.";
    case "unreachable":
      return "Connection lost, trying again. It goes on where it was.";
    case "needs files":
      return "This browser no longer has the files. Choose them again and the upload goes on where it was.";
    case "elsewhere":
      return "This upload runs in another tab of this browser.";
    case "starting":
      return "All there. Starting the scan …";
    case "failed":
      return upload.error;
  }
}

function numbers(upload: Upload): string {
  const files = upload.batch.files.length;
  const speed = upload.bytesPerSecond;
  const parts = [`${size(upload.bytes)} of ${size(upload.total)}`];
  if (files > 1) parts.push(count(files, "file"));
  if (upload.state === "sending" && speed !== null && speed > 0) {
    parts.push(`${size(speed)}/s`, timeLeft((upload.total - upload.bytes) / speed));
  }
  return parts.join(" · ");
}
