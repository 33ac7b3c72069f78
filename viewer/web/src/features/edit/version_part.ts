// The sheet's part that keeps: save as a new version, the list of versions; without a server a file to take away.

import type { Page } from "../../page";
import { button } from "../../dom";
import { PageError } from "../../errors";
import { el, textButton } from "./fields";
import type { EditModel } from "./model";
import { toDocument } from "./operations";
import { type Version, Versions } from "./versions";

const TRASH = '<path d="M5 7h14M10 7V4.500h4V7M7 7l1 12.500h8L17 7" />';

export class VersionPart {
  readonly element: HTMLElement;
  /** Another version was asked for: what is unsaved was saved, or is given up. */
  isLeaving = false;
  private readonly server: Versions | null;
  private readonly name = el("input");
  private readonly list = el("ul", "panel-list edit-versions");
  private readonly save: HTMLButtonElement;

  constructor(
    private readonly page: Page,
    private readonly model: EditModel,
  ) {
    this.server = Versions.of(page.scene);
    this.name.id = "edit-name";
    this.name.maxLength = 80;
    this.name.placeholder = "Name (optional)";
    this.name.setAttribute("aria-label", "Name of the new version");
    const download = textButton("edit-download", "Download edits", () => this.download(), "The edits as JSON, for `diorama edit --edits` and `diorama convert --edits`");
    if (this.server === null) {
      this.save = download;
      const words = "This page has no server behind it: edits cannot be kept here. Take them along as a file for diorama convert --edits.";
      this.element = el("fieldset", "", el("legend", "", "Keep"), el("p", "", words), download);
      return;
    }
    this.save = textButton("edit-save", "Save as new version", () => void this.keep());
    this.save.classList.add("primary");
    const keep = el("fieldset", "", el("legend", "", "Keep"), this.name, this.save, download);
    this.element = el("div", "", keep, el("fieldset", "", el("legend", "", "Versions"), this.list));
    void this.refresh();
  }

  update(): void {
    const none = this.model.operations.length === 0;
    this.save.disabled = none;
    const download = this.element.querySelector<HTMLButtonElement>("#edit-download");
    if (download !== null) download.disabled = none;
  }

  private download(): void {
    const url = URL.createObjectURL(new Blob([JSON.stringify(toDocument(this.model.operations), null, 1)], { type: "application/json" }));
    const link = el("a");
    link.href = url;
    link.download = "edits.json";
    link.click();
    URL.revokeObjectURL(url);
  }

  private async keep(): Promise<void> {
    this.save.disabled = true;
    await this.attempt(async (server) => {
      const made = await server.save(this.name.value, this.model.operations);
      this.leave(made);
    });
    this.update();
  }

  private async refresh(): Promise<void> {
    await this.attempt(async (server) => {
      const versions = await server.list();
      this.list.replaceChildren(...versions.map((version) => this.row(version, server)));
    });
  }

  private row(version: Version, server: Versions): HTMLElement {
    const isShown = version.number === server.shown;
    const parts = [`${version.splats.toLocaleString("en")} splats`];
    if (version.is_current) parts.push("current");
    if (version.is_stale) parts.push("before the last training");
    const open = el("button", "edit-open", version.name, el("small", "", parts.join(" · ")));
    open.type = "button";
    open.title = isShown ? "This is shown" : "Show this version and make it the current one";
    if (isShown) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => {
      if (!isShown && this.mayLeave()) void this.attempt(async () => (await server.use(version.number), this.leave(version)));
    });
    const row = el("li", "", open);
    row.dataset.version = String(version.number);
    if (version.number > 0) {
      const trash = button({ label: `Delete ${version.name}`, icon: TRASH });
      trash.classList.add("icon");
      trash.addEventListener("click", () => void this.delete(version, server, isShown));
      row.append(trash);
    }
    return row;
  }

  private async delete(version: Version, server: Versions, isShown: boolean): Promise<void> {
    if (!window.confirm(`Delete "${version.name}" for good?`)) return;
    await this.attempt(async () => {
      await server.delete(version.number);
      if (isShown) {
        const [original] = await server.list();
        if (original !== undefined) this.leave(original);
      }
    });
    await this.refresh();
  }

  private leave(version: Version): void {
    this.isLeaving = true;
    location.assign(version.page);
  }

  private mayLeave(): boolean {
    return this.model.operations.length === 0 || window.confirm("Your edits are not saved. Leave them?");
  }

  private async attempt(work: (server: Versions) => Promise<unknown>): Promise<void> {
    if (this.server === null) return;
    try {
      await work(this.server);
    } catch (error) {
      this.page.notice(error instanceof PageError ? error.advice : String(error));
    }
  }
}

