// Building the page: elements without a framework.

type Child = Node | string | number | null | undefined | false;
type Props = Record<string, unknown>;

/**
 * An element: `h("button.primary", { onclick, "aria-label": "…" }, "Start")`. Names that the element has become
 * properties, all others attributes; false, null and undefined leave an attribute out, true makes it empty.
 */
export function h<K extends keyof HTMLElementTagNameMap>(what: K | `${K}.${string}`, props?: Props | null, ...children: Child[]): HTMLElementTagNameMap[K];
export function h(what: string, props?: Props | null, ...children: Child[]): HTMLElement {
  const [tag = "div", ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(props ?? {})) assign(element, name, value);
  element.append(...children.filter(isThere).map((c) => (typeof c === "number" ? String(c) : c)));
  return element;
}

const isThere = (child: Child): child is Node | string | number => child !== null && child !== undefined && child !== false;

function assign(element: HTMLElement, name: string, value: unknown): void {
  if (name === "dataset") Object.assign(element.dataset, value);
  else if (name in element && !name.startsWith("aria-") && name !== "list" && name !== "form") {
    (element as unknown as Props)[name] = value;
  } else if (value !== false && value !== null && value !== undefined) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Replaces what is in an element. */
export function fill(element: Element, ...children: Child[]): void {
  element.replaceChildren(...children.filter(isThere).map((c) => (typeof c === "number" ? String(c) : c)));
}

/** Writes a text only when it is another one, so that readers of live regions are not called twice. */
export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of `parent` those of `items`, in order. Elements stay the same for the same key, so that focus,
 * scrolling and pictures survive.
 */
export function keyed<T>(
  parent: Element,
  items: readonly T[],
  key: (item: T) => string,
  make: (item: T) => HTMLElement,
  update?: (element: HTMLElement, item: T) => void,
): void {
  const old = new Map<string, HTMLElement>();
  for (const child of Array.from(parent.children) as HTMLElement[]) old.set(child.dataset.key ?? "", child);
  let at: Element | null = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = old.get(name);
    old.delete(name);
    if (element === undefined) {
      element = make(item);
      element.dataset.key = name;
    }
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
    update?.(element, item);
  }
  for (const left of old.values()) left.remove();
}

export const reducedMotion = (): boolean => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
