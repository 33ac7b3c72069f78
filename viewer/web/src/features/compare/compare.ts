// Before and after: the photo beside the rendering, or two sets of splats of one place, with a line to drag between.

import { SplatEdit, SplatEditRgbaBlendMode, SplatEditSdf, SplatEditSdfType, SplatMesh } from "@sparkjsdev/spark";
import { Quaternion, Vector3 } from "three";
import { byId } from "../../dom";
import { PageError } from "../../errors";
import type { Feature, Page } from "../../page";
import { decodeSplats } from "../../splats";
import { Wipe } from "./wipe";

const ICON = '<path d="M12 3v18M5 6h4M5 18h4M3.500 6v12M15 6h5.500v12H15" />';
const WIPE_ICON = '<path d="M12 4v16M8.500 9l-3 3 3 3M15.500 9l3 3-3 3" />';

export const compare: Feature = (page: Page): void => {
  photoWipe(page);
  const body = page.panels.add("compare-splats", "Before and after");
  const advice = document.createElement("p");
  advice.textContent = "Open other splats of this place, such as an earlier scan or version: this scene is left of the line, they are right of it.";
  const input = document.createElement("input");
  input.type = "file";
  input.accept = ".ply,.spz,.sog,.splat";
  input.hidden = true;
  input.setAttribute("aria-label", "Splat file to compare with");
  const open = document.createElement("button");
  open.type = "button";
  open.id = "compare-open";
  open.textContent = "Open a splat file";
  open.addEventListener("click", () => input.click());
  const stop = document.createElement("button");
  stop.type = "button";
  stop.id = "compare-stop";
  stop.textContent = "Stop comparing";
  stop.hidden = true;
  body.append(advice, open, input, stop);

  let pair: Pair | null = null;
  const end = (): boolean => {
    if (pair === null) return false;
    pair.end();
    pair = null;
    stop.hidden = true;
    return true;
  };
  stop.addEventListener("click", end);
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    input.value = "";
    if (file === undefined) return;
    decodeSplats(file).then(
      (mesh) => {
        end();
        pair = new Pair(page, mesh);
        stop.hidden = false;
      },
      (error: unknown) => page.notice(error instanceof PageError ? `${error.heading}. ${error.advice}` : String(error)),
    );
  });
  page.shortcuts.add("Escape", end);
  page.onFrame(() => pair?.place() ?? false);
  page.onSplats((mesh) => pair?.takeFirst(mesh));
  page.toolbar.addButton({
    id: "before-after", label: "Compare", icon: ICON, title: "Before and after: compare with other splats", key: "b",
    group: "view", onPress: () => page.panels.toggle("compare-splats"),
  });
};

/** Two sets of splats, each cut away on one side of a plane through the eye. */
class Pair {
  private readonly wipe: Wipe;
  private readonly cuts: [SplatEdit, SplatEdit] = [cut(), cut()];

  constructor(
    private readonly page: Page,
    private readonly other: SplatMesh,
  ) {
    page.stage.add(other);
    this.takeFirst(page.splats);
    other.add(this.cuts[1]);
    document.body.dataset.compare = "splats";
    this.wipe = new Wipe("Between this scene, left, and the other splats, right", () => page.stage.invalidate());
  }

  takeFirst(mesh: SplatMesh): void {
    mesh.add(this.cuts[0]);
    mesh.updateGenerator();
  }

  end(): void {
    for (const each of this.cuts) each.removeFromParent();
    this.wipe.remove();
    this.other.removeFromParent();
    this.other.dispose();
    this.page.splats.updateGenerator();
    delete document.body.dataset.compare;
    this.page.stage.invalidate();
  }

  /** Puts the planes where the line is seen; returns whether they moved. */
  place(): boolean {
    const { camera, world } = this.page.stage;
    const across = new Vector3(this.wipe.at * 2 - 1, 0, 0.5).applyMatrix4(camera.projectionMatrixInverse);
    // The plane's normal, to the right, in the camera's axes: across the way to the line, level.
    const normal = new Vector3(-across.z, 0, across.x).normalize().applyQuaternion(camera.quaternion);
    const inWorld = world.quaternion.clone().invert();
    normal.applyQuaternion(inWorld);
    const eye = camera.position.clone().applyQuaternion(inWorld);
    let moved = false;
    this.cuts.forEach((each, index) => {
      const plane = each.children[0] as SplatEditSdf;
      const turned = new Quaternion().setFromUnitVectors(new Vector3(0, 0, 1), index === 0 ? normal.clone().negate() : normal);
      moved ||= plane.quaternion.angleTo(turned) > 1e-6 || !plane.position.equals(eye);
      plane.position.copy(eye);
      plane.quaternion.copy(turned);
    });
    return moved;
  }
}

/** Makes the splats on one side of its plane invisible. */
function cut(): SplatEdit {
  const edit = new SplatEdit({ rgbaBlendMode: SplatEditRgbaBlendMode.MULTIPLY, softEdge: 0, sdfSmooth: 0 });
  edit.add(new SplatEditSdf({ type: SplatEditSdfType.PLANE, opacity: 0 }));
  return edit;
}

/** At a photo: a button that changes the fade into a line to drag. */
function photoWipe(page: Page): void {
  const layer = byId("photo-layer");
  const fade = byId<HTMLInputElement>("fade");
  const button = document.createElement("button");
  button.type = "button";
  button.id = "photo-wipe";
  button.className = "icon";
  button.setAttribute("aria-label", "Compare with a line to drag");
  button.setAttribute("aria-pressed", "false");
  button.title = "Compare with a line to drag";
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${WIPE_ICON}</svg>`;
  byId("photo-next").after(button);
  let wipe: Wipe | null = null;
  let faded = fade.value;

  const cutPhoto = (share: number): void => {
    const { left, width } = layer.getBoundingClientRect();
    const from = Math.min(1, Math.max(0, (share * window.innerWidth - left) / Math.max(1, width)));
    layer.style.clipPath = `inset(0 0 0 ${(from * 100).toFixed(2)}%)`;
  };
  const setFade = (value: string): void => {
    fade.value = value;
    fade.dispatchEvent(new Event("input"));
  };
  const end = (): boolean => {
    if (wipe === null) return false;
    wipe.remove();
    wipe = null;
    layer.style.clipPath = "";
    fade.closest<HTMLElement>(".fade")!.hidden = false;
    setFade(faded);
    button.setAttribute("aria-pressed", "false");
    return true;
  };
  button.addEventListener("click", () => {
    if (end()) return;
    faded = fade.value;
    setFade("100");
    fade.closest<HTMLElement>(".fade")!.hidden = true;
    button.setAttribute("aria-pressed", "true");
    wipe = new Wipe("Between the scene, left, and the photo, right", cutPhoto);
  });
  page.shortcuts.add("Escape", end);
  page.onFrame(() => {
    if (wipe !== null && byId("compare").hidden) end();
    else if (wipe !== null) cutPhoto(wipe.at);
    return false;
  });
}
