// How a scan is to be made: what `diorama scan` offers, in a person's words.

import { fill, h } from "../elements";
import { icon } from "../icons";
import type { Plan } from "../upload/uploads";
import { kindOf } from "../upload/footage";

export const PRESETS = [
  { id: "preview", name: "Preview", text: "On set: a first look, and is it enough?" },
  { id: "standard", name: "Standard", text: "To show. The usual choice." },
  { id: "high", name: "High", text: "To deliver. Takes its time." },
] as const;

export function presetChoice(name: string, chosen = "standard"): HTMLElement {
  return h(
    "fieldset.presets",
    null,
    h("legend", null, "Quality"),
    ...PRESETS.map((p) =>
      h("label.preset", null, h("input", { type: "radio", name, value: p.id, checked: p.id === chosen }), h("span", null, h("b", null, p.name), h("small", null, p.text))),
    ),
  );
}

export const chosenPreset = (element: HTMLElement, name: string): string =>
  element.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "standard";

/** Title, quality and what is known beforehand. */
export class Options {
  readonly element: HTMLFormElement;
  private readonly name = h("input", { type: "text", id: "scan-title", maxLength: 200, required: true, autocomplete: "off" });
  private readonly presets = presetChoice("preset");
  private readonly most = h("input", { type: "number", id: "scan-frames", min: "8", max: "2000", step: "1", placeholder: "200", inputMode: "numeric" });
  private readonly depth = h("input", { type: "checkbox", id: "scan-depth" });
  private readonly from = h("select", { id: "scan-from", "aria-label": "First photo" });
  private readonly to = h("select", { id: "scan-to", "aria-label": "Second photo" });
  private readonly metres = h("input", { type: "number", id: "scan-metres", min: "0.001", max: "100000", step: "any", inputMode: "decimal", "aria-label": "Metres between the two" });
  private readonly distance: HTMLElement;
  private readonly noDistance = h("p.hint", null, "In a video no picture has a name yet: measure a length in the scene afterwards and type how long it is.");
  private readonly begin = h("button.primary.big", { type: "submit" }, icon("play"), "Start the scan");
  private named = false;

  constructor(onStart: () => void, onCancel: () => void) {
    this.distance = h("div.distance", null, h("span", null, "Between where"), this.from, h("span", null, "and"), this.to, h("span", null, "were taken:"), h("span.unit", null, this.metres, "m"));
    this.name.addEventListener("input", () => (this.named = true));
    this.element = h(
      "form.options",
      {
        hidden: true,
        onsubmit: (event: Event) => {
          event.preventDefault();
          onStart();
        },
        oninput: () => this.check(),
      },
      h("div.field", null, h("label", { htmlFor: "scan-title" }, "Name"), this.name),
      this.presets,
      h(
        "details.more",
        null,
        h("summary", null, "More"),
        h("div.more-body", null,
          h("div.field", null, h("span.field-name", null, "A known distance"), h("p.hint", null, "It makes the scene true to size, in metres."), this.distance, this.noDistance),
          h("div.field", null, h("label", { htmlFor: "scan-frames" }, "At most this many pictures"), this.most),
          h("label.tick", null, this.depth, h("span", null, "Find depth first", h("small", null, "Helps with few pictures and bare walls; takes seconds for each picture."))),
        ),
      ),
      h("div.actions", null, h("button.quiet", { type: "button", onclick: onCancel }, "Cancel"), this.begin),
    );
  }

  /** Shows the options for these files. */
  show(shown: boolean, ready: boolean, paths: readonly string[], title: string): void {
    this.element.hidden = !shown;
    this.begin.disabled = !ready;
    if (!shown) this.named = false;
    if (!this.named) this.name.value = title;
    const photos = paths.filter((p) => kindOf(p) === "photo").map((p) => p.slice(p.lastIndexOf("/") + 1));
    this.distance.hidden = photos.length < 2;
    this.noDistance.hidden = photos.length >= 2;
    for (const [select, first] of [[this.from, photos[0]], [this.to, photos.at(-1)]] as const) {
      const before = select.value;
      fill(select, ...photos.map((p) => h("option", { value: p }, p)));
      select.value = photos.includes(before) ? before : (first ?? "");
    }
    this.check();
  }

  plan(): Plan {
    const options: Record<string, unknown> = {};
    if (this.most.value !== "") options.max_frames = Number(this.most.value);
    if (this.depth.checked) options.depth = "on";
    if (this.metres.value !== "" && !this.distance.hidden) options.distance = [this.from.value, this.to.value, Number(this.metres.value)];
    return { title: this.name.value.trim(), preset: chosenPreset(this.element, "preset"), options };
  }

  /** Two ends of a distance are two photos; the browser says so beside the field. */
  private check(): void {
    const same = this.metres.value !== "" && !this.distance.hidden && this.from.value === this.to.value;
    this.to.setCustomValidity(same ? "Choose two different photos." : "");
  }
}
