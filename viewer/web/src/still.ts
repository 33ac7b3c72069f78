// `?camera=NAME&still=1[&background=rrggbb]`: nothing but the splats, seen by one capture camera, at its own pixel size.
//
// Made for comparing with other renderers, first of all our own rasterizer: the canvas has exactly the camera's width
// and height, the background is plain (black unless given), splats are sorted by depth and drawn to 1/255. When the
// picture is final `document.body.dataset.ready` is "1", and the canvas can be read with `toDataURL`.

import { lensInRect, viewpointOf } from "./coordinates";
import { PageError } from "./errors";
import type { SceneManifest } from "./manifest";
import { loadSplats } from "./splats";
import { Stage } from "./stage";

export interface StillRequest {
  readonly camera: string;
  readonly background: string;
}

export function stillRequest(query: URLSearchParams): StillRequest | null {
  const camera = query.get("camera");
  if (query.get("still") !== "1" || camera === null) return null;
  const background = query.get("background") ?? "000000";
  return { camera, background: /^[0-9a-f]{6}$/i.test(background) ? `#${background}` : "#000000" };
}

export async function showStill(canvas: HTMLCanvasElement, scene: SceneManifest, request: StillRequest): Promise<void> {
  const camera = scene.cameras.find((c) => c.name === request.camera);
  if (camera === undefined) {
    throw new PageError("There is no such camera", `The scene has no camera called ${request.camera}.`);
  }
  const { width, height } = camera;
  const stage = new Stage(canvas, {
    exact: true,
    background: request.background,
    isAntialiased: scene.splats.isAntialiased,
  });
  stage.resize(width, height, 1);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  stage.setLens(lensInRect(camera, { left: 0, top: 0, width, height }));
  const view = viewpointOf(camera);
  stage.camera.position.copy(view.position);
  stage.camera.quaternion.copy(view.quaternion);
  stage.add(await loadSplats(scene.splats, () => {}));
  await stage.settle();
  document.body.dataset.ready = "1";
}
