// Notes pinned to points of the scene.

import "./notes.css";
import type { Vector3 } from "three";
import { freeLens, lookingAt, pointInThree, pointInWorld } from "../../coordinates";
import { button } from "../../dom";
import type { Annotation } from "../../manifest";
import type { Feature, Page } from "../../page";
import { Pins, pointTool } from "../../pins";
import { Store } from "./store";

const ICON = '<path d="M12 21c4-4.600 6.500-8 6.500-11A6.500 6.500 0 0 0 5.500 10c0 3 2.500 6.400 6.500 11z" /><circle cx="12" cy="10" r="2.200" />';
const REMOVE = '<path d="m6.5 6.5 11 11m0-11-11 11" />';
const MAX_TITLE = 120;
const MAX_TEXT = 4000;

export const notes: Feature = (page: Page): void => new Notes(page).show();

class Notes {
  private readonly store: Store;
  private readonly pins: Pins;
  private readonly list = document.createElement("ol");
  private readonly form = document.createElement("form");
  private readonly advice = document.createElement("p");
  private readonly tool;
  private removers: (() => void)[] = [];
  private place: Vector3 | null = null;

  constructor(private readonly page: Page) {
    this.store = Store.of(page);
    this.pins = new Pins(page);
    this.tool = pointTool(page, "notes", (point) => this.begin(point), () => (this.add.textContent = "Add a note"));
    this.list.className = "panel-list";
    this.makeForm();
    const body = page.panels.add("notes", "Notes", (open) => {
      if (open) return;
      this.tool.end();
      this.cancel();
    });
    this.add.type = "button";
    this.add.id = "note-add";
    this.add.textContent = "Add a note";
    this.add.addEventListener("click", () => this.aim());
    body.append(this.advice, this.list, this.form, this.add);
    this.store.onChange(() => this.show());
    page.toolbar.addButton({
      id: "notes", label: "Notes", icon: ICON, title: "Notes in the scene", key: "n", group: "measure",
      onPress: () => page.panels.toggle("notes"),
    });
  }

  private readonly add = document.createElement("button");

  show(): void {
    for (const remove of this.removers) remove();
    const { annotations } = this.store.all;
    this.removers = annotations.map((note, i) => this.pins.add(this.pin(note, i), pointInThree(note.point)));
    this.list.replaceChildren(...annotations.map((note, i) => this.item(note, i)));
    this.advice.textContent = annotations.length === 0 ? this.store.isShared ? "No notes yet. They are kept with the scene." : "No notes yet. They stay in this browser; Views saves them to a file." : "";
    this.advice.hidden = annotations.length > 0;
    this.page.stage.invalidate();
  }

  private pin(note: Annotation, index: number): HTMLElement {
    const element = document.createElement("button");
    element.type = "button";
    element.className = "note-pin";
    element.textContent = String(index + 1);
    element.title = note.title;
    element.setAttribute("aria-label", `Note ${index + 1}: ${note.title}`);
    element.addEventListener("click", () => {
      this.page.panels.open("notes");
      this.list.querySelectorAll<HTMLButtonElement>("li > .panel-row > button:first-child")[index]?.click();
    });
    return element;
  }

  private item(note: Annotation, index: number): HTMLElement {
    const item = document.createElement("li");
    const row = document.createElement("div");
    row.className = "panel-row";
    const open = document.createElement("button");
    open.type = "button";
    open.textContent = `${index + 1}  ${note.title}`;
    open.setAttribute("aria-expanded", "false");
    const text = document.createElement("p");
    text.className = "note-text";
    text.textContent = note.text;
    text.hidden = true;
    open.addEventListener("click", () => {
      text.hidden = !text.hidden || note.text === "";
      open.setAttribute("aria-expanded", String(!text.hidden));
      this.look(pointInThree(note.point));
    });
    const remove = button({ label: `Remove the note ${note.title}`, icon: REMOVE });
    remove.classList.add("icon");
    remove.addEventListener("click", () => this.store.setNotes(this.store.all.annotations.filter((_, i) => i !== index)));
    row.append(open, remove);
    item.append(row, text);
    return item;
  }

  /** Turns towards the note, from where one stands or from nearer. */
  private look(point: Vector3): void {
    const { navigation, stage, radius } = this.page;
    const here = stage.camera.position;
    const distance = Math.min(here.distanceTo(point), radius * 0.6);
    const from = point.clone().add(here.clone().sub(point).setLength(Math.max(distance, radius * 0.02)));
    if (navigation.mode === "walk") navigation.mode = "orbit";
    void navigation.flyTo(lookingAt(from, point), from.distanceTo(point), freeLens);
  }

  private aim(): void {
    if (this.tool.active) {
      this.tool.end();
      return;
    }
    this.tool.begin();
    this.add.textContent = "Cancel";
    this.advice.hidden = false;
    this.advice.textContent = "Click the place in the scene, or aim with the cross and press Enter.";
  }

  private begin(point: Vector3): void {
    this.tool.end();
    this.place = point;
    this.page.panels.open("notes");
    this.advice.hidden = true;
    this.form.hidden = false;
    this.add.hidden = true;
    this.form.querySelector("input")?.focus();
  }

  private cancel(): void {
    this.place = null;
    this.form.reset();
    this.form.hidden = true;
    this.add.hidden = false;
  }

  private makeForm(): void {
    const title = document.createElement("input");
    title.name = "title";
    title.required = true;
    title.maxLength = MAX_TITLE;
    title.placeholder = "Title";
    title.setAttribute("aria-label", "Title of the note");
    const text = document.createElement("textarea");
    text.name = "text";
    text.maxLength = MAX_TEXT;
    text.placeholder = "What is to be said about this place";
    text.setAttribute("aria-label", "Text of the note");
    const keep = document.createElement("button");
    keep.type = "submit";
    keep.className = "primary";
    keep.textContent = "Keep the note";
    this.form.className = "note-form";
    this.form.hidden = true;
    this.form.append(title, text, keep);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.place === null || title.value.trim() === "") return;
      const note = { title: title.value.trim(), text: text.value.trim(), point: pointInWorld(this.place) };
      this.cancel();
      this.store.setNotes([...this.store.all.annotations, note]);
    });
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.cancel();
    });
  }
}
