// Files to take away: those that are there, and others to be made.

import { exportFiles, exportUrl, makeExport } from "../actions";
import { words } from "../api";
import { toast } from "../dialog";
import { fill, h, keyed, say } from "../elements";
import { icon } from "../icons";
import type { Studio } from "../studio";
import { type Capture, type ExportFile, isActive, type Job } from "../types";
import { percent, size } from "../words";

interface Offer {
  id: string;
  name: string;
  wanted: { format?: string; what?: string; for?: string };
}

const PROGRAMS: Offer[] = [
  { id: "unreal", name: "Unreal Engine", wanted: { for: "unreal" } },
  { id: "unity", name: "Unity", wanted: { for: "unity" } },
  { id: "godot", name: "Godot", wanted: { for: "godot" } },
  { id: "blender", name: "Blender", wanted: { for: "blender" } },
  { id: "web", name: "The web", wanted: { for: "web" } },
  { id: "visionos", name: "Apple Vision Pro", wanted: { for: "visionos" } },
];
const FORMATS: Offer[] = [
  { id: "ply", name: "Splats, PLY", wanted: { format: "ply", what: "splats" } },
  { id: "spz", name: "Splats, SPZ", wanted: { format: "spz", what: "splats" } },
  { id: "sog", name: "Splats, SOG", wanted: { format: "sog", what: "splats" } },
  { id: "splat", name: "Splats, .splat", wanted: { format: "splat", what: "splats" } },
  { id: "points", name: "Points, PLY", wanted: { format: "ply", what: "points" } },
  { id: "cameras", name: "Cameras, COLMAP", wanted: { format: "colmap", what: "cameras" } },
];
const OF_MESH: Offer[] = [
  { id: "mesh-glb", name: "Mesh, GLB", wanted: { format: "glb", what: "mesh" } },
  { id: "mesh-usdz", name: "Mesh, USDZ", wanted: { format: "usdz", what: "mesh" } },
  { id: "mesh-obj", name: "Mesh, OBJ", wanted: { format: "obj", what: "mesh" } },
];

export class Exports {
  readonly element: HTMLElement;
  private readonly list = h("ul.files");
  private readonly choice = h("select", { id: "export-choice" });
  private readonly make = h("button", { type: "submit" }, icon("add"), "Make");
  private readonly running = h("p.hint", { role: "status" });
  private readonly all = h("details.all-files", { hidden: true });
  private readonly allList = h("ul.files");
  private capture: Capture | null = null;
  private known = "";
  private offered = "";

  constructor(private readonly studio: Studio) {
    const form = h(
      "form.make-export",
      {
        onsubmit: (event: Event) => {
          event.preventDefault();
          void this.submit();
        },
      },
      h("label", { htmlFor: "export-choice" }, "Make files for"),
      h("div.together", null, this.choice, this.make),
    );
    this.all.append(h("summary", null, "All files"), this.allList);
    this.element = h("section.card.exports", { "aria-label": "Files to take away", hidden: true }, h("h2", null, "Take it away"), this.list, this.all, form, this.running);
  }

  update(capture: Capture, jobs: readonly Job[]): void {
    this.capture = capture;
    this.element.hidden = capture.scene === null;
    if (capture.scene === null) return;
    this.offer(capture);
    const making = jobs.find((j) => j.kind === "export" && isActive(j));
    const failed = jobs.find((j) => j.kind === "export");
    say(this.running, making !== undefined ? `${making.title}: ${making.state === "queued" ? "waiting for its turn" : percent(making.fraction) || "at work"} …` : failed?.state === "failed" ? (failed.error ?? "") : "");
    this.running.classList.toggle("bad", making === undefined && failed?.state === "failed");
    // Files can only have changed when a job has ended, or the capture has.
    const version = `${capture.id} ${capture.changed} ${jobs.map((j) => `${j.id}${j.state}`).join()}`;
    if (version === this.known) return;
    this.known = version;
    exportFiles(capture.id).then((files) => this.draw(capture, files), () => (this.known = ""));
  }

  private offer(capture: Capture): void {
    const mesh = capture.has_mesh ? "mesh" : "";
    if (this.offered === `${capture.id}${mesh}`) return;
    this.offered = `${capture.id}${mesh}`;
    const group = (label: string, offers: Offer[]): HTMLElement => h("optgroup", { label }, ...offers.map((o) => h("option", { value: o.id }, o.name)));
    fill(this.choice, group("Programs", PROGRAMS), group("Formats", [...FORMATS, ...(capture.has_mesh ? OF_MESH : [])]));
  }

  private draw(capture: Capture, files: ExportFile[]): void {
    const side = (f: ExportFile): boolean => f.name.endsWith(".export.json") || (f.format === "" && !f.name.endsWith(".mp4"));
    const main = files.filter((f) => !side(f));
    keyed(this.list, main, (f) => `${f.name} ${f.changed}`, (f) => fileRow(capture.id, f));
    keyed(this.allList, files.filter(side), (f) => `${f.name} ${f.changed}`, (f) => fileRow(capture.id, f));
    this.all.hidden = this.allList.children.length === 0;
  }

  private async submit(): Promise<void> {
    const offer = [...PROGRAMS, ...FORMATS, ...OF_MESH].find((o) => o.id === this.choice.value);
    if (offer === undefined || this.capture === null) return;
    this.make.disabled = true;
    try {
      const job = await makeExport(this.capture.id, offer.wanted);
      await this.studio.store.refreshJob(job.id);
    } catch (error) {
      toast(words(error), "error");
    } finally {
      this.make.disabled = false;
    }
  }
}

function fileRow(capture: string, file: ExportFile): HTMLElement {
  const name = file.name.slice(file.name.lastIndexOf("/") + 1);
  const folder = file.name.includes("/") ? file.name.slice(0, file.name.lastIndexOf("/")) : "";
  const about = [folder, file.what, size(file.size_bytes), file.stale ? "made from an older state" : ""].filter((t) => t !== "").join(" · ");
  return h("li", null, h("a.file", { href: exportUrl(capture, file.name), download: name, title: `Download ${file.name}` }, icon("down"), h("span", null, h("b", null, name), h("small", null, about))));
}
