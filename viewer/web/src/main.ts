// Start: read the scene's description, then show it, or say what is wrong.

import { byId } from "./dom";
import { fetchBeside, PageError } from "./errors";
import { parseManifest, type SceneManifest } from "./manifest";
import { showStill, stillRequest } from "./still";
import { showScene } from "./viewer";

function fail(error: unknown): void {
  const known = error instanceof PageError;
  if (!known) console.error(error);
  byId("failure-heading").textContent = known ? error.heading : "Something went wrong in this page";
  byId("failure-advice").textContent = known
    ? error.advice
    : `This is a mistake of ours, not of your scene. Please report it with these words: ${String(error)}`;
  byId("loading").hidden = true;
  byId("failure").hidden = false;
  byId("retry").focus();
  document.body.dataset.failed = "1";
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

function showProgress(bytes: number, total: number): void {
  const percent = Math.round(Math.min(1, bytes / Math.max(1, total)) * 100);
  const bar = byId("bar");
  bar.setAttribute("aria-valuenow", String(percent));
  (bar.firstElementChild as HTMLElement).style.width = `${percent}%`;
  byId("loading-text").textContent =
    bytes >= total ? "Preparing the picture …" : `Loading ${megabytes(bytes)} of ${megabytes(total)} MB`;
}

async function readScene(): Promise<SceneManifest> {
  const response = await fetchBeside("scene.json", "The scene's description");
  let value: unknown;
  try {
    value = await response.json();
  } catch {
    throw new PageError("The scene cannot be read", "Its description (scene.json) is damaged. Publish the scene again.");
  }
  return parseManifest(value);
}

async function start(): Promise<void> {
  performance.mark("script");
  document.body.dataset.started = "1";
  byId("retry").addEventListener("click", () => location.reload());
  const canvas = byId<HTMLCanvasElement>("canvas");
  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    fail(new PageError("The graphics card stopped", "This happens when it runs out of memory or its driver restarts. Try again."));
  });
  const scene = await readScene();
  const still = stillRequest(new URLSearchParams(location.search));
  if (still !== null) {
    document.body.classList.add("still");
    await showStill(canvas, scene, still);
  } else {
    await showScene(canvas, scene, showProgress);
  }
  byId("loading").hidden = true;
}

start().catch(fail);
