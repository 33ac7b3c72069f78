// GLB files beside the page. The reader is loaded when the first one is wanted.

import { type Group, Matrix4 } from "three";
import { THREE_FROM_WORLD } from "./coordinates";
import { fetchBeside, PageError } from "./errors";
import type { SceneManifest } from "./manifest";

/** Where a scene's mesh and collider lie in three's world: versions may have moved since they were made. */
export function matrixInThree(scene: SceneManifest): Matrix4 {
  const moved = new Matrix4();
  if (scene.worldFromMesh !== null) moved.fromArray([...scene.worldFromMesh]).transpose();
  // The files have +y up, as three has; the matrix speaks of the world.
  const turn = new Matrix4().makeRotationFromQuaternion(THREE_FROM_WORLD);
  return turn.clone().multiply(moved).multiply(turn.invert());
}

/** The nodes of a GLB's scene, in three's frame. Rejects with a PageError in plain words. */
export async function loadGlb(url: string, what: string): Promise<Group> {
  const response = await fetchBeside(url, what);
  const bytes = await response.arrayBuffer().catch(() => {
    throw new PageError(`${what} did not come whole`, "The connection was lost on the way. Try again.");
  });
  const { GLTFLoader } = await import("three/addons/loaders/GLTFLoader.js");
  try {
    // Nothing but what the file itself holds: a name of another file in it leads nowhere.
    return (await new GLTFLoader().parseAsync(bytes, "blob:none/")).scene;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new PageError(`${what} is damaged`, `It could not be read (${reason}). Run diorama mesh again.`);
  }
}
