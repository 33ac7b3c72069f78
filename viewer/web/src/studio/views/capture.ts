// One capture: what happens with it, what came out, and what can be done with it.

import * as actions from "../actions";
import { pictureUrl, words } from "../api";
import { confirm, dialog, prompt, toast } from "../dialog";
import { fill, h, say } from "../elements";
import { icon, type IconName } from "../icons";
import { hashOf, type Studio, type View } from "../studio";
import { type Capture, isActive, type Job, overall } from "../types";
import { count, duration, percent, size, timeLeft, when } from "../words";
import { Exports } from "./exports";
import { Gallery } from "./gallery";
import { menu } from "./menu";
import { chosenPreset, presetChoice } from "./options";
import { Messages, Result } from "./result";
import { Steps } from "./steps";

export class CaptureView implements View {
  title = "Capture";
  readonly element: HTMLElement;
  private readonly heading = h("h1", { tabIndex: -1 });
  private readonly facts = h("p.facts");
  private readonly now = h("section.card.now", { "aria-label": "Progress", hidden: true });
  private readonly nowText = h("p.now-text", { role: "status" });
  private readonly nowLeft = h("p.now-left");
  private readonly nowBar = h("i");
  private readonly nowButtons = h("div.actions");
  private readonly open = h("a.hero", { hidden: true });
  private readonly gallery = new Gallery();
  private readonly steps = new Steps();
  private readonly stepsCard: HTMLElement;
  private readonly result = new Result();
  private readonly messages = new Messages();
  private readonly exports: Exports;
  private readonly more = h("section.card.more-work", { "aria-label": "More", hidden: true });
  private readonly missing = h("div.card.empty", { hidden: true }, h("p", null, "There is no such capture. It may have been deleted."));
  private readonly body: HTMLElement;
  private shownButtons = "";
  private shownMore = "";
  private shownHero = "";

  constructor(
    private readonly studio: Studio,
    private readonly id: string,
  ) {
    this.exports = new Exports(studio);
    this.stepsCard = h("section.card.steps-card", { "aria-label": "Timeline" }, h("h2", null, "Steps"), this.steps.element);
    this.now.append(h("div.now-head", null, this.nowText, this.nowLeft), h("div.bar", { "aria-hidden": "true" }, this.nowBar), this.nowButtons);
    const options = menu("More about this capture", [
      { label: "Rename", icon: "pen", run: () => void this.rename() },
      { label: "Move to the trash", icon: "trash", run: () => void this.delete() },
    ]);
    this.body = h("div.columns", null, h("div.column.wide", null, this.now, this.open, this.gallery.element, this.result.element), h("div.column", null, this.stepsCard, this.messages.element, this.exports.element, this.more));
    this.element = h("section.capture", null, h("header.capture-head", null, h("div", null, this.heading, this.facts), options), this.missing, this.body);
    this.update();
  }

  leave(): void {
    this.gallery.leave();
  }

  update(): void {
    const capture = this.studio.store.capture(this.id);
    this.missing.hidden = capture !== null;
    this.body.hidden = capture === null;
    if (capture === null) return;
    this.title = capture.title;
    say(this.heading, capture.title);
    say(this.facts, facts(capture));
    const jobs = this.studio.store.jobsOf(this.id);
    const job = jobs.find(isActive) ?? jobs.find((j) => j.kind === "scan") ?? jobs[0] ?? null;
    const scan = jobs.find((j) => j.kind === "scan") ?? null;
    this.showNow(capture, job);
    this.showJob(capture, job, scan);
    this.showHero(capture, scan);
    this.result.update(capture);
    this.exports.update(capture, jobs);
    this.showMore(capture, jobs);
  }

  private showNow(capture: Capture, job: Job | null): void {
    const isNew = job === null && capture.scene === null;
    this.now.hidden = !isNew && (job === null || job.state === "done");
    if (this.now.hidden) return;
    this.now.dataset.state = job?.state ?? "new";
    say(this.nowText, job === null ? "This footage has not been scanned yet." : nowText(job));
    say(this.nowLeft, job?.state === "running" ? timeLeft(job.time_left_s) : "");
    this.nowBar.style.width = `${100 * (job === null ? 0 : overall(job))}%`;
    const trains = job?.kind === "scan" && job.stages.some((s) => s.name === "train" && s.state === "running");
    const key = `${job?.id} ${job?.state} ${trains}`;
    if (this.shownButtons === key) return;
    this.shownButtons = key;
    const follow = h("a.button", { href: actions.sceneUrl(capture.id) }, icon("scene"), "Follow it live");
    const begin = h("button.primary", { type: "button", onclick: () => void this.work("scan") }, icon("play"), "Start the scan");
    fill(this.nowButtons, job?.state === "running" && trains && follow, ...(job === null ? [begin] : this.jobButtons(job)));
  }

  private jobButtons(job: Job): HTMLElement[] {
    const act = (work: (id: string) => Promise<Job>) => async (): Promise<void> => {
      try {
        await work(job.id);
        await this.studio.store.refreshJob(job.id);
      } catch (error) {
        toast(words(error), "error");
      }
    };
    if (job.state === "stopping") return [];
    if (isActive(job)) return [h("button", { type: "button", onclick: act(actions.cancel) }, icon("stop"), "Stop")];
    return [h("button.primary", { type: "button", onclick: act(actions.resume) }, icon("play"), job.state === "failed" ? "Try again" : "Go on")];
  }

  private showHero(capture: Capture, scan: Job | null): void {
    // The last training view is larger than the thumbnail.
    const last = scan === null ? undefined : this.studio.store.pictures.get(scan.id)?.filter((p) => p.kind === "training").at(-1);
    const picture = scan !== null && last !== undefined ? pictureUrl(scan.id, last.name) : actions.thumbnailUrl(capture);
    const key = capture.scene === null ? "" : `${capture.scene} ${picture}`;
    if (this.shownHero === key) return;
    this.shownHero = key;
    this.open.hidden = key === "";
    if (capture.scene === null) return;
    this.open.href = capture.scene;
    fill(this.open, picture !== null && h("img", { src: picture, alt: "" }), h("span.hero-button", null, icon("scene"), "Open the scene"));
  }

  private showJob(capture: Capture, job: Job | null, scan: Job | null): void {
    this.stepsCard.hidden = job === null;
    if (job !== null) this.steps.update(job);
    this.messages.update(job?.warnings ?? []);
    const shown = job !== null && isActive(job) ? job : scan;
    if (shown !== null) this.studio.store.watchPictures(shown.id);
    const pictures = shown === null ? [] : (this.studio.store.pictures.get(shown.id) ?? []);
    this.gallery.element.hidden = pictures.length === 0;
    if (shown !== null) this.gallery.update(shown, pictures);
    this.body.classList.toggle("ready", capture.scene !== null);
  }

  private showMore(capture: Capture, jobs: readonly Job[]): void {
    const busy = jobs.some(isActive);
    const there = capture.scene !== null;
    const others = this.studio.store.runsOf(capture).filter((c) => c.id !== capture.id && c.scene !== null);
    const any = there && this.studio.store.captures.some((c) => c.id !== capture.id && c.scene !== null);
    const key = `${there} ${capture.has_mesh} ${busy} ${others.map((c) => c.id).join()} ${any}`;
    if (this.shownMore === key) return;
    this.shownMore = key;
    this.more.hidden = busy || jobs.length + Number(there) === 0;
    const row = (mark: IconName, name: string, text: string, run: () => void): HTMLElement =>
      h("button.row-button", { type: "button", onclick: run }, icon(mark), h("span", null, h("b", null, name), h("small", null, text)));
    fill(
      this.more,
      h("h2", null, "Go on from here"),
      any && row("compare", "Compare", "Two scenes side by side, from the same place", () => this.compare(others)),
      row("again", "Run again", "The same footage at another quality", () => this.again(capture)),
      there && row("mesh", capture.has_mesh ? "Make the mesh again" : "Make a mesh", "Triangles with texture and a collider, for games", () => void this.work("mesh")),
      there && row("ruler", "Find depth", "How far away everything in each picture is", () => void this.work("depth")),
    );
  }

  private async work(kind: "scan" | "mesh" | "depth"): Promise<void> {
    try {
      const job = await actions.work(this.id, kind, {});
      await this.studio.store.refreshJob(job.id);
    } catch (error) {
      toast(words(error), "error");
    }
  }

  private compare(others: readonly Capture[]): void {
    const [only] = others;
    if (others.length === 1 && only !== undefined) return this.studio.go("compare", this.id, only.id);
    const candidates = this.studio.store.captures.filter((c) => c.id !== this.id && c.scene !== null);
    const runs = new Set(others.map((c) => c.id));
    candidates.sort((a, b) => Number(runs.has(b.id)) - Number(runs.has(a.id)));
    const sheet = dialog(
      "Compare with",
      h("ul.pick-list", null, ...candidates.map((c) => h("li", null, h("a", { href: hashOf(["compare", this.id, c.id]), onclick: () => sheet.close() }, h("b", null, c.title), h("small", null, [runs.has(c.id) ? "the same footage" : "other footage", c.settings].filter((t) => t !== "").join(" · ")))))),
    );
  }

  private again(capture: Capture): void {
    const title = h("input", { type: "text", id: "again-title", value: `${capture.title} again`, maxLength: 80, required: true });
    const presets = presetChoice("again-preset", "high");
    const form = h(
      "form.prompt",
      {
        onsubmit: async (event: Event) => {
          event.preventDefault();
          try {
            const made = await actions.again(capture.id, title.value.trim(), chosenPreset(presets, "again-preset"));
            sheet.close();
            await this.studio.store.refresh();
            this.studio.go("capture", made.id);
          } catch (error) {
            toast(words(error), "error");
          }
        },
      },
      h("p", null, "Pictures and cameras are taken over; this one stays as it is, so that the two can be compared."),
      h("label", { htmlFor: "again-title" }, "Name"),
      title,
      presets,
      h("div.actions", null, h("button.primary", { type: "submit" }, icon("play"), "Start")),
    );
    const sheet = dialog("Run again", form);
  }

  private async rename(): Promise<void> {
    const capture = this.studio.store.capture(this.id);
    if (capture === null) return;
    const title = await prompt("Rename", "Name of the capture", capture.title, "Rename");
    if (title === null || title === capture.title) return;
    try {
      await actions.rename(this.id, title);
      await this.studio.store.refreshCaptures();
    } catch (error) {
      toast(words(error), "error");
    }
  }

  private async delete(): Promise<void> {
    const { store } = this.studio;
    const busy = store.jobsOf(this.id).find(isActive);
    if (busy !== undefined) {
      if (!(await confirm("Stop the work?", "This capture is being worked on. Stop it first; then it can go to the trash.", "Stop"))) return;
      await actions.cancel(busy.id).catch((error: unknown) => toast(words(error), "error"));
      return;
    }
    try {
      const deleted = await actions.toTrash(this.id);
      await store.refreshCaptures();
      this.studio.go("new");
      toast(`“${deleted.title}” is in the trash.`, "note", { label: "Undo", run: () => void undo(this.studio, deleted.id) });
    } catch (error) {
      toast(words(error), "error");
    }
  }
}

async function undo(studio: Studio, id: string): Promise<void> {
  try {
    const back = await actions.restore(id);
    await studio.store.refreshCaptures();
    studio.go("capture", back.id);
  } catch (error) {
    toast(words(error), "error");
  }
}

function facts(capture: Capture): string {
  const parts = [when(capture.created)];
  if (capture.pictures !== null) parts.push(count(capture.pictures, "picture"));
  if (capture.splats !== null) parts.push(`${capture.splats.toLocaleString("en")} splats`);
  if (capture.bytes !== null) parts.push(size(capture.bytes));
  if (capture.settings !== "") parts.push(capture.settings);
  return parts.join(" · ");
}

function nowText(job: Job): string {
  const stage = job.stages.find((s) => s.state === "running");
  const next = job.stages.find((s) => s.state === "waiting");
  switch (job.state) {
    case "queued":
      return "Waiting for its turn. Other work runs first.";
    case "stopping":
      return "Stopping. What is finished is kept.";
    case "stopped":
      return "Stopped. It can go on where it was.";
    case "failed":
      return job.error ?? "Something went wrong.";
    case "running":
      return stage === undefined ? (next === undefined ? "Finishing" : `${next.title}: starting`) : [stage.title, percent(stage.fraction)].filter((t) => t !== "").join(" ");
    case "done":
      return `Done in ${duration(job.seconds)}`;
  }
}
