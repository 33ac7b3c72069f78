// The page for people: the stage, the scene on it, the bars and the features.

import { Controls } from "./controls";
import { byId } from "./dom";
import { startFeatures } from "./features";
import type { SceneManifest } from "./manifest";
import { ScenePage } from "./page";
import { loadSplats } from "./splats";
import { Stage } from "./stage";

const BACKGROUND = "#0e1014";

export interface Progress {
  (bytes: number): void;
}

export async function showScene(canvas: HTMLCanvasElement, scene: SceneManifest, onProgress: Progress): Promise<void> {
  const stage = new Stage(canvas, { exact: false, background: BACKGROUND, isAntialiased: scene.splats.isAntialiased });
  const page = new ScenePage(stage, scene);
  new Controls(page);
  stage.start();
  page.replaceSplats(await loadSplats(scene, onProgress));
  await stage.settle();
  byId("loading").hidden = true;
  await startFeatures(page);
  canvas.focus({ preventScroll: true });
  document.body.dataset.ready = "1";
}
