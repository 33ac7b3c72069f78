// Questions and messages.

import { h } from "./elements";
import { icon } from "./icons";

/** A dialog with a heading; closing it by any way gives the focus back to where it was. */
export function dialog(heading: string, ...content: (Node | string)[]): HTMLDialogElement {
  const close = h("button.quiet.round", { type: "button", "aria-label": "Close", onclick: () => element.close() }, icon("close"));
  const element = h(
    "dialog.sheet",
    { "aria-label": heading },
    h("header", null, h("h2", null, heading), close),
    h("div.sheet-body", null, ...content),
  );
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close(); // beside the sheet
  });
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

/** Asks before something that cannot be taken back. */
export function confirm(heading: string, text: string, action: string): Promise<boolean> {
  return new Promise((done) => {
    let answer = false;
    const yes = h("button.danger", { type: "button", onclick: () => { answer = true; element.close(); } }, action);
    const no = h("button", { type: "button", onclick: () => element.close() }, "Keep");
    const element = dialog(heading, h("p", null, text), h("div.actions", null, no, yes));
    element.addEventListener("close", () => done(answer));
    no.focus();
  });
}

/** Asks for a line of text; null when it was not given. */
export function prompt(heading: string, label: string, value: string, action: string): Promise<string | null> {
  return new Promise((done) => {
    let answer: string | null = null;
    const input = h("input", { type: "text", value, maxLength: 200, required: true, id: "prompt-input" });
    const form = h(
      "form.prompt",
      {
        onsubmit: (event: Event) => {
          event.preventDefault();
          answer = input.value.trim() || null;
          element.close();
        },
      },
      h("label", { htmlFor: "prompt-input" }, label),
      input,
      h("div.actions", null, h("button.primary", { type: "submit" }, action)),
    );
    const element = dialog(heading, form);
    element.addEventListener("close", () => done(answer));
    input.select();
  });
}

const TOAST_MS = 7000;

/** A sentence at the bottom for a few seconds, with one thing to do about it. */
export function toast(text: string, kind: "note" | "error" = "note", action?: { label: string; run: () => void }): void {
  const stack = document.getElementById("toasts");
  if (stack === null) return;
  const element = h(`div.toast.${kind}`, { role: kind === "error" ? "alert" : "status" }, h("span", null, text));
  if (action !== undefined) {
    const run = (): void => {
      element.remove();
      action.run();
    };
    element.append(h("button", { type: "button", onclick: run }, action.label));
  }
  element.append(h("button.quiet.round", { type: "button", "aria-label": "Dismiss", onclick: () => element.remove() }, icon("close")));
  stack.append(element);
  while (stack.children.length > 3) stack.firstElementChild?.remove();
  if (kind === "note") window.setTimeout(() => element.remove(), TOAST_MS);
}
