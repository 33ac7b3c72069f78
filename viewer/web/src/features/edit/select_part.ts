// The sheet's part that selects: tools, how their regions are put together, and each tool's own settings.

import type { Page } from "../../page";
import type { CanvasTool } from "../../tools";
import { Brush } from "./brush";
import { DrawShape, shapeOf } from "./draw";
import { Choice, el, line, shown, slider } from "./fields";
import type { EditModel, Loaded } from "./model";
import type { Mode, Range, Region, Step } from "./selection";
import { type Shape, ShapeView } from "./shape";
import { ShapeForm } from "./shape_form";
import { inWorld } from "./view";

type ToolName = "box" | "sphere" | "brush" | "opacity" | "size";

const TOOLS: readonly (readonly [ToolName, string, string])[] = [
  ["box", "Box", "Select by a box"],
  ["sphere", "Sphere", "Select by a sphere"],
  ["brush", "Brush", "Select by brushing"],
  ["opacity", "Faint", "Select by opacity"],
  ["size", "Large", "Select by size"],
];
const MODES: readonly (readonly [Exclude<Mode, "toggle">, string, string])[] = [
  ["add", "Add", "Select this too"],
  ["subtract", "Subtract", "Select this no more"],
  ["intersect", "Overlap", "Keep selected only what lies in this too"],
];
const HINTS: Record<ToolName, string> = {
  box: "Drag over the scene to draw a box, then fit it by its handles or numbers.",
  sphere: "Drag over the scene to draw a sphere, then fit it by its handles or numbers.",
  brush: "Paint over the scene; two fingers or Alt move the view. Shift adds, Ctrl takes away.",
  opacity: "What is fainter than this, such as haze.",
  size: "What is larger than this, such as smears.",
};

export class SelectPart {
  readonly element: HTMLElement;
  private readonly tools: Choice<ToolName>;
  private readonly modes: Choice<Exclude<Mode, "toggle">>;
  private readonly hint = el("p");
  private readonly form: ShapeForm;
  private readonly shapeView: ShapeView;
  private readonly brush: Brush;
  private readonly brushRows: HTMLElement;
  private readonly brushRadius = slider("edit-brush-radius", "Brush size", { min: 4, max: 120, step: 1, onInput: () => {} });
  private readonly surface = el("input");
  private readonly range = slider("edit-range", "Threshold", { min: 0, max: 1, step: 0.005, onInput: () => this.ranged() });
  private readonly rangeText = el("span");
  private readonly rangeRow = line("", this.range);
  /** Sizes lie far apart: the slider goes in logarithms between these. */
  private readonly sizes: readonly [number, number];
  private tool: ToolName | null = null;
  private mode: Mode = "add";
  /** The last step of the selection, as long as it may still be adjusted. */
  private live: Step | null = null;

  constructor(
    private readonly page: Page,
    private readonly model: EditModel,
    loaded: Loaded,
  ) {
    this.sizes = usualSizes(loaded);
    this.tools = new Choice("Select by", "edit-by", TOOLS, (tool) => this.choose(tool));
    this.modes = new Choice("What is drawn next", "edit-mode", MODES, (mode) => this.setMode(mode));
    this.form = new ShapeForm((shape) => this.revise(shape));
    this.shapeView = new ShapeView(page);
    this.shapeView.onChange = (shape) => this.revise(shape);
    this.surface.type = "checkbox";
    this.surface.id = "edit-surface";
    this.brush = new Brush(page, {
      radius: () => this.brushRadius.valueAsNumber,
      onSurface: () => this.surface.checked,
      mode: (event) => this.modeOf(event),
      begin: (mode, region) => this.begin({ mode, ...region }),
      ended: () => this.tool === "brush" && this.use(null),
      go: (mode, piece, whole) => this.stroke({ mode, ...piece }, { mode, ...whole }),
    });
    this.brushRadius.value = "24";
    this.brushRows = el("div", "", line("Brush size", this.brushRadius), line("Only on the surface", this.surface));
    this.rangeRow.firstElementChild!.replaceWith(this.rangeText);
    const legend = el("legend", "", "Select");
    const parts = [this.tools.element, this.hint, this.form.element, this.brushRows, this.rangeRow, this.modes.element];
    this.element = el("fieldset", "", legend, ...parts);
    this.setMode("add");
    this.use(null);
  }

  /** Pressed again, a tool that draws shapes draws another one; the others are put away. */
  private choose(tool: ToolName): void {
    this.use(this.tool === tool && tool !== "box" && tool !== "sphere" ? null : tool);
  }

  /** The history went elsewhere: what was drawn last cannot be adjusted any more. */
  forget(): void {
    this.live = null;
    this.showShape();
  }

  /** Takes a tool up, or puts all away. */
  use(tool: ToolName | null): void {
    this.tool = tool;
    this.live = null;
    this.tools.value = tool;
    this.hint.textContent = tool === null ? "" : HINTS[tool];
    this.hint.hidden = tool === null;
    this.brushRows.hidden = tool !== "brush";
    this.rangeRow.hidden = tool !== "opacity" && tool !== "size";
    const canvasTool = this.canvasTool(tool);
    if (canvasTool !== null) this.page.tools.use(canvasTool);
    else if (this.page.tools.current?.name.startsWith("edit-") === true) this.page.tools.end();
    if (tool === "opacity") this.range.value = "0.1";
    if (tool === "size") this.range.value = "0.8";
    this.showShape();
    if (tool === "opacity" || tool === "size") this.ranged();
  }

  private canvasTool(tool: ToolName | null): CanvasTool | null {
    if (tool === "brush") return this.brush;
    if (tool !== "box" && tool !== "sphere") return null;
    return new DrawShape(this.page, tool, {
      mode: (event) => this.modeOf(event),
      draw: (mode, shape, isNew) => (isNew ? this.begin({ mode, ...shape }) : this.revise(shape)),
    });
  }

  private setMode(mode: Exclude<Mode, "toggle">): void {
    this.mode = mode;
    this.modes.value = mode;
    if (this.live !== null) this.redo({ ...this.live, mode });
  }

  private modeOf(event: PointerEvent): Mode {
    if (event.shiftKey) return "add";
    return event.ctrlKey || event.metaKey ? "subtract" : this.mode;
  }

  private begin(step: Step): void {
    this.live = step;
    this.model.select(step);
    this.showShape();
  }

  private redo(step: Step): void {
    this.live = step;
    this.model.revise(step);
    this.showShape();
  }

  private revise(region: Region): void {
    if (this.live === null) this.begin({ mode: this.mode, ...region });
    else this.redo({ mode: this.live.mode, ...region });
  }

  private stroke(piece: Step, whole: Step): void {
    // Pieces add up to the whole; of what only stays in both they do not.
    if (whole.mode === "intersect") return this.redo(whole);
    this.live = whole;
    this.model.preview(piece, whole);
  }

  private ranged(): void {
    const at = this.range.valueAsNumber;
    const isSize = this.tool === "size";
    const [low, high] = this.sizes;
    const scale = this.model.place.scale;
    const value = isSize ? scale * low * (high / low) ** at : at;
    const unit = this.page.scene.isMetric ? " m" : "";
    this.rangeText.textContent = isSize ? `Larger than ${shown(value)}${unit}` : `Fainter than ${(100 * at).toFixed(1)} %`;
    const region: Range = isSize ? { kind: "size", low: value } : { kind: "opacity", high: value };
    this.revise(region);
  }

  private showShape(): void {
    const { live, tool } = this;
    const drawn = live !== null && (live.kind === "box" || live.kind === "sphere") ? shapeIn(live) : null;
    this.shapeView.show(drawn);
    const kind = tool === "box" || tool === "sphere" ? tool : null;
    this.form.element.hidden = kind === null;
    if (kind !== null) this.form.show(drawn ?? shapeOf(kind, inWorld(this.page.centre), this.page.radius / 4));
  }
}

function shapeIn(step: Step): Shape | null {
  if (step.kind === "sphere") return { kind: "sphere", centre: step.centre, radius: step.radius };
  if (step.kind !== "box") return null;
  const { centre, half, rotation_wxyz } = step;
  return { kind: "box", centre, half, ...(rotation_wxyz === undefined ? {} : { rotation_wxyz }) };
}

/** The smallest and the largest size of all but a few splats. */
function usualSizes({ sizes, count }: Loaded): readonly [number, number] {
  const every = Math.max(1, Math.floor(count / 10_000));
  const some = sizes.filter((_, n) => n % every === 0).sort();
  const low = Math.max(some[Math.floor(some.length * 0.02)] ?? 1e-3, 1e-9);
  return [low, Math.max(some.at(-1) ?? 1, low * 2)];
}
