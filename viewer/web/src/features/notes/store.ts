// The one list of views and notes that the two sheets show.

import type { Annotation, SavedView } from "../../manifest";
import { notice } from "../../dom";
import type { Page } from "../../page";
import { type Kept, load, save } from "./keeping";

const stores = new WeakMap<Page, Store>();

export class Store {
  private kept: Kept;
  private readonly listeners: (() => void)[] = [];

  static of(page: Page): Store {
    let store = stores.get(page);
    if (store === undefined) stores.set(page, (store = new Store(page)));
    return store;
  }

  private constructor(page: Page) {
    const { viewpoints, annotations } = page.scene;
    this.kept = load({ viewpoints: [...viewpoints], annotations: [...annotations] });
  }

  get all(): Kept {
    return this.kept;
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  setViews(viewpoints: SavedView[]): void {
    this.replace({ ...this.kept, viewpoints });
  }

  setNotes(annotations: Annotation[]): void {
    this.replace({ ...this.kept, annotations });
  }

  replace(kept: Kept): void {
    this.kept = kept;
    if (!save(kept)) notice("This browser keeps nothing for this page: save views and notes to a file.");
    for (const listener of this.listeners) listener();
  }
}
