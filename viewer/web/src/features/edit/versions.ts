// The scene's versions on the server behind the page: list, save, switch, rename, delete.

import { PageError } from "../../errors";
import type { SceneManifest } from "../../manifest";
import type { Operation } from "./operations";

export interface Version {
  readonly number: number;
  readonly name: string;
  readonly created: string;
  readonly splats: number;
  readonly is_current: boolean;
  readonly parent: number | null;
  readonly edits: number;
  readonly removed: number;
  readonly is_metric: boolean;
  readonly is_stale: boolean;
  /** The page that shows it. */
  readonly page: string;
}

export class Versions {
  private constructor(
    private readonly base: string,
    /** The version that this page shows. */
    readonly shown: number,
  ) {}

  /** What the server offers; null in a published folder. */
  static of(scene: SceneManifest): Versions | null {
    const { edit, version } = scene.server;
    if (edit === undefined || version === undefined) return null;
    return new Versions(edit, Number(/(\d+)$/.exec(version)?.[1] ?? 0));
  }

  list(): Promise<Version[]> {
    return this.ask("GET", "versions") as Promise<Version[]>;
  }

  save(name: string, operations: readonly Operation[]): Promise<Version> {
    return this.ask("POST", "edits", { name, parent: this.shown, operations }) as Promise<Version>;
  }

  async use(number: number): Promise<void> {
    await this.ask("PATCH", `versions/${number}`, { is_current: true });
  }

  async rename(number: number, name: string): Promise<void> {
    await this.ask("PATCH", `versions/${number}`, { name });
  }

  async delete(number: number): Promise<void> {
    await this.ask("DELETE", `versions/${number}`);
  }

  private async ask(method: string, path: string, body?: object): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${this.base}/${path}`, {
        method,
        credentials: "same-origin",
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
      });
    } catch {
      throw new PageError("Diorama cannot be reached", "Nothing is lost here. Is it still running? Try again then.");
    }
    const text = await response.text();
    let value: unknown = null;
    try {
      value = JSON.parse(text);
    } catch {
      // Words of a server in between, or none: the status says enough.
    }
    if (response.ok) return value;
    const said = (value as { error?: unknown } | null)?.error;
    throw new PageError("It was not done", typeof said === "string" ? said : `The server answered ${response.status}.`);
  }
}
