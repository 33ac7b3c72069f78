// A button with a menu.

import { h } from "../elements";
import { icon, type IconName } from "../icons";

export interface MenuItem {
  label: string;
  icon: IconName;
  run: () => void;
}

/** Opens on press; arrow keys go through it, Escape and a press elsewhere close it. */
export function menu(label: string, items: readonly MenuItem[]): HTMLElement {
  const list = h("div.menu-list", { role: "menu", "aria-label": label, hidden: true });
  const button = h("button.quiet.round", { type: "button", "aria-label": label, title: label, "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => show(list.hidden !== false) }, icon("dots"));
  const element = h("div.menu", null, button, list);
  const outside = (event: Event): void => {
    if (!element.contains(event.target as Node)) show(false);
  };
  function show(open: boolean): void {
    list.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) {
      document.addEventListener("pointerdown", outside);
      (list.firstElementChild as HTMLElement).focus();
    } else {
      document.removeEventListener("pointerdown", outside);
    }
  }
  for (const item of items) {
    const run = (): void => {
      show(false);
      button.focus();
      item.run();
    };
    list.append(h("button", { type: "button", role: "menuitem", tabIndex: -1, onclick: run }, icon(item.icon), item.label));
  }
  element.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const all = Array.from(list.children) as HTMLElement[];
    const at = all.indexOf(document.activeElement as HTMLElement);
    if (event.key === "Escape") {
      show(false);
      button.focus();
    } else if (event.key === "Tab") show(false);
    else if (event.key === "ArrowDown") all[(at + 1) % all.length]?.focus();
    else if (event.key === "ArrowUp") all[(at - 1 + all.length) % all.length]?.focus();
    else return;
    if (event.key !== "Tab") event.preventDefault();
  });
  return element;
}
