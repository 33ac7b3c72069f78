// The keyboard: one table of keys and what they do, from which the help dialog fills itself.

import { typesText } from "./input";

/** Returning false hands the key to whoever added it before: so Escape goes from the topmost thing downwards. */
export type KeyAction = () => void | boolean;

interface Entry {
  readonly key: string;
  readonly down: KeyAction;
  readonly up: (() => void) | null;
}

export interface KeyHelp {
  readonly keys: readonly string[];
  readonly text: string;
}

/** How a key is written on help and tooltips. */
const NAMES: Record<string, string> = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

/** Keys that several things share, each while it has something to do with it. */
const SHARED = new Set(["Escape", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Enter", "Delete", "Backspace", " "]);

export const keyNames = (key: string): string[] =>
  key.split(/(?<=.)\+/).map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part));

/** "Ctrl+Shift+z" of an event; Command counts as Ctrl, and Shift is named only along with Ctrl or a long key. */
function pressed(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const ctrl = event.ctrlKey || event.metaKey;
  const shift = event.shiftKey && (ctrl || event.key.length > 1);
  return `${ctrl ? "Ctrl+" : ""}${shift ? "Shift+" : ""}${key}`;
}

export class Shortcuts {
  readonly help: KeyHelp[] = [];
  private readonly entries: Entry[] = [];
  private readonly top: KeyAction[] = [];
  private readonly held = new Map<string, () => void>();

  /** `silenced` says whether keys belong to something else for now, such as an open dialog. */
  constructor(private readonly silenced: (event: KeyboardEvent) => boolean) {
    window.addEventListener("keydown", (event) => this.down(event));
    window.addEventListener("keyup", (event) => this.release(event.key));
    window.addEventListener("blur", () => [...this.held.keys()].forEach((key) => this.release(key)));
  }

  /**
   * `key` as in KeyboardEvent.key, letters small, with "Ctrl+" and "Shift+" in front: "m", "Ctrl+z", "Ctrl+Shift+z".
   * `text` goes into the help; an empty one leaves it out.
   */
  add(key: string, action: KeyAction, text = ""): void {
    this.put({ key, down: action, up: null }, text);
  }

  /** Escape for what lies on top of everything: it is asked before all that `add` has put there. */
  addTop(action: KeyAction): void {
    this.top.push(action);
  }

  /** A key that does something for as long as it is held. */
  addHeld(key: string, down: () => void, up: () => void, text: string): void {
    this.put({ key, down, up }, text);
  }

  /** A line of the help for keys that are listened to elsewhere. */
  describe(keys: readonly string[], text: string): void {
    this.help.push({ keys, text });
  }

  private put(entry: Entry, text: string): void {
    const taken = this.entries.some((e) => e.key === entry.key);
    if (taken && !SHARED.has(entry.key)) throw new Error(`the key ${entry.key} is taken already`);
    this.entries.push(entry);
    if (text !== "") this.help.push({ keys: keyNames(entry.key), text });
  }

  private down(event: KeyboardEvent): void {
    if (event.altKey || event.defaultPrevented || typesText(event.target) || this.silenced(event)) return;
    const { target } = event;
    const arrow = event.key.startsWith("Arrow");
    if (arrow && target instanceof HTMLInputElement) return;
    // A focused button or link is pressed with these.
    const presses = event.key === " " || event.key === "Enter";
    if (presses && target instanceof HTMLElement && target.closest("button, input, a, summary") !== null) return;
    const key = pressed(event);
    if (key === "Escape" && this.top.some((action) => action() !== false)) return event.preventDefault();
    for (const entry of this.entries.filter((e) => e.key === key).reverse()) {
      if (event.repeat && !arrow) return event.preventDefault();
      if (entry.down() === false) continue;
      event.preventDefault();
      if (entry.up !== null) this.held.set(event.key, entry.up);
      return;
    }
  }

  private release(key: string): void {
    this.held.get(key)?.();
    this.held.delete(key);
  }
}
