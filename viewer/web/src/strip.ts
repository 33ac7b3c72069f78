// The strip of thumbnails. One tab stop; the arrow keys move through the photos (shortcuts.ts).

import { byId } from "./dom";
import type { SceneManifest } from "./manifest";

export class Strip {
  private readonly element = byId<HTMLUListElement>("strip");
  private readonly buttons: HTMLButtonElement[];

  constructor(scene: SceneManifest, open: (index: number) => void) {
    this.buttons = scene.cameras.map((camera, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = camera.name;
      button.setAttribute("aria-label", `Photo ${index + 1} of ${scene.cameras.length}: ${camera.name}`);
      button.tabIndex = index === 0 ? 0 : -1;
      if (camera.thumbnail !== null) {
        const image = document.createElement("img");
        image.loading = "lazy";
        image.decoding = "async";
        image.alt = "";
        image.width = 96;
        image.height = 64;
        image.src = camera.thumbnail;
        button.append(image);
      } else {
        button.textContent = String(index + 1);
      }
      button.addEventListener("click", (event) => {
        open(index);
        // After a click of the mouse the keyboard belongs to the scene again.
        if (event.detail > 0) byId("canvas").focus({ preventScroll: true });
      });
      return button;
    });
    this.element.replaceChildren(
      ...this.buttons.map((button) => {
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
    // A wheel turns up and down, the strip lies on its side.
    this.element.addEventListener(
      "wheel",
      (event) => {
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
        event.preventDefault();
        this.element.scrollLeft += event.deltaY;
      },
      { passive: false },
    );
  }

  get visible(): boolean {
    return !this.element.hidden;
  }

  set visible(value: boolean) {
    this.element.hidden = !value;
  }

  choose(index: number | null): void {
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-current", String(i === index));
      button.tabIndex = i === (index ?? 0) ? 0 : -1;
    });
    if (index !== null) this.buttons[index]?.scrollIntoView({ block: "nearest", inline: "center" });
  }
}
