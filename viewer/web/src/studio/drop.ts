// Files dropped anywhere on the page. Without this the browser would show a dropped video instead of the page.

import { toast } from "./dialog";
import { type Found, fromDrop } from "./upload/footage";

const DRAGGING = "dragging";

/** Marks the body while files are held over the page and hands over what is dropped. */
export function listenToDrops(onDrop: (found: readonly Found[]) => void): void {
  let depth = 0;
  const mark = (by: number): void => {
    depth = Math.max(0, depth + by);
    document.body.classList.toggle(DRAGGING, depth > 0);
  };
  window.addEventListener("dragenter", () => mark(1));
  window.addEventListener("dragleave", () => mark(-1));
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = "copy";
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    if (event.dataTransfer === null) return;
    fromDrop(event.dataTransfer).then(onDrop, () => toast("The browser could not read what was dropped. Use “Choose files” instead.", "error"));
  });
}
