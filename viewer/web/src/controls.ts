// What every scene has: ways of moving, reset, the capture's cameras and photos, help, full screen.

import { Vector3 } from "three";
import { freeLens, lookingAt, pointInThree, viewpointOf } from "./coordinates";
import { byId, press } from "./dom";
import { Frustums, pyramidDepth } from "./frustums";
import { fillHelp } from "./help";
import { listenToPointer, listenToWalkKeys } from "./input";
import type { SceneCamera } from "./manifest";
import type { Mode } from "./navigation";
import type { ScenePage } from "./page";
import { PhotoView } from "./photo";
import { Strip } from "./strip";

export class Controls {
  private readonly frustums: Frustums;
  private readonly photo: PhotoView;
  private readonly strip: Strip;

  constructor(private readonly page: ScenePage) {
    const { stage, scene, navigation } = page;
    this.frustums = new Frustums(stage, scene.cameras, pyramidDepth(scene.cameras, page.radius));
    this.photo = new PhotoView(stage, navigation, this.frustums, scene, (c) => this.depthAhead(c));
    this.strip = new Strip(scene, (index) => void this.photo.open(index));
    navigation.onLeave = () => this.photo.leave();
    navigation.onMode = (mode) => this.showMode(mode);
    this.photo.onChange = (index) => {
      if (index !== null && navigation.mode === "walk") this.setMode("orbit");
      this.strip.choose(index);
      this.resize();
    };
    byId("title").textContent = scene.title;
    document.title = `${scene.title} · Diorama`;
    byId("status").textContent =
      `${scene.splats.count.toLocaleString("en")} splats · ${scene.isMetric ? "metres" : "scene units, scale unknown"}`;
    const hasCameras = scene.cameras.length > 0;
    byId("cameras").hidden = !hasCameras;
    byId("photos").hidden = !hasCameras;
    this.showStrip(hasCameras && scene.cameras.some((c) => c.thumbnail !== null));
    this.resize();
    this.goHome(false);
    this.listen();
  }

  private goHome(smoothly: boolean): void {
    const { home } = this.page.scene;
    const position = pointInThree(home.position);
    const target = pointInThree(home.target);
    const view = lookingAt(position, target, pointInThree(home.up));
    this.photo.leave();
    // A walker's feet stay where they are.
    if (this.page.navigation.mode === "walk") this.setMode("orbit");
    if (smoothly) void this.page.navigation.flyTo(view, position.distanceTo(target), freeLens);
    else this.page.navigation.place(view, position.distanceTo(target));
  }

  /** About how far ahead of a camera the scene lies: the point on its axis nearest to the middle of the scene. */
  private depthAhead(camera: SceneCamera): number {
    const { centre, radius } = this.page;
    const view = viewpointOf(camera);
    const ahead = new Vector3(0, 0, -1).applyQuaternion(view.quaternion);
    const along = centre.clone().sub(view.position).dot(ahead);
    return Math.min(Math.max(along, radius * 0.1), radius * 4);
  }

  private resize(): void {
    const { clientWidth, clientHeight } = document.documentElement;
    this.page.stage.resize(clientWidth, clientHeight, this.page.stage.pixelRatio);
    this.page.navigation.refreshLens();
    this.photo.layout();
  }

  private setMode(mode: Mode): void {
    this.page.navigation.mode = mode;
  }

  private showMode(mode: Mode): void {
    for (const each of ["orbit", "fly", "walk"]) byId(each).setAttribute("aria-checked", String(each === mode));
  }

  private showFrustums(visible: boolean): void {
    this.frustums.visible = visible;
    press(byId("cameras"), visible);
  }

  private showStrip(visible: boolean): void {
    this.strip.visible = visible;
    press(byId("photos"), visible);
    this.resize();
  }

  private click(x: number, y: number): void {
    const index = this.frustums.pick(x, y);
    if (index !== null) void this.photo.open(index);
  }

  private focusAt(x: number, y: number): void {
    const point = this.page.pick(x, y);
    if (point !== null) this.page.navigation.focus(point);
  }

  private listen(): void {
    const { stage, navigation, shortcuts, tools } = this.page;
    new ResizeObserver(() => this.resize()).observe(document.documentElement);
    listenToPointer(stage.canvas, navigation, tools, {
      click: (x, y) => this.click(x, y),
      doubleClick: (x, y) => this.focusAt(x, y),
    });
    listenToWalkKeys(navigation);
    const help = byId<HTMLDialogElement>("help");
    const showHelp = (): void => {
      if (help.open) return help.close();
      fillHelp(shortcuts.help);
      help.showModal();
    };
    const fullscreen = (): void => void this.toggleFullscreen();
    const actions: [id: string, action: () => void, key: string, text: string][] = [
      ["orbit", () => this.setMode("orbit"), "1", "orbit"],
      ["fly", () => this.setMode("fly"), "2", "fly"],
      ["reset", () => this.goHome(true), "r", "back to the first view"],
      ["cameras", () => this.showFrustums(!this.frustums.visible), "c", "cameras"],
      ["photos", () => this.showStrip(!this.strip.visible), "p", "photos"],
      ["fullscreen", fullscreen, "f", "full screen"],
      ["help-button", showHelp, "h", "this help"],
    ];
    shortcuts.describe(["W", "A", "S", "D"], "move; with Shift faster");
    shortcuts.describe(["Q", "E"], "down, up");
    for (const [id, action, key, text] of actions) {
      byId(id).addEventListener("click", action);
      shortcuts.add(key, () => !byId(id).hidden && (action(), true), text);
    }
    shortcuts.add("?", showHelp);
    shortcuts.add("Home", () => this.goHome(true));
    shortcuts.add("ArrowLeft", () => this.photo.move(-1), "previous photo");
    shortcuts.add("ArrowRight", () => this.photo.move(1), "next photo");
    const swap = (held: boolean) => (): void => this.photo.swap(held);
    shortcuts.addHeld(" ", swap(true), swap(false), "hold to swap photo and scene");
    shortcuts.add("Escape", () => this.photo.leave(), "close, leave the photo or the tool");
    document.addEventListener("fullscreenchange", () => press(byId("fullscreen"), document.fullscreenElement !== null));
    byId("fullscreen").hidden = !document.fullscreenEnabled;
  }

  private async toggleFullscreen(): Promise<void> {
    try {
      if (document.fullscreenElement === null) await document.documentElement.requestFullscreen();
      else await document.exitFullscreen();
    } catch {
      this.page.notice("This browser does not allow full screen here.");
    }
  }
}
