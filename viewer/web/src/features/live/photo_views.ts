// At a capture camera: the photo as the trainer has it, its rendering of it, and where the two differ.

import type { Page } from "../../page";
import type { TrainingConnection } from "./connection";
import type { TrainerPicture } from "./messages";
import { showJpeg } from "./pictures";

export type PhotoShow = "photo" | "rendering" | "error";

export class PhotoViews {
  /** Called when another photo, or none, is stood at. */
  onPhoto: (name: string | null) => void = () => {};
  /** Called with what there is to say about the picture shown. */
  onWords: (text: string) => void = () => {};
  private readonly image = document.createElement("img");
  private show: PhotoShow | null = null;
  private asked: { id: number; step: number } | null = null;
  private shownStep = -1;
  private step = 0;

  constructor(
    page: Page,
    private readonly connection: TrainingConnection,
    private readonly nextId: () => number,
  ) {
    this.image.id = "live-comparison";
    this.image.hidden = true;
    const layer = document.getElementById("photo-layer");
    (layer ?? page.stage.canvas).after(this.image);
    new MutationObserver(() => {
      this.choose(null);
      this.onPhoto(this.photo);
    }).observe(document.body, { attributes: true, attributeFilter: ["data-photo"] });
    const place = (): void => {
      for (const side of ["left", "top", "width", "height"] as const) this.image.style[side] = layer?.style[side] ?? "";
    };
    if (layer !== null) new MutationObserver(place).observe(layer, { attributes: true, attributeFilter: ["style"] });
  }

  /** The name of the photo that is stood at. */
  get photo(): string | null {
    return document.body.dataset.photo ?? null;
  }

  get shown(): PhotoShow | null {
    return this.show;
  }

  choose(show: PhotoShow | null): void {
    this.show = this.photo === null ? null : show;
    this.shownStep = -1;
    this.asked = null;
    if (this.show === null) {
      this.image.hidden = true;
      this.onWords("");
    }
    this.ask();
  }

  /** The training is at this step now: pictures that depend on it are asked for anew. */
  at(step: number): void {
    this.step = step;
    this.ask();
  }

  refresh(): void {
    this.asked = null;
    this.ask();
  }

  async take(picture: TrainerPicture): Promise<boolean> {
    if (this.asked === null || picture.id !== this.asked.id) return false;
    this.shownStep = this.asked.step;
    this.asked = null;
    if (picture.jpeg === null) {
      this.image.hidden = true;
      this.onWords(picture.error ?? "");
      return true;
    }
    await showJpeg(this.image, picture.jpeg);
    this.image.hidden = this.show === null;
    this.image.dataset.show = this.show ?? "";
    this.image.dataset.step = String(picture.step);
    this.onWords(this.words(picture));
    this.ask();
    return true;
  }

  private words(picture: TrainerPicture): string {
    if (this.show === "photo") return "The photo as it is trained on.";
    const step = `Step ${picture.step.toLocaleString("en")}`;
    if (this.show === "error" && picture.psnr !== null) {
      return `${step}: ${picture.psnr.toFixed(2)} dB PSNR against this photo. Bright is wrong; white is off by a quarter of the range or more.`;
    }
    return `${step}: what the trainer draws for this photo, in its exposure.`;
  }

  private ask(): void {
    const upToDate = this.show === "photo" ? this.shownStep >= 0 : this.shownStep >= this.step;
    if (this.show === null || this.photo === null || this.asked !== null || upToDate) return;
    this.asked = { id: this.nextId(), step: this.step };
    this.connection.send({ type: "photo", id: this.asked.id, name: this.photo, show: this.show });
  }
}
