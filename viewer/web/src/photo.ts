// Standing at a photo's camera: the photo over the rendering, and the fade between the two.

import { freeLens, type Lens, lensInRect, photoRect, type Rect, viewpointOf } from "./coordinates";
import { byId, notice, reducedMotion } from "./dom";
import type { Frustums } from "./frustums";
import type { SceneCamera, SceneManifest } from "./manifest";
import type { Navigation } from "./navigation";
import type { Stage } from "./stage";

const MARGIN = 12;

export class PhotoView {
  /** Fired when another photo, or none, is stood at. */
  onChange: (index: number | null) => void = () => {};
  private index: number | null = null;
  private arrived = false;
  private swapped = false;
  private readonly layer = byId("photo-layer");
  private readonly image = byId<HTMLImageElement>("photo");
  private readonly fade = byId<HTMLInputElement>("fade");
  private readonly card = byId("compare");

  constructor(
    private readonly stage: Stage,
    private readonly navigation: Navigation,
    private readonly frustums: Frustums,
    private readonly scene: SceneManifest,
    /** How far ahead of a camera the scene lies, for the orbit after the photo. */
    private readonly pivotDistance: (camera: SceneCamera) => number,
  ) {
    this.fade.addEventListener("input", () => this.show());
    byId("photo-close").addEventListener("click", () => this.leave());
    byId("photo-previous").addEventListener("click", () => this.move(-1));
    byId("photo-next").addEventListener("click", () => this.move(1));
    this.image.addEventListener("load", () => this.show());
    this.image.addEventListener("error", () => {
      if (this.image.getAttribute("src")) notice("This photo could not be loaded: is Diorama still running?");
    });
  }

  get current(): number | null {
    return this.index;
  }

  async open(index: number): Promise<void> {
    const camera = this.scene.cameras[index];
    if (camera === undefined) return;
    this.index = index;
    this.arrived = false;
    this.show();
    this.image.removeAttribute("src");
    if (camera.photo !== null) this.image.src = camera.photo;
    this.image.alt = `Photo ${camera.name}`;
    byId("photo-name").textContent = camera.name;
    this.fade.disabled = camera.photo === null;
    this.card.hidden = false;
    this.frustums.choose(index);
    this.frustums.hideForPhoto = false;
    this.onChange(index);
    const lens = (width: number, height: number): Lens => this.lens(camera, width, height);
    await this.navigation.flyTo(viewpointOf(camera), this.pivotDistance(camera), lens);
    if (this.index !== index) return;
    this.arrived = true;
    this.frustums.hideForPhoto = true;
    document.body.dataset.photo = camera.name;
    this.layout();
    this.show();
  }

  /** The next photo in the capture's order; the first when none is open. */
  move(step: number): void {
    const count = this.scene.cameras.length;
    if (count === 0) return;
    const from = this.index ?? (step > 0 ? -1 : count);
    void this.open((from + step + count) % count);
  }

  /** Forgets the photo; the view stays where it is. */
  leave(): void {
    if (this.index === null) return;
    this.index = null;
    this.arrived = false;
    this.card.hidden = true;
    this.frustums.choose(null);
    this.frustums.hideForPhoto = false;
    delete document.body.dataset.photo;
    this.show();
    this.navigation.changeLens(freeLens);
    this.onChange(null);
  }

  /** While held, the photo and the scene change places. */
  swap(held: boolean): void {
    this.swapped = held;
    this.show();
  }

  /** Puts the photo where its camera sees it; call when the page's shape changed. */
  layout(): void {
    const camera = this.index === null ? undefined : this.scene.cameras[this.index];
    if (camera === undefined) return;
    const rect = photoRect(camera, this.freeSpace(this.stage.width, this.stage.height));
    for (const side of ["left", "top", "width", "height"] as const) this.layer.style[side] = `${rect[side]}px`;
  }

  private lens(camera: SceneCamera, width: number, height: number): Lens {
    return lensInRect(camera, photoRect(camera, this.freeSpace(width, height)));
  }

  /** What the bars at the top and the bottom leave of the canvas. */
  private freeSpace(width: number, height: number): Rect {
    const top = byId("top").getBoundingClientRect().bottom + MARGIN;
    const bottom = byId("dock").getBoundingClientRect().top - MARGIN;
    const roomy = bottom - top > height * 0.35;
    return {
      left: MARGIN,
      top: roomy ? top : MARGIN,
      width: Math.max(1, width - 2 * MARGIN),
      height: Math.max(1, (roomy ? bottom - top : height - 2 * MARGIN)),
    };
  }

  private show(): void {
    const share = Number(this.fade.value) / 100;
    const loaded = this.image.complete && this.image.naturalWidth > 0;
    const opacity = this.arrived && loaded ? (this.swapped ? (share >= 0.5 ? 0 : 1) : share) : 0;
    this.layer.style.opacity = String(opacity);
    this.layer.style.transitionDuration = reducedMotion() || !this.arrived || this.swapped ? "0s" : "";
  }
}
