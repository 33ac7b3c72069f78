// The list of keys in the help dialog, from what was registered.

import { byId } from "./dom";
import type { KeyHelp } from "./shortcuts";

export function fillHelp(lines: readonly KeyHelp[]): void {
  byId("help-keys").replaceChildren(
    ...lines.map(({ keys, text }) => {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      for (const key of keys) {
        const kbd = document.createElement("kbd");
        kbd.textContent = key;
        term.append(kbd, " ");
      }
      const meaning = document.createElement("dd");
      meaning.textContent = text;
      row.append(term, meaning);
      return row;
    }),
  );
}
