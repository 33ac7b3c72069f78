// Fewer pixels while the view moves, where the machine is too slow for all of them; all of them again at rest.

/** A frame should take at most so long while something moves: 30 a second, with some room. */
const WANTED_SECONDS = 1 / 28;
const FAST_SECONDS = 1 / 55;
const STEP = 0.82;
export const LEAST_SCALE = 0.4;
/** Frames of one speed before anything is changed: one slow frame says nothing. */
const PATIENCE = 3;

export class AdaptiveScale {
  /** While moving, this share of the pixels along each side. */
  moving = 1;
  private slow = 0;
  private fast = 0;

  /** A frame while moving took so many seconds. Returns whether `moving` has changed. */
  frame(seconds: number): boolean {
    this.slow = seconds > WANTED_SECONDS ? this.slow + 1 : 0;
    this.fast = seconds < FAST_SECONDS ? this.fast + 1 : 0;
    if (this.slow >= PATIENCE && this.moving > LEAST_SCALE) {
      this.moving = Math.max(LEAST_SCALE, this.moving * STEP);
      this.slow = 0;
      return true;
    }
    // Up again only after a longer while, or it would swing.
    if (this.fast >= PATIENCE * 10 && this.moving < 1) {
      this.moving = Math.min(1, this.moving / STEP);
      this.fast = 0;
      return true;
    }
    return false;
  }
}
