// When the graphics card stops: the page comes back by itself, at the same view.

import type { Feature, Page } from "../../page";
import { viewHash } from "../views/link";
import { viewNow } from "../views/views";

const KEY = "diorama:recovered";
/** A card that stops again so soon is asked for a person's decision instead. */
const CALM_MS = 30_000;

export const recovery: Feature = (page: Page): void => {
  const { canvas } = page.stage;
  canvas.addEventListener("webglcontextlost", () => {
    page.stage.stop();
    // Whoever presses "Try again", or the event below, finds the view in the address.
    history.replaceState(null, "", viewHash({ ...viewNow(page), name: "" }));
  });
  canvas.addEventListener("webglcontextrestored", () => {
    const last = Number(sessionStorage.getItem(KEY) ?? 0);
    if (Date.now() - last < CALM_MS) return;
    sessionStorage.setItem(KEY, String(Date.now()));
    location.reload();
  });
};
