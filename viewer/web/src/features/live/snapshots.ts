// Snapshots of the splats in training: each takes the place of the one before.

import { SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import type { Page } from "../../page";
import { nextFrame } from "../../stage";
import type { Snapshot } from "./messages";

const PATIENCE_MS = 5000;

/** Decodes a snapshot and shows it; returns the milliseconds that took. */
export async function showSnapshot(page: Page, snapshot: Snapshot): Promise<number> {
  const began = performance.now();
  const mesh = new SplatMesh({ fileBytes: snapshot.rows, fileType: SplatFileType.SPLAT });
  await mesh.initialized;
  page.stage.setAntialiased(snapshot.isAntialiased);
  page.replaceSplats(mesh);
  const took = performance.now() - began;
  // Not before it has been drawn: on a slow machine the next would come before this one was ever seen.
  const { stage } = page;
  const before = stage.frames;
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until && (stage.frames === before || stage.spark.sorting || stage.spark.sortDirty)) await nextFrame();
  return took;
}
