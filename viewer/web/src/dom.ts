// Small helpers around the page's elements.

/** The element of index.html with this id; its absence is a mistake of ours. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element as T;
}

export const reducedMotion = (): boolean => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

export function press(button: HTMLElement, pressed: boolean): void {
  button.setAttribute("aria-pressed", String(pressed));
}

let noticeTimer = 0;

/** One sentence at the top of the page for a few seconds. */
export function notice(text: string): void {
  const element = byId("notice");
  element.textContent = text;
  element.hidden = false;
  window.clearTimeout(noticeTimer);
  noticeTimer = window.setTimeout(() => (element.hidden = true), 6000);
}

/** A button with an icon; what lies inside the 24 x 24 svg is ours, never a scene's. */
export function button(options: { id?: string; label: string; icon: string }): HTMLButtonElement {
  const element = document.createElement("button");
  element.type = "button";
  if (options.id !== undefined) element.id = options.id;
  element.setAttribute("aria-label", options.label);
  element.title = options.label;
  element.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${options.icon}</svg>`;
  return element;
}
