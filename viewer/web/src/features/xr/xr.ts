// VR and AR: the buttons that enter, the sheet that explains, and the scene's ground that both stand on.

import "./xr.css";
import type { Feature, Page } from "../../page";
import { surfaceOf } from "../../surface";
import { playOf } from "../play/play";
import type { Headset } from "./headset";
import { detectQuality, QUALITIES } from "./quality";
import { loadSettings, saveSettings, type Settings, SPEEDS, TURNS } from "./settings";
import { findSupport, type Mode, refusal, type Support } from "./support";


const HEADSET_ICON =
  '<path d="M4 8.500h16a1.500 1.500 0 0 1 1.500 1.500v5.500a2 2 0 0 1-2 2h-3.600a2 2 0 0 1-1.600-.8l-1-1.300a1.600 1.600 0 0 0-2.600 0l-1 1.300a2 2 0 0 1-1.600.8H4.500a2 2 0 0 1-2-2V10A1.500 1.500 0 0 1 4 8.500z" />';
const AR_ICON =
  '<path d="M4 8V5.500A1.500 1.500 0 0 1 5.500 4H8M16 4h2.500A1.500 1.500 0 0 1 20 5.500V8M20 16v2.500a1.500 1.500 0 0 1-1.500 1.500H16M8 20H5.500A1.500 1.500 0 0 1 4 18.500V16M12 7.500l4 2.300v4.400l-4 2.300-4-2.300V9.800zM8 9.800l4 2.200 4-2.200M12 12v4.500" />';
const HELP_ICON = '<circle cx="12" cy="12" r="9" /><path d="M12 11v5M12 7.800v.1" />';

/** Loaded once a headset is there, so that entering does not lose the browser's trust in the click by waiting. */
const loadHeadset = (): Promise<typeof import("./headset")> => import("./headset");

export const xr: Feature = async (page: Page): Promise<void> => {
  const settings = loadSettings();
  const support = await findSupport();
  const overlay = makeOverlay();
  let headset: Headset | null = null;
  let entering = false;

  const enter = async (mode: Mode): Promise<void> => {
    if (headset !== null || entering) return;
    entering = true;
    try {
      const surface = surfaceOf(page);
      const { Headset } = await loadHeadset();
      const onEnd = (): void => {
        headset = null;
        page.stage.canvas.focus({ preventScroll: true });
      };
      headset = await Headset.enter({ page, mode, settings, surface: () => surface.current, play: playOf(page), overlay, onEnd });
      if (!page.scene.isMetric) page.notice("The scene's scale is unknown: its size in the headset is a guess.");
    } catch (error) {
      page.notice(refusal(error, mode));
    } finally {
      entering = false;
    }
  };

  const group = "immerse" as const;
  if (support.vr) page.toolbar.addButton({ id: "enter-vr", label: "VR", icon: HEADSET_ICON, title: "Enter VR", key: "j", group, onPress: () => void enter("vr") });
  if (support.ar) page.toolbar.addButton({ id: "enter-ar", label: "AR", icon: AR_ICON, title: "Enter AR", group, onPress: () => void enter("ar") });
  page.toolbar.addButton({ id: "headset", label: "Headset", icon: support.vr || support.ar ? HELP_ICON : HEADSET_ICON, title: "VR and AR: what is needed, controls and settings", group, onPress: () => page.panels.toggle("headset") });
  fillSheet(page.panels.add("headset", "VR and AR"), page, support, settings);
  if (support.vr || support.ar) {
    void loadHeadset();
    surfaceOf(page);
  }
  overlay.querySelector("[data-do=exit]")?.addEventListener("click", () => void headset?.end());
  overlay.querySelector("[data-do=table]")?.addEventListener("click", () => headset?.setArSize("table"));
  overlay.querySelector("[data-do=true]")?.addEventListener("click", () => headset?.setArSize("true"));
  page.onFrame((seconds) => headset?.step(seconds) ?? false);
};

/** What a phone shows over the camera's picture in AR. */
function makeOverlay(): HTMLElement {
  const overlay = document.createElement("div");
  overlay.id = "ar-overlay";
  const choices = [["table", "Table size"], ["true", "True size"], ["exit", "Leave AR"]] as const;
  for (const [action, text] of choices) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "card";
    button.dataset.do = action;
    button.textContent = text;
    // A touch on a button is not one on the scene.
    button.addEventListener("beforexrselect", (event) => event.preventDefault());
    overlay.append(button);
  }
  document.body.append(overlay);
  return overlay;
}

function fillSheet(sheet: HTMLElement, page: Page, support: Support, settings: Settings): void {
  const paragraph = (text: string): HTMLParagraphElement => {
    const p = document.createElement("p");
    p.textContent = text;
    return p;
  };
  if (support.reason !== "") sheet.append(paragraph(support.reason));
  const scale = page.scene.isMetric
    ? "The scene is in metres: it stands at true size on your floor."
    : "The scene's scale is unknown, so its size is guessed from how it was taken. Set a measured distance to have it true.";
  sheet.append(paragraph(scale), controls(), choices(settings));
}

function controls(): HTMLElement {
  const rows: readonly (readonly [string, string])[] = [
    ["Trigger, or pinch", "hold to aim the arc, let go to teleport there; press in the menu"],
    ["Right stick", "forward: aim and teleport; sideways: snap turn"],
    ["Left stick", "walk"],
    ["Grip", "take the scene and move it; both grips, or two pinches, turn and scale it"],
    ["A, B, X or Y", "menu; with bare hands: pinch with the left hand, its palm to your face"],
    ["In AR", "point at a table or the floor and press to put the scene there; menu: table size or true size"],
  ];
  const list = document.createElement("dl");
  list.className = "xr-controls";
  for (const [what, does] of rows) {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const detail = document.createElement("dd");
    term.textContent = what;
    detail.textContent = does;
    row.append(term, detail);
    list.append(row);
  }
  return list;
}

function choices(settings: Settings): HTMLElement {
  const form = document.createElement("div");
  form.className = "xr-settings";
  const select = (label: string, id: string, options: readonly (readonly [string, string])[], now: string, set: (value: string) => void): void => {
    const row = document.createElement("label");
    const input = document.createElement("select");
    input.id = id;
    for (const [value, text] of options) input.add(new Option(text, value, false, value === now));
    input.addEventListener("change", () => {
      set(input.value);
      saveSettings(settings);
    });
    row.append(label, input);
    form.append(row);
  };
  const qualities = QUALITIES.map((q) => [q.id, q.name] as const);
  select("Quality", "xr-quality", [["auto", `Automatic (${detectQuality().name})`], ...qualities], settings.quality, (v) => (settings.quality = v));
  select("Snap turn", "xr-turn", TURNS.map((t) => [String(t), `${t}°`] as const), String(settings.turnDegrees), (v) => (settings.turnDegrees = Number(v)));
  select("Walking", "xr-speed", SPEEDS.map((s) => [String(s), `${s} m/s`] as const), String(settings.walkSpeed), (v) => (settings.walkSpeed = Number(v)));
  select("Comfort vignette", "xr-vignette", [["on", "On"], ["off", "Off"]], settings.vignette ? "on" : "off", (v) => (settings.vignette = v === "on"));
  return form;
}
