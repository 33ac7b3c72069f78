// The one list of views and notes that the two sheets show.

import type { Annotation, SavedView } from "../../manifest";
import { notice } from "../../dom";
import type { Page } from "../../page";
import { fetchKept, type Kept, load, save, sendKept } from "./keeping";

const stores = new WeakMap<Page, Store>();

export class Store {
  private kept: Kept;
  private readonly listeners: (() => void)[] = [];
  /** Where the server behind the page keeps them; without one this browser does. */
  private readonly base: string | undefined;
  private sending: Promise<void> = Promise.resolve();

  static of(page: Page): Store {
    let store = stores.get(page);
    if (store === undefined) stores.set(page, (store = new Store(page)));
    return store;
  }

  private constructor(page: Page) {
    const { viewpoints, annotations } = page.scene;
    const published = { viewpoints: [...viewpoints], annotations: [...annotations] };
    this.base = page.scene.server.version;
    this.kept = this.base === undefined ? load(published) : published;
    if (this.base !== undefined) void this.refresh(this.base);
  }

  /** Whether everybody who opens this scene here sees them. */
  get isShared(): boolean {
    return this.base !== undefined;
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
    const { base } = this;
    if (base !== undefined) {
      // One after the other: the last word must be the last to arrive.
      this.sending = this.sending.then(() => this.send(base, kept));
    } else if (!save(kept)) {
      notice("This browser keeps nothing for this page: save views and notes to a file.");
    }
    this.tell();
  }

  private async send(base: string, kept: Kept): Promise<void> {
    if (kept === this.kept && !(await sendKept(base, kept))) {
      notice("The server did not keep views and notes: save them to a file, and look whether it still runs.");
    }
  }

  private async refresh(base: string): Promise<void> {
    const before = this.kept;
    try {
      const found = await fetchKept(base);
      if (this.kept !== before) return;
      this.kept = found;
      this.tell();
    } catch {
      // What came with the scene stays.
    }
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
