// Snapshots of the splats in training: each takes the place of the one before.

import { SplatFileType, SplatMesh } from "@sparkjsdev/spark";
import type { Page } from "../../page";
import type { Snapshot } from "./messages";

/** Decodes a snapshot and shows it; returns the milliseconds that took. */
export async function showSnapshot(page: Page, snapshot: Snapshot): Promise<number> {
  const began = performance.now();
  const mesh = new SplatMesh({ fileBytes: snapshot.rows, fileType: SplatFileType.SPLAT });
  await mesh.initialized;
  page.stage.setAntialiased(snapshot.isAntialiased);
  page.replaceSplats(mesh);
  return performance.now() - began;
}
