// The sheet for cleaning up: what is selected, what is done with it, undo and redo, and the parts that do the rest.

import "./edit.css";
import type { SplatMesh } from "@sparkjsdev/spark";
import type { Page } from "../../page";
import { lookingAt } from "../../coordinates";
import { el, textButton } from "./fields";
import { EditModel } from "./model";
import { Paint } from "./paint";
import { PlacePart } from "./place_part";
import { SelectPart } from "./select_part";
import { after, apply, IDENTITY, inverse, type Sim3 } from "./sim3";
import { VersionPart } from "./version_part";
import { inThree, inWorld } from "./view";

export class EditPanel {
  private readonly paint: Paint;
  private readonly model: EditModel;
  private readonly selecting: SelectPart;
  private readonly placing: PlacePart;
  private readonly keeping: VersionPart;
  private readonly count = el("p", "edit-count");
  private readonly buttons: Record<"delete" | "keep" | "invert" | "clear" | "undo" | "redo", HTMLButtonElement>;
  private isOpen = false;
  private stale = false;
  /** Where the view's world was when it was last drawn. */
  private shownPlace: Sim3 = IDENTITY;

  constructor(
    private readonly page: Page,
    mesh: SplatMesh,
    body: HTMLElement,
  ) {
    this.paint = new Paint(mesh);
    this.model = new EditModel(this.paint.loaded);
    this.selecting = new SelectPart(page, this.model, this.paint.loaded);
    this.placing = new PlacePart(page, this.model, () => this.follow());
    this.keeping = new VersionPart(page, this.model);
    this.buttons = {
      delete: textButton("edit-delete", "Delete", () => this.cut("delete"), "Delete what is selected (Delete)"),
      keep: textButton("edit-keep", "Keep only", () => this.cut("keep"), "Crop: delete all that is not selected"),
      invert: textButton("edit-invert", "Invert", () => this.history(() => this.model.select({ mode: "toggle", kind: "all" }))),
      clear: textButton("edit-clear", "Clear", () => this.history(() => this.model.clear()), "Select nothing"),
      undo: textButton("edit-undo", "Undo", () => this.undo(), "Undo (Ctrl+Z)"),
      redo: textButton("edit-redo", "Redo", () => this.redo(), "Redo (Ctrl+Shift+Z)"),
    };
    const actions = el("fieldset", "edit-actions", this.count, el("div", "edit-grid", ...Object.values(this.buttons)));
    body.append(this.selecting.element, actions, this.placing.element, this.keeping.element);
    this.model.onChange = () => this.changed();
    page.onFrame(() => this.draw());
    const whenOpen = (action: () => void) => (): boolean => this.isOpen && (action(), true);
    page.shortcuts.add("Ctrl+z", whenOpen(() => this.undo()), "undo an edit");
    page.shortcuts.add("Ctrl+Shift+z", whenOpen(() => this.redo()), "redo it");
    page.shortcuts.add("Delete", whenOpen(() => this.cut("delete")), "delete what is selected");
    page.shortcuts.add("Escape", () => this.isOpen && page.tools.end());
    window.addEventListener("beforeunload", (event) => this.isUnsaved && event.preventDefault());
    this.changed();
  }

  opened(open: boolean): void {
    this.isOpen = open;
    if (open) return;
    this.selecting.use(null);
    this.placing.rest();
  }

  private get isUnsaved(): boolean {
    return this.model.operations.length > 0 && !this.keeping.isLeaving;
  }

  private cut(op: "delete" | "keep"): void {
    this.history(() => {
      const refused = this.model.cut(op);
      if (refused !== null) this.page.notice(refused);
    });
  }

  private undo(): void {
    this.history(() => this.model.undo());
    this.follow();
  }

  private redo(): void {
    this.history(() => this.model.redo());
    this.follow();
  }

  private history(action: () => void): void {
    action();
    this.selecting.forget();
  }

  private changed(): void {
    const { model, buttons } = this;
    const some = model.selected.toLocaleString("en");
    this.count.textContent = `${some} of ${model.left.toLocaleString("en")} splats selected`;
    buttons.delete.disabled = buttons.keep.disabled = model.selected === 0;
    buttons.clear.disabled = model.steps.length === 0;
    buttons.undo.disabled = !model.canUndo;
    buttons.redo.disabled = !model.canRedo;
    this.keeping.update();
    this.stale = true;
    this.page.stage.invalidate();
    const { dataset } = document.body;
    dataset.editLeft = String(model.left);
    dataset.editSelected = String(model.selected);
  }

  /** Once a frame at most: a stroke brings more changes than that. */
  private draw(): boolean {
    if (!this.stale) return false;
    this.stale = false;
    this.paint.show(this.model);
    return true;
  }

  /** The world was moved under the viewer: go along, with the horizon level. */
  private follow(): void {
    const moved = after(this.model.place, inverse(this.shownPlace));
    this.shownPlace = this.model.place;
    const { navigation, stage } = this.page;
    const [eye, pivot] = [stage.camera.position, navigation.pivot].map((p) => inThree(apply(moved, inWorld(p))));
    navigation.place(lookingAt(eye!, pivot!), eye!.distanceTo(pivot!));
  }
}
