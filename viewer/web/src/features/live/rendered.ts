// The trainer's own rendering over the canvas, for exactly the page's camera: small while the view moves, whole when it
// rests, and again when the training has moved on.

import type { Page } from "../../page";
import { trainerCamera } from "./camera";
import type { TrainingConnection } from "./connection";
import type { TrainerPicture } from "./messages";
import { showJpeg } from "./pictures";

const MOVING_PX = 320;
const RESTING_PX = 1280;

export class RenderedView {
  readonly image = document.createElement("img");
  private on = false;
  private asked: { id: number; view: string; width: number; step: number } | null = null;
  private shown = { view: "", width: 0, step: -1 };
  private last = "";
  private step = 0;

  constructor(
    private readonly page: Page,
    private readonly connection: TrainingConnection,
    private readonly nextId: () => number,
  ) {
    this.image.id = "live-view";
    this.image.alt = "The scene as the trainer renders it";
    this.image.hidden = true;
    page.stage.canvas.after(this.image);
    page.onFrame(() => (this.look(), false));
  }

  set visible(value: boolean) {
    this.on = value;
    this.shown = { view: "", width: 0, step: -1 };
    this.asked = null;
    if (!value) this.image.hidden = true;
    this.connection.wantSplats(!value);
  }

  /** The training is at this step now. */
  at(step: number): void {
    this.step = step;
  }

  /** Ask anew: a request may have been lost, or what is drawn has changed. */
  refresh(): void {
    this.asked = null;
    this.shown = { view: "", width: 0, step: -1 };
  }

  /** Returns whether the picture was one of these. */
  async take(picture: TrainerPicture): Promise<boolean> {
    const asked = this.asked;
    if (asked === null || picture.id !== asked.id) return false;
    this.asked = null;
    if (!this.on || picture.jpeg === null) return true;
    await showJpeg(this.image, picture.jpeg);
    this.shown = { view: asked.view, width: asked.width, step: picture.step };
    this.image.hidden = !this.on;
    this.image.dataset.width = String(asked.width);
    this.image.dataset.step = String(picture.step);
    return true;
  }

  private look(): void {
    if (!this.on || !this.connection.isOpen) return;
    const { camera, width, height, canvas } = this.page.stage;
    const view = [...camera.position.toArray(), ...camera.quaternion.toArray(), ...camera.projectionMatrix.elements].join();
    const rests = view === this.last;
    this.last = view;
    if (this.asked !== null) return;
    const large = Math.round(Math.min(canvas.width, canvas.width * (RESTING_PX / Math.max(canvas.width, canvas.height))));
    const pixels = rests ? large : Math.min(large, MOVING_PX);
    const { shown } = this;
    if (shown.view === view && shown.width >= pixels && shown.step === this.step) return;
    this.asked = { id: this.nextId(), view, width: pixels, step: this.step };
    this.connection.send({ type: "view", id: this.asked.id, camera: trainerCamera(camera, width, height, pixels) });
  }
}
