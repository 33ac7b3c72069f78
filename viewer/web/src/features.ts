// The page's functions beyond moving and the photos: each a file `features/NAME/NAME.ts` that exports one `Feature`.
//
// They start in this order, once the first splats are on the canvas. One that fails says so and leaves the rest alone.

import { compare } from "./features/compare/compare";
import { coverage } from "./features/coverage/coverage";
import { edit } from "./features/edit/edit";
import { live } from "./features/live/live";
import { measure } from "./features/measure/measure";
import { mesh } from "./features/mesh/mesh";
import { notes } from "./features/notes/notes";
import { path } from "./features/path/path";
import { play } from "./features/play/play";
import { quality } from "./features/quality/quality";
import { recovery } from "./features/recovery/recovery";
import { views } from "./features/views/views";
import { walk } from "./features/walk/walk";
import { xr } from "./features/xr/xr";
import type { Feature, Page } from "./page";

export const features: Feature[] = [
  recovery,
  walk,
  quality,
  mesh,
  compare,
  coverage,
  measure,
  notes,
  edit,
  path,
  views,
  live,
  xr,
  play,
];

export async function startFeatures(page: Page): Promise<void> {
  for (const feature of features) {
    try {
      await feature(page);
    } catch (error) {
      console.error(error);
      page.notice(`A part of this page did not start (${feature.name}): ${String(error)}`);
    }
  }
}
