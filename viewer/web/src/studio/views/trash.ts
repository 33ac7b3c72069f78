// What was deleted, until the trash is emptied.

import { emptyTrash, restore } from "../actions";
import { words } from "../api";
import { confirm, toast } from "../dialog";
import { h, keyed, say } from "../elements";
import { icon } from "../icons";
import type { Studio, View } from "../studio";
import type { Capture } from "../types";
import { count, size, when } from "../words";

export class TrashView implements View {
  readonly title = "Trash";
  readonly element: HTMLElement;
  private readonly list = h("ul.trash-list.card");
  private readonly nothing = h("div.card.empty", null, h("p", null, "The trash is empty."));
  private readonly empty = h("button.danger", { type: "button", onclick: () => void this.purge() }, icon("trash"), "Empty the trash");
  private readonly room = h("p.facts");

  constructor(private readonly studio: Studio) {
    this.element = h("section.trash", null, h("header.capture-head", null, h("div", null, h("h1", { tabIndex: -1 }, "Trash"), this.room), this.empty), this.list, this.nothing);
    this.update();
  }

  update(): void {
    const { trash } = this.studio.store;
    const bytes = trash.reduce((sum, c) => sum + (c.bytes ?? 0), 0);
    say(this.room, trash.length === 0 ? "" : `${count(trash.length, "capture")}${bytes > 0 ? ` · ${size(bytes)}` : ""}`);
    this.list.hidden = this.empty.hidden = trash.length === 0;
    this.nothing.hidden = trash.length > 0;
    keyed(this.list, trash, (c) => c.id, (c) => this.row(c));
  }

  private row(capture: Capture): HTMLElement {
    const about = [capture.deleted !== null ? `deleted ${when(capture.deleted)}` : "", size(capture.bytes)].filter((t) => t !== "").join(" · ");
    return h(
      "li",
      null,
      h("div.row-words", null, h("b", null, capture.title), h("small", null, about)),
      h("button", { type: "button", "aria-label": `Restore ${capture.title}`, onclick: () => void this.back(capture) }, icon("again"), "Restore"),
      h("button.quiet.round", { type: "button", title: "Delete for good", "aria-label": `Delete ${capture.title} for good`, onclick: () => void this.purge(capture) }, icon("close")),
    );
  }

  private async back(capture: Capture): Promise<void> {
    try {
      const back = await restore(capture.id);
      await this.studio.store.refreshCaptures();
      this.studio.go("capture", back.id);
    } catch (error) {
      toast(words(error), "error");
    }
  }

  private async purge(capture?: Capture): Promise<void> {
    const what = capture === undefined ? `all ${count(this.studio.store.trash.length, "capture")} in the trash` : `“${capture.title}”`;
    if (!(await confirm("Delete for good?", `This deletes ${what} with everything in it. It cannot be taken back.`, "Delete for good"))) return;
    try {
      await emptyTrash(capture?.id);
      await this.studio.store.refreshCaptures();
    } catch (error) {
      toast(words(error), "error");
    }
  }
}
