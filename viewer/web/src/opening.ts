// How a scene opens: a picture from few splats first, where the scene has them, then all of them.

import { SplatMesh } from "@sparkjsdev/spark";
import { byId } from "./dom";
import type { ScenePage } from "./page";
import { loadSplats } from "./splats";

export interface Progress {
  (bytes: number, total: number): void;
}

/** Times in `performance`, for bench/page.py; `document.body.dataset.picture` says the same to tests. */
function reached(picture: "first" | "whole"): void {
  performance.mark(`${picture}-picture`);
  document.body.dataset.picture = picture;
}

async function show(page: ScenePage, mesh: SplatMesh): Promise<void> {
  page.replaceSplats(mesh);
  await page.stage.settle();
  byId("loading").hidden = true;
}

/** Shows the first picture. Returns what brings the rest: nothing to do when the first was the whole. */
export async function firstPicture(page: ScenePage, onProgress: Progress): Promise<() => Promise<void>> {
  const { splats } = page.scene;
  const { preview } = splats;
  if (preview === null) {
    await show(page, await loadSplats(splats, (bytes) => onProgress(bytes, splats.bytes)));
    reached("first");
    return async () => reached("whole");
  }
  await show(page, await loadSplats(preview, (bytes) => onProgress(bytes, preview.bytes)));
  reached("first");
  return async () => {
    const line = byId("detail");
    line.hidden = false;
    const bar = line.firstElementChild as HTMLElement;
    try {
      const mesh = await loadSplats(splats, (bytes) => {
        const percent = Math.round(Math.min(1, bytes / splats.bytes) * 100);
        bar.style.width = `${percent}%`;
        line.setAttribute("aria-valuenow", String(percent));
      });
      await show(page, mesh);
    } finally {
      line.hidden = true;
    }
    reached("whole");
  };
}
