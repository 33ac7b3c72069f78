// The sheet's form elements.

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

export function textButton(id: string, label: string, onPress: () => void, title = label): HTMLButtonElement {
  const element = el("button", "", label);
  element.type = "button";
  element.id = id;
  element.title = title;
  element.addEventListener("click", onPress);
  return element;
}

/** One choice of several, as radio buttons of which one is on, or none. */
export class Choice<T extends string> {
  readonly element: HTMLElement;
  private readonly buttons = new Map<T, HTMLButtonElement>();

  constructor(label: string, id: string, choices: readonly (readonly [T, string, string])[], onChoose: (value: T) => void) {
    this.element = el("div", "edit-grid");
    this.element.setAttribute("role", "radiogroup");
    this.element.setAttribute("aria-label", label);
    for (const [value, text, title] of choices) {
      const button = textButton(`${id}-${value}`, text, () => onChoose(value), title);
      button.setAttribute("role", "radio");
      this.buttons.set(value, button);
      this.element.append(button);
    }
  }

  set value(chosen: T | null) {
    for (const [value, button] of this.buttons) button.setAttribute("aria-checked", String(value === chosen));
  }
}

export interface NumberOptions {
  readonly min?: number;
  readonly max?: number;
  readonly step?: number | "any";
  readonly onInput: () => void;
}

export function numberInput(id: string, label: string, options: NumberOptions): HTMLInputElement {
  const input = el("input");
  input.type = "number";
  input.id = id;
  input.step = String(options.step ?? "any");
  if (options.min !== undefined) input.min = String(options.min);
  if (options.max !== undefined) input.max = String(options.max);
  input.setAttribute("aria-label", label);
  input.addEventListener("input", () => Number.isFinite(input.valueAsNumber) && options.onInput());
  return input;
}

export function slider(id: string, label: string, options: NumberOptions): HTMLInputElement {
  const input = numberInput(id, label, options);
  input.type = "range";
  return input;
}

/** A label in words with its input at the end of the line. */
export const line = (text: string, ...inputs: Node[]): HTMLLabelElement => el("label", "", el("span", "", text), ...inputs);

export function three(id: string, label: string, onInput: () => void, min?: number): { row: HTMLElement; inputs: HTMLInputElement[] } {
  const inputs = ["x", "y", "z"].map((axis) =>
    numberInput(`${id}-${axis}`, `${label} ${axis}`, { onInput, ...(min === undefined ? {} : { min }) }),
  );
  return { row: el("div", "edit-three", el("span", "", label), ...inputs), inputs };
}

/** A number as it is shown for editing: what is far below `grain` is rounding. */
export const shown = (value: number, grain = 0): string =>
  String(Number((grain > 0 ? Math.round(value / grain) * grain : value).toPrecision(4)));
