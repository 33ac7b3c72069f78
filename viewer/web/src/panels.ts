// Side sheets, one open at a time; at the bottom of the page on phones.

import "./panels.css";
import { button } from "./dom";
import type { Shortcuts } from "./shortcuts";

export type PanelListener = (open: boolean) => void;

interface Panel {
  readonly element: HTMLElement;
  readonly listeners: PanelListener[];
  /** What had the keyboard before the sheet opened. */
  before: Element | null;
}

export class Panels {
  private readonly all = new Map<string, Panel>();
  private open_: string | null = null;

  constructor(shortcuts: Shortcuts) {
    shortcuts.addTop(() => this.close());
  }

  /** The id of the open one. */
  get current(): string | null {
    return this.open_;
  }

  /** Makes a closed sheet; what it holds goes into the element that comes back. */
  add(id: string, title: string, onChange: PanelListener = () => {}): HTMLElement {
    const element = document.createElement("section");
    element.id = `panel-${id}`;
    element.className = "panel card";
    element.hidden = true;
    element.tabIndex = -1;
    element.setAttribute("role", "region");
    element.setAttribute("aria-label", title);
    const head = document.createElement("header");
    const heading = document.createElement("h2");
    heading.textContent = title;
    const close = button({ label: `Close ${title}`, icon: '<path d="m6.5 6.5 11 11m0-11-11 11" />' });
    close.classList.add("icon");
    close.addEventListener("click", () => this.close());
    head.append(heading, close);
    const body = document.createElement("div");
    body.className = "panel-body";
    element.append(head, body);
    document.body.append(element);
    this.all.set(id, { element, listeners: [onChange], before: null });
    return body;
  }

  /** Calls `listener` whenever this sheet opens or closes, by whatever way. */
  onChange(id: string, listener: PanelListener): void {
    this.all.get(id)?.listeners.push(listener);
  }

  open(id: string): void {
    const panel = this.all.get(id);
    if (panel === undefined || this.open_ === id) return;
    this.close();
    this.open_ = id;
    panel.before = document.activeElement;
    panel.element.hidden = false;
    document.body.dataset.panel = id;
    panel.element.focus({ preventScroll: true });
    for (const listener of panel.listeners) listener(true);
  }

  /** Closes the open one; returns false when there is none. */
  close(): boolean {
    const panel = this.open_ === null ? undefined : this.all.get(this.open_);
    if (panel === undefined) return false;
    this.open_ = null;
    const hadKeyboard = panel.element.contains(document.activeElement);
    panel.element.hidden = true;
    delete document.body.dataset.panel;
    if (hadKeyboard && panel.before instanceof HTMLElement) panel.before.focus({ preventScroll: true });
    for (const listener of panel.listeners) listener(false);
    return true;
  }

  toggle(id: string): void {
    if (this.open_ === id) this.close();
    else this.open(id);
  }
}
