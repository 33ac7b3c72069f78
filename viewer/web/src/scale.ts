// How large a scene is that nobody measured.

import { viewpointOf } from "./coordinates";
import type { Page } from "./page";

/** How high people hold a camera while they scan. */
const HAND_HEIGHT = 1.5;
/** Without cameras a scene is taken for a thing of this diagonal. */
const THING_METRES = 2;

/** World units that make one metre: 1 when the scene is in metres, else a guess from how it was taken. */
export function unitsPerMetre(page: Page, ground: number): number {
  if (page.scene.isMetric) return 1;
  const heights = page.scene.cameras.map((c) => viewpointOf(c).position.y - ground).sort((a, b) => a - b);
  const usual = heights[Math.floor(heights.length / 2)] ?? 0;
  // Cameras at the floor or below it say nothing about a person's height.
  return usual > page.radius * 0.03 ? usual / HAND_HEIGHT : (page.radius * 2) / THING_METRES;
}
