// The canvas as a picture file.

import type { Page } from "../../page";

/** A PNG of what the canvas shows, at its own size. */
export function canvasPicture(page: Page): Promise<Blob> {
  const { stage } = page;
  return new Promise((resolve, reject) => {
    // Drawn and read in one go: afterwards the canvas is empty again.
    stage.draw();
    stage.canvas.toBlob((blob) => (blob === null ? reject(new Error("no picture")) : resolve(blob)), "image/png");
  });
}

/** Hands a file to the person. */
export function offer(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A file name from a title. */
export const fileName = (title: string, end: string): string =>
  `${title.normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60) || "scene"}${end}`;
