// Films made by the server behind the page: a job, its progress, the file.

import { PageError } from "../../errors";
import type { PathDocument } from "./spline";

interface Job {
  readonly id: string;
  readonly state: "queued" | "running" | "stopping" | "stopped" | "failed" | "done";
  readonly fraction: number | null;
  readonly error: string | null;
  readonly result: { readonly files?: readonly string[] };
}

const POLL_MS = 700;

async function ask(method: string, url: string, body?: object): Promise<Job> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const response = await fetch(url, { method, credentials: "same-origin", ...sent }).catch(() => null);
  if (response === null) throw new PageError("Diorama cannot be reached", "Diorama cannot be reached; is it still running?");
  const value: unknown = await response.json().catch(() => null);
  if (response.ok) return value as Job;
  const said = (value as { error?: unknown } | null)?.error;
  throw new PageError("No film", typeof said === "string" ? said : `The server answered ${response.status}.`);
}

/** One film being made. */
export class Film {
  private job: Job | null = null;
  private cancelled = false;

  /** `base`: the address of the capture's routes. */
  constructor(private readonly base: string) {}

  /** Resolves with the film's address; null when it was cancelled. Raises PageError with a sentence. */
  async make(path: PathDocument, version: string, onProgress: (fraction: number) => void): Promise<string | null> {
    const name = `path-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}`;
    this.job = await ask("POST", `${this.base}/videos`, { path, version, name });
    for (;;) {
      const { job } = this;
      if (job.state === "done") return `${this.base}/exports/${(job.result.files?.[0] ?? "").split("/").map(encodeURIComponent).join("/")}`;
      if (job.state === "failed") throw new PageError("No film", job.error ?? "The film could not be made.");
      if (job.state === "stopped") return null;
      onProgress(job.fraction ?? 0);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      this.job = await ask("GET", this.address(job));
      if (this.cancelled) await this.cancel();
    }
  }

  async cancel(): Promise<void> {
    this.cancelled = true;
    if (this.job !== null) await ask("POST", `${this.address(this.job)}/cancel`);
  }

  private address(job: Job): string {
    return new URL(`/api/jobs/${encodeURIComponent(job.id)}`, location.href).pathname;
  }
}
