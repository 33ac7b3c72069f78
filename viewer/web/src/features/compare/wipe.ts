// An upright line across the page that a person drags, or moves with the arrow keys.

import "./wipe.css";

export class Wipe {
  private readonly element = document.createElement("div");
  /** From 0 at the left edge to 1 at the right. */
  private share = 0.5;

  constructor(
    label: string,
    private readonly onMove: (share: number) => void,
  ) {
    this.element.id = "wipe";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "slider");
    this.element.setAttribute("aria-label", label);
    this.element.setAttribute("aria-valuemin", "0");
    this.element.setAttribute("aria-valuemax", "100");
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      event.preventDefault();
      this.element.focus({ preventScroll: true });
    });
    this.element.addEventListener("pointermove", (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) this.move(event.clientX / window.innerWidth);
    });
    this.element.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.move(this.share + step);
    });
    document.body.append(this.element);
    this.element.focus({ preventScroll: true });
    this.move(0.5);
  }

  get at(): number {
    return this.share;
  }

  move(share: number): void {
    this.share = Math.min(1, Math.max(0, share));
    this.element.style.left = `${this.share * 100}%`;
    this.element.setAttribute("aria-valuenow", String(Math.round(this.share * 100)));
    this.onMove(this.share);
  }

  remove(): void {
    this.element.remove();
  }
}
