// The rail of tools at the page's side: one button per function, behind one "Tools" button on phones.

import "./rail.css";
import { button, press } from "./dom";
import { keyNames, type Shortcuts } from "./shortcuts";

/** Buttons stand in these groups, in this order. */
const GROUPS = ["view", "measure", "edit", "share", "immerse"] as const;
export type ButtonGroup = (typeof GROUPS)[number];

export interface ButtonOptions {
  /** The element's id. */
  readonly id: string;
  readonly label: string;
  /** What lies inside a 24 x 24 stroked svg. */
  readonly icon: string;
  /** A sentence for the tooltip; the label unless given. */
  readonly title?: string;
  /** A key that presses the button: see Shortcuts.add. */
  readonly key?: string;
  readonly onPress: () => void;
  /** Whether it is on or off: then `pressed` of the handle says which. */
  readonly toggle?: boolean;
  readonly group?: ButtonGroup;
}

export class ToolbarButton {
  constructor(readonly element: HTMLButtonElement) {}

  get pressed(): boolean {
    return this.element.getAttribute("aria-pressed") === "true";
  }

  set pressed(value: boolean) {
    press(this.element, value);
  }

  set hidden(value: boolean) {
    this.element.hidden = value;
  }

  set disabled(value: boolean) {
    this.element.disabled = value;
  }
}

export class Toolbar {
  private readonly rail = document.createElement("nav");
  private readonly groups = new Map<ButtonGroup, HTMLElement>();

  constructor(
    top: HTMLElement,
    private readonly shortcuts: Shortcuts,
  ) {
    this.rail.id = "rail";
    this.rail.className = "card";
    this.rail.hidden = true;
    this.rail.setAttribute("aria-label", "Tools");
    for (const name of GROUPS) {
      const group = document.createElement("div");
      group.className = "rail-group";
      group.hidden = true;
      this.groups.set(name, group);
      this.rail.append(group);
    }
    top.after(this.rail);
    const opener = button({ id: "tools", label: "Tools", icon: '<path d="M5 6h14M5 12h14M5 18h14" />' });
    opener.setAttribute("aria-expanded", "false");
    opener.setAttribute("aria-controls", "rail");
    opener.addEventListener("click", () => this.expand(this.rail.dataset.open !== "1"));
    top.querySelector(".group")?.prepend(opener);
    // On a phone a choice closes the sheet again.
    this.rail.addEventListener("click", () => this.expand(false));
    shortcuts.addTop(() => this.expand(false));
  }

  addButton(options: ButtonOptions): ToolbarButton {
    const element = button({ id: options.id, label: options.label, icon: options.icon });
    const key = options.key === undefined ? "" : ` (${keyNames(options.key).join("+")})`;
    element.title = `${options.title ?? options.label}${key}`;
    const text = document.createElement("span");
    text.textContent = options.label;
    element.append(text);
    if (options.toggle === true) press(element, false);
    element.addEventListener("click", options.onPress);
    if (options.key !== undefined) {
      const usable = (): boolean => !element.hidden && !element.disabled;
      this.shortcuts.add(options.key, () => usable() && (options.onPress(), true), options.title ?? options.label);
    }
    const group = this.groups.get(options.group ?? "view")!;
    group.append(element);
    group.hidden = false;
    this.rail.hidden = false;
    return new ToolbarButton(element);
  }

  private expand(open: boolean): boolean {
    const changes = (this.rail.dataset.open === "1") !== open;
    if (open) this.rail.dataset.open = "1";
    else delete this.rail.dataset.open;
    document.getElementById("tools")?.setAttribute("aria-expanded", String(open));
    return changes;
  }
}
