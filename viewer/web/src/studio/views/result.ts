// How good the scan is, as the report says it.

import { report as fetchReport } from "../actions";
import { fill, h } from "../elements";
import { icon } from "../icons";
import type { Capture, Finding, Report } from "../types";
import { count, duration } from "../words";

/** The verdict, what was found and what to do about it, and the main numbers. */
export class Result {
  readonly element = h("section.card.result", { "aria-label": "Report", hidden: true });
  private shown = "";

  update(capture: Capture): void {
    const version = `${capture.id} ${capture.changed}`;
    if (capture.report === null || version === this.shown) return;
    this.shown = version;
    const url = capture.report;
    fetchReport(url).then(
      (report) => {
        if (this.shown === version) this.draw(url, report);
      },
      () => (this.shown = ""),
    );
  }

  private draw(url: string, report: Report): void {
    const { verdict } = report;
    const [first, ...rest] = verdict.sentences;
    const findings = verdict.findings.filter((f) => f.severity !== "good");
    fill(
      this.element,
      h("div.verdict", { dataset: { level: verdict.level ?? "" } }, h("span.verdict-mark", { "aria-hidden": "true" }, icon(verdict.level === "good" ? "check" : "warn")), h("div", null, h("p.verdict-first", null, first ?? ""), ...(findings.length > 0 ? [] : rest.map((s) => h("p", null, s))))),
      findings.length > 0 && h("ul.findings", null, ...findings.slice(0, 4).map(findingItem)),
      h("dl.numbers", null, ...numbers(report).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
      h("p.report-line", null, h("a.button", { href: url, target: "_blank", rel: "noopener" }, icon("report"), "Open the report")),
    );
    this.element.hidden = false;
  }
}

const findingItem = (finding: Finding): HTMLElement => h("li", { dataset: { severity: finding.severity } }, h("b", null, finding.what), h("span", null, finding.do));

function numbers(report: Report): [string, string][] {
  const { frames, splats, world } = report;
  const rows: [string, string][] = [];
  if (frames.registered !== null && frames.chosen !== null) rows.push(["Pictures with a camera", `${frames.registered} of ${frames.chosen}`]);
  if (splats.count !== null) rows.push(["Splats", splats.count.toLocaleString("en")]);
  if (splats.held_out.psnr_db !== null) rows.push(["Photos it never saw", `${splats.held_out.psnr_db.toFixed(1)} dB`]);
  rows.push(["Size", world.is_metric === true ? "true, in metres" : "not known"]);
  const total = Object.values(report.timings_s).reduce<number>((sum, t) => sum + (t ?? 0), 0);
  if (total > 0) rows.push(["Time taken", duration(total)]);
  return rows;
}

/** The warnings of a job in plain words. */
export class Messages {
  readonly element = h("section.card.messages", { "aria-label": "Messages", hidden: true });
  private readonly list = h("ul");
  private readonly head = h("h2");

  constructor() {
    this.element.append(this.head, this.list);
    this.list.setAttribute("aria-live", "polite");
  }

  update(warnings: readonly string[]): void {
    this.element.hidden = warnings.length === 0;
    if (this.list.children.length === warnings.length) return;
    fill(this.head, icon("warn"), count(warnings.length, "message"));
    fill(this.list, ...warnings.map((w) => h("li", null, w)));
  }
}
