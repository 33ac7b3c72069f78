// Play: with the mouse, a finger or a hand in the headset, things of the scene are picked up and fall as they would.

import type { Feature, Page } from "../../page";
import { surfaceOf } from "../../surface";
import type { CanvasTool } from "../../tools";
import { Plane, Raycaster, Vector2, Vector3 } from "three";
import { unitsPerMetre } from "../../scale";
import type { Playground } from "./playground";

const ICON =
  '<path d="M7.500 12.500V6.800a1.400 1.400 0 0 1 2.800 0v4.200V5.200a1.400 1.400 0 0 1 2.800 0V11V6.300a1.400 1.400 0 0 1 2.800 0v5.200-2.700a1.400 1.400 0 0 1 2.800 0v5.400a6 6 0 0 1-6 6h-.9a6 6 0 0 1-4.700-2.300L4.200 14a1.500 1.500 0 0 1 2.300-1.900z" />';
const SIZES = { min: 0.1, max: 2, step: 0.05, usual: 0.6 } as const;

/** What the headset needs of it. */
export class Play {
  on = false;
  playground: Playground | null = null;
  onChange: () => void = () => {};

  constructor(private readonly page: Page) {}

  /** Loads the physics the first time. */
  async turn(on: boolean): Promise<void> {
    if (on && this.playground === null) {
      const [{ Playground }, surface] = [await import("./playground"), surfaceOf(this.page)];
      this.playground ??= await Playground.open(this.page, surface, unitsPerMetre(this.page, surface.current.ground));
    }
    this.on = on;
    if (!on) this.playground?.release();
    this.onChange();
  }
}

const plays = new WeakMap<Page, Play>();

export function playOf(page: Page): Play {
  let play = plays.get(page);
  if (play === undefined) {
    play = new Play(page);
    plays.set(page, play);
  }
  return play;
}

export const play: Feature = (page: Page): void => {
  const state = playOf(page);
  const tool = dragTool(page, state);
  const sheet = page.panels.add("play", "Play with things");
  const button = page.toolbar.addButton({
    id: "play", label: "Play", icon: ICON, title: "Pick things up and let them fall", key: "g", toggle: true, group: "immerse",
    onPress: () => void toggle(),
  });
  const toggle = async (): Promise<void> => {
    try {
      await state.turn(!state.on);
    } catch (error) {
      page.notice(error instanceof Error ? error.message : String(error));
      return;
    }
    if (state.on) {
      page.tools.use(tool);
      page.panels.open("play");
    } else {
      page.tools.end(tool);
      page.panels.close();
    }
  };
  state.onChange = () => (button.pressed = state.on);
  tool.end = () => void state.turn(false);
  fill(sheet, state);
  page.onFrame((seconds) => state.playground?.step(seconds) ?? false);
};

function fill(sheet: HTMLElement, state: Play): void {
  const text = document.createElement("p");
  text.textContent = "Drag a thing with the mouse or a finger and let go: it falls and comes to rest on the scene. Empty places turn the view.";
  const label = document.createElement("label");
  label.className = "panel-row";
  const name = document.createElement("span");
  name.textContent = "Size of things";
  const size = document.createElement("input");
  Object.assign(size, { type: "range", id: "play-size", min: String(SIZES.min), max: String(SIZES.max), step: String(SIZES.step), value: String(SIZES.usual) });
  size.addEventListener("input", () => {
    if (state.playground !== null) state.playground.size = Number(size.value);
  });
  label.append(name, size);
  const back = document.createElement("button");
  back.type = "button";
  back.id = "play-back";
  back.textContent = "Put everything back";
  back.addEventListener("click", () => state.playground?.clear());
  sheet.append(text, label, back);
}

/** Drags a thing in the plane that faces the camera where it was taken. */
function dragTool(page: Page, state: Play): CanvasTool {
  const { stage } = page;
  const plane = new Plane();
  const rayAt = (x: number, y: number): Raycaster => {
    const ray = new Raycaster();
    ray.setFromCamera(new Vector2((x / stage.width) * 2 - 1, 1 - (y / stage.height) * 2), stage.camera);
    return ray;
  };
  const still = { position: new Vector3(), quaternion: stage.camera.quaternion.clone().identity() };
  const place = (x: number, y: number): Vector3 | null => rayAt(x, y).ray.intersectPlane(plane, new Vector3());
  let start = new Vector3();
  return {
    name: "play",
    cursor: "grab",
    down: (x, y) => {
      const point = state.playground?.take(rayAt(x, y), still) ?? null;
      if (point === null) return false;
      plane.setFromNormalAndCoplanarPoint(stage.camera.getWorldDirection(new Vector3()), point);
      start = place(x, y) ?? point;
      stage.invalidate();
      return true;
    },
    move: (x, y) => {
      const at = place(x, y);
      if (at !== null) state.playground?.carry({ position: at.sub(start), quaternion: still.quaternion });
      stage.invalidate();
    },
    up: () => state.playground?.release(),
  };
}
