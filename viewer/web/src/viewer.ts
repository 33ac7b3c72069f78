// The page for people: the scene, its bars and what the buttons and keys do.

import { SplatMesh } from "@sparkjsdev/spark";
import { Box3, Raycaster, Vector2, Vector3 } from "three";
import { freeLens, lookingAt, pointInThree, viewpointOf } from "./coordinates";
import { byId, notice, press, reducedMotion } from "./dom";
import { Frustums } from "./frustums";
import { listenToPointer, listenToWalkKeys, typesText } from "./input";
import type { SceneCamera, SceneManifest } from "./manifest";
import { type Mode, Navigation } from "./navigation";
import { PhotoView } from "./photo";
import { loadSplats } from "./splats";
import { Stage } from "./stage";
import { Strip } from "./strip";

const BACKGROUND = "#0e1014";

export interface Progress {
  (bytes: number): void;
}

export async function showScene(canvas: HTMLCanvasElement, scene: SceneManifest, onProgress: Progress): Promise<void> {
  const stage = new Stage(canvas, { exact: false, background: BACKGROUND, isAntialiased: scene.splats.isAntialiased });
  const viewer = new Viewer(stage, scene);
  stage.start();
  const mesh = await loadSplats(scene, onProgress);
  stage.add(mesh);
  await stage.settle();
  viewer.ready();
  document.body.dataset.ready = "1";
}

class Viewer {
  private readonly navigation: Navigation;
  private readonly frustums: Frustums;
  private readonly photo: PhotoView;
  private readonly strip: Strip;
  private readonly centre: Vector3;
  private readonly radius: number;

  constructor(
    private readonly stage: Stage,
    private readonly scene: SceneManifest,
  ) {
    const box = new Box3().setFromPoints([pointInThree(scene.bounds.min), pointInThree(scene.bounds.max)]);
    this.centre = box.getCenter(new Vector3());
    this.radius = Math.max(box.getSize(new Vector3()).length() / 2, 1e-3);
    stage.setDepthRange(this.radius);
    this.navigation = new Navigation(stage, this.radius, reducedMotion);
    this.frustums = new Frustums(stage, scene, this.radius);
    this.photo = new PhotoView(stage, this.navigation, this.frustums, scene, (c) => this.depthAhead(c));
    this.strip = new Strip(scene, (index) => void this.photo.open(index));
    this.navigation.onLeave = () => this.photo.leave();
    this.photo.onChange = (index) => {
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

  /** Called once the splats are on the canvas. */
  ready(): void {
    byId("canvas").focus({ preventScroll: true });
  }

  private goHome(smoothly: boolean): void {
    const position = pointInThree(this.scene.home.position);
    const target = pointInThree(this.scene.home.target);
    const view = lookingAt(position, target, pointInThree(this.scene.home.up));
    this.photo.leave();
    if (smoothly) void this.navigation.flyTo(view, position.distanceTo(target), freeLens);
    else this.navigation.place(view, position.distanceTo(target));
  }

  /** About how far ahead of a camera the scene lies: the point on its axis nearest to the middle of the scene. */
  private depthAhead(camera: SceneCamera): number {
    const view = viewpointOf(camera);
    const ahead = new Vector3(0, 0, -1).applyQuaternion(view.quaternion);
    const along = this.centre.clone().sub(view.position).dot(ahead);
    return Math.min(Math.max(along, this.radius * 0.1), this.radius * 4);
  }

  private resize(): void {
    const { clientWidth, clientHeight } = document.documentElement;
    this.stage.resize(clientWidth, clientHeight, Math.min(window.devicePixelRatio, 2));
    this.navigation.refreshLens();
    this.photo.layout();
  }

  private setMode(mode: Mode): void {
    this.navigation.mode = mode;
    byId("orbit").setAttribute("aria-checked", String(mode === "orbit"));
    byId("fly").setAttribute("aria-checked", String(mode === "fly"));
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

  private focusAt(x: number, y: number): void {
    const { stage } = this;
    const raycaster = new Raycaster();
    raycaster.setFromCamera(new Vector2((x / stage.width) * 2 - 1, 1 - (y / stage.height) * 2), stage.camera);
    const [hit] = raycaster.intersectObjects(stage.world.children.filter((o) => o instanceof SplatMesh), false);
    if (hit !== undefined) this.navigation.focus(hit.point);
  }

  private listen(): void {
    new ResizeObserver(() => this.resize()).observe(document.documentElement);
    listenToPointer(this.stage.canvas, this.navigation, {
      click: (x, y) => {
        const index = this.frustums.pick(x, y);
        if (index !== null) void this.photo.open(index);
      },
      doubleClick: (x, y) => this.focusAt(x, y),
    });
    listenToWalkKeys(this.navigation);
    const help = byId<HTMLDialogElement>("help");
    const actions: Record<string, () => void> = {
      orbit: () => this.setMode("orbit"),
      fly: () => this.setMode("fly"),
      reset: () => this.goHome(true),
      cameras: () => this.showFrustums(!this.frustums.visible),
      photos: () => this.showStrip(!this.strip.visible),
      "help-button": () => (help.open ? help.close() : help.showModal()),
      fullscreen: () => void this.toggleFullscreen(),
    };
    for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
    this.listenToShortcuts(actions);
    document.addEventListener("fullscreenchange", () => press(byId("fullscreen"), document.fullscreenElement !== null));
    byId("fullscreen").hidden = !document.fullscreenEnabled;
  }

  private listenToShortcuts(actions: Record<string, () => void>): void {
    const keys: Record<string, () => void> = {
      "1": actions.orbit!,
      "2": actions.fly!,
      r: actions.reset!,
      Home: actions.reset!,
      c: () => byId("cameras").click(),
      p: () => byId("photos").click(),
      f: actions.fullscreen!,
      h: actions["help-button"]!,
      "?": actions["help-button"]!,
      ArrowLeft: () => this.photo.move(-1),
      ArrowRight: () => this.photo.move(1),
      Escape: () => this.photo.leave(),
    };
    const onControl = (target: EventTarget | null): boolean =>
      target instanceof HTMLElement && target.closest("button, input, a") !== null;
    window.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || typesText(event.target)) return;
      if (byId<HTMLDialogElement>("help").open && event.key !== "h" && event.key !== "?") return;
      if (event.target instanceof HTMLInputElement && event.key.startsWith("Arrow")) return;
      if (event.key === " " && !onControl(event.target)) {
        event.preventDefault();
        this.photo.swap(true);
        return;
      }
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (action === undefined || event.repeat) return;
      event.preventDefault();
      action();
    });
    const release = (): void => this.photo.swap(false);
    window.addEventListener("keyup", (event) => event.key === " " && release());
    window.addEventListener("blur", release);
  }

  private async toggleFullscreen(): Promise<void> {
    try {
      if (document.fullscreenElement === null) await document.documentElement.requestFullscreen();
      else await document.exitFullscreen();
    } catch {
      notice("This browser does not allow full screen here.");
    }
  }
}
