// The page for people: the stage, the scene on it, the bars and the features.

import { Controls } from "./controls";
import { startFeatures } from "./features";
import type { SceneManifest } from "./manifest";
import { firstPicture, type Progress } from "./opening";
import { ScenePage } from "./page";
import { Stage } from "./stage";

const BACKGROUND = "#0e1014";

export async function showScene(canvas: HTMLCanvasElement, scene: SceneManifest, onProgress: Progress): Promise<void> {
  const stage = new Stage(canvas, { exact: false, background: BACKGROUND, isAntialiased: scene.splats.isAntialiased });
  const page = new ScenePage(stage, scene);
  new Controls(page);
  stage.start();
  const bringRest = await firstPicture(page, onProgress);
  await startFeatures(page);
  canvas.focus({ preventScroll: true });
  await bringRest();
  document.body.dataset.ready = "1";
}
