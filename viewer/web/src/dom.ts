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
