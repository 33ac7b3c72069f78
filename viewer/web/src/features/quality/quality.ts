// Picture quality: presets, and pixels that adapt so that moving stays smooth.

import "./quality.css";
import type { Feature, Page } from "../../page";
import { AdaptiveScale } from "./resolution";

const ICON = '<path d="M4 7h9M17 7h3M4 17h3M11 17h9" /><circle cx="15" cy="7" r="2" /><circle cx="9" cy="17" r="2" />';

interface Preset {
  readonly label: string;
  /** Device pixels along a side, of those that the screen has. */
  readonly pixels: number;
  /** Pixels per CSS pixel at most. */
  readonly mostPixels: number;
  /** Where splats end, in deviations: fewer are cheaper and a little harder at their edge. */
  readonly deviations: number;
  /** Degree of the view-dependent colours. */
  readonly harmonics: number;
  readonly adaptive: boolean;
}

const FULL = Math.sqrt(8);
export const PRESETS = {
  auto: { label: "Auto", pixels: 1, mostPixels: 2, deviations: FULL, harmonics: 3, adaptive: true },
  low: { label: "Low", pixels: 0.5, mostPixels: 1, deviations: Math.sqrt(5), harmonics: 0, adaptive: true },
  medium: { label: "Medium", pixels: 0.75, mostPixels: 1.5, deviations: Math.sqrt(6.5), harmonics: 2, adaptive: true },
  high: { label: "High", pixels: 1, mostPixels: 3, deviations: Math.sqrt(2 * Math.log(255)), harmonics: 3, adaptive: false },
} as const satisfies Record<string, Preset>;
type Name = keyof typeof PRESETS;
const KEY = "diorama:quality";

export const quality: Feature = (page: Page): void => {
  const { stage } = page;
  const adaptive = new AdaptiveScale();
  let name: Name = kept();
  let last: number[] = [];
  let factor = 1;
  let wasMoving = false;

  const scale = (to: number): void => {
    const preset: Preset = PRESETS[name];
    factor = to;
    const ratio = Math.min(window.devicePixelRatio * preset.pixels, preset.mostPixels);
    stage.pixelRatio = ratio * factor;
    document.body.dataset.scale = factor.toFixed(2);
  };
  const apply = (): void => {
    const preset: Preset = PRESETS[name];
    adaptive.moving = 1;
    stage.spark.maxStdDev = preset.deviations;
    page.splats.maxSh = preset.harmonics;
    page.splats.updateGenerator();
    scale(1);
    document.body.dataset.quality = name;
    for (const each of body.querySelectorAll("[data-preset]")) {
      each.setAttribute("aria-checked", String((each as HTMLElement).dataset.preset === name));
    }
    stage.invalidate();
  };
  const body = page.panels.add("quality", "Picture quality");
  const choices = document.createElement("div");
  choices.className = "choices";
  choices.setAttribute("role", "radiogroup");
  choices.setAttribute("aria-label", "Picture quality");
  for (const [each, preset] of Object.entries(PRESETS) as [Name, Preset][]) {
    const choice = document.createElement("button");
    choice.type = "button";
    choice.setAttribute("role", "radio");
    choice.dataset.preset = each;
    choice.textContent = preset.label;
    choice.addEventListener("click", () => {
      name = each;
      keep(each);
      apply();
    });
    choices.append(choice);
  }
  const advice = document.createElement("p");
  advice.textContent =
    "Except for High, the picture becomes coarser while you move where this machine is too slow, and sharp again at rest.";
  body.append(choices, advice);
  page.toolbar.addButton({
    id: "quality", label: "Quality", icon: ICON, title: "Picture quality", key: "y", group: "view",
    onPress: () => page.panels.toggle("quality"),
  });
  page.onSplats(apply);
  page.onFrame((seconds) => {
    const now = [...stage.camera.position.toArray(), ...stage.camera.quaternion.toArray()];
    const moving = now.some((x, i) => x !== last[i]);
    last = now;
    if (!PRESETS[name].adaptive || stage.renderer.xr.isPresenting) return false;
    if (moving && wasMoving) adaptive.frame(seconds);
    wasMoving = moving;
    // At rest the picture is drawn once more, with all its pixels.
    const wanted = moving || page.navigation.held ? adaptive.moving : 1;
    if (wanted !== factor) scale(wanted);
    return false;
  });
  apply();
};

function kept(): Name {
  try {
    const value = localStorage.getItem(KEY);
    return value !== null && value in PRESETS ? (value as Name) : "auto";
  } catch {
    return "auto";
  }
}

function keep(name: Name): void {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // A private window: it holds for this visit.
  }
}
