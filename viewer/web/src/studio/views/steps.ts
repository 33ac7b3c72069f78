// A job's steps as a timeline.

import { fill, h, keyed, say } from "../elements";
import { icon } from "../icons";
import type { Job, Stage } from "../types";
import { duration, percent } from "../words";

/** One line a step: done, running with its bar, or to come. */
export class Steps {
  readonly element = h("ol.steps", { "aria-label": "Steps" });

  update(job: Job): void {
    const shown = job.stages.filter((s) => s.state !== "skipped");
    const stages: Stage[] = shown.length > 0 ? shown : [{ name: job.kind, title: job.title, state: "waiting", fraction: null, seconds: 0 }];
    keyed(this.element, stages, (s) => s.name, make, (element, stage) => update(element, stage, job));
  }
}

function make(stage: Stage): HTMLElement {
  const bar = h("div.bar", { role: "progressbar", "aria-label": stage.title, "aria-valuemin": "0", "aria-valuemax": "100" }, h("i"));
  return h("li.step", null, h("span.step-mark", { "aria-hidden": "true" }), h("div.step-words", null, h("b", null, stage.title), h("span.step-time"), h("small.step-detail"), bar));
}

function update(element: HTMLElement, stage: Stage, job: Job): void {
  const stopped = !["queued", "running", "stopping", "done"].includes(job.state);
  const failed = stopped && stage.name === job.stage;
  const state = failed ? job.state : stage.state;
  if (element.dataset.state !== state) {
    element.dataset.state = state;
    const mark = element.querySelector(".step-mark") as Element;
    fill(mark, state === "done" ? icon("check") : state === "failed" ? icon("close") : state === "stopped" ? icon("pause") : null);
    if (state === "running") element.setAttribute("aria-current", "step");
    else element.removeAttribute("aria-current");
  }
  const running = state === "running";
  say(element.querySelector(".step-time") as Element, running && stage.fraction !== null ? percent(stage.fraction) : stage.seconds > 0 ? duration(stage.seconds) : "");
  say(element.querySelector(".step-detail") as Element, running ? job.detail : "");
  const bar = element.querySelector(".bar") as HTMLElement;
  bar.hidden = !running;
  bar.classList.toggle("unknown", stage.fraction === null);
  if (stage.fraction === null) bar.removeAttribute("aria-valuenow");
  else bar.setAttribute("aria-valuenow", String(Math.floor(100 * stage.fraction)));
  (bar.firstElementChild as HTMLElement).style.width = stage.fraction === null ? "" : `${100 * stage.fraction}%`;
}
