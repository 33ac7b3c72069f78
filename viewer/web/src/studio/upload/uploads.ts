// All uploads of this page: what runs, what waits for its files, and what became of it.

import { ApiError, call, part, post, Unreachable, words } from "../api";
import type { Capture } from "../types";
import { arrived, type Batch, bytesOf, loadBatches, saveBatch } from "./batches";
import { type Found, uploadNames } from "./footage";
import { forget, keep, kept } from "./kept";
import { sendFile } from "./send";

export type UploadState = "sending" | "paused" | "unreachable" | "needs files" | "elsewhere" | "starting" | "failed";

/** How an upload stands. */
export interface Upload {
  readonly batch: Batch;
  state: UploadState;
  error: string;
  /** Bytes that have arrived or are on the wire. */
  bytes: number;
  total: number;
  bytesPerSecond: number | null;
}

export interface Plan {
  title: string;
  preset: string;
  options: Record<string, unknown>;
}

interface Running {
  upload: Upload;
  files: File[] | null;
  stop: AbortController | null;
  samples: [number, number][];
}

export class Uploads {
  private readonly running = new Map<string, Running>();

  /**
   * @param onChange something about an upload changed.
   * @param onCapture an upload became a capture.
   */
  constructor(
    private readonly onChange: () => void,
    private readonly onCapture: (key: string, capture: Capture | null) => void,
  ) {
    for (const batch of loadBatches()) this.take(batch, null);
  }

  list(): Upload[] {
    return Array.from(this.running.values(), (r) => r.upload);
  }

  get(key: string): Upload | null {
    return this.running.get(key)?.upload ?? null;
  }

  /** Goes on with what an earlier page left. */
  async continueAll(): Promise<void> {
    for (const [key, one] of this.running) {
      one.files = await kept(key);
      if (!one.upload.batch.paused) void this.run(key);
      else this.onChange();
    }
  }

  /** Begins to upload; returns the key. */
  add(found: readonly Found[], plan: Plan): string {
    const names = uploadNames(found);
    const files = found.map((f, i) => ({ name: names[i] ?? f.file.name, size: f.file.size, id: null, offset: 0 }));
    const batch: Batch = { key: crypto.randomUUID(), ...plan, files, paused: false };
    this.take(batch, found.map((f) => f.file));
    saveBatch(batch.key, batch);
    void keep(batch.key, found.map((f) => f.file));
    void this.run(batch.key);
    return batch.key;
  }

  pause(key: string): void {
    const one = this.running.get(key);
    if (one === undefined) return;
    one.upload.batch.paused = true;
    one.stop?.abort();
    this.settle(one, "paused");
  }

  resume(key: string): void {
    const one = this.running.get(key);
    if (one === undefined) return;
    one.upload.batch.paused = false;
    // After a refusal nothing is taken for granted: the server is asked for every file's offset again.
    if (one.upload.state === "failed" && one.files !== null) for (const file of one.upload.batch.files) file.offset = 0;
    void this.run(key);
  }

  /** The files again, after a reload of a page that could not keep them. Returns what does not fit, or null. */
  attach(key: string, found: readonly Found[]): string | null {
    const one = this.running.get(key);
    if (one === undefined) return null;
    const names = uploadNames(found);
    const matching = one.upload.batch.files.map((plan) => found.find((f, i) => names[i] === plan.name && f.file.size === plan.size)?.file);
    const missing = one.upload.batch.files.find((_, i) => matching[i] === undefined);
    if (missing !== undefined) return `${missing.name} is not among the chosen files, or it was changed since.`;
    one.files = matching as File[];
    this.resume(key);
    return null;
  }

  /** Gives an upload up; what has arrived is thrown away. */
  async cancel(key: string): Promise<void> {
    const one = this.running.get(key);
    if (one === undefined) return;
    this.drop(key);
    one.stop?.abort();
    this.onChange();
    for (const file of one.upload.batch.files) {
      if (file.id !== null) await call("DELETE", `api/uploads/${part(file.id)}`).catch(() => undefined);
    }
  }

  private take(batch: Batch, files: File[] | null): void {
    const upload: Upload = { batch, state: batch.paused ? "paused" : "sending", error: "", bytes: arrived(batch), total: bytesOf(batch), bytesPerSecond: null };
    this.running.set(batch.key, { upload, files, stop: null, samples: [] });
  }

  private drop(key: string): void {
    this.running.delete(key);
    saveBatch(key, null);
    void forget(key);
  }

  private settle(one: Running, state: UploadState, error = ""): void {
    one.upload.state = state;
    one.upload.error = error;
    if (state !== "sending") {
      one.samples = [];
      one.upload.bytesPerSecond = null;
    }
    if (this.running.has(one.upload.batch.key)) saveBatch(one.upload.batch.key, one.upload.batch);
    this.onChange();
  }

  private async run(key: string): Promise<void> {
    const one = this.running.get(key);
    if (one === undefined || (one.stop !== null && !one.stop.signal.aborted)) return;
    const stop = new AbortController();
    one.stop = stop;
    try {
      // Two tabs must not send the same file: whichever has the lock does, and the other takes over when it is closed.
      if (navigator.locks === undefined) await this.work(one, stop.signal, false);
      else await this.withLock(one, stop.signal);
    } catch (error) {
      if (!stop.signal.aborted) this.settle(one, "failed", words(error));
    } finally {
      if (one.stop === stop) one.stop = null;
    }
  }

  private async withLock(one: Running, signal: AbortSignal): Promise<void> {
    const name = `diorama-upload-${one.upload.batch.key}`;
    const waiting = window.setTimeout(() => this.settle(one, "elsewhere"), 1000);
    try {
      await navigator.locks.request(name, { signal }, async () => {
        window.clearTimeout(waiting);
        const wasElsewhere = one.upload.state === "elsewhere";
        if (wasElsewhere && !this.takeOver(one)) return;
        await this.work(one, signal, wasElsewhere);
      });
    } finally {
      window.clearTimeout(waiting);
    }
  }

  /** After another tab had the upload: goes on with what it did. False when it brought the upload to its end. */
  private takeOver(one: Running): boolean {
    const { batch } = one.upload;
    const left = loadBatches().find((b) => b.key === batch.key);
    if (left !== undefined) {
      batch.files = left.files;
      return true;
    }
    this.drop(batch.key);
    this.onCapture(batch.key, null);
    return false;
  }

  private async work(one: Running, signal: AbortSignal, wasElsewhere: boolean): Promise<void> {
    const { batch } = one.upload;
    const files = one.files;
    const whole = batch.files.every((f) => f.id !== null && f.offset === f.size);
    if (files === null && !whole) return this.settle(one, "needs files");
    this.settle(one, "sending");
    for (const [i, plan] of batch.files.entries()) {
      const file = files?.[i];
      if (file === undefined || (plan.id !== null && plan.offset === plan.size)) continue;
      const before = arrived(batch) - plan.offset;
      const told = {
        onId: (id: string) => {
          plan.id = id;
          saveBatch(batch.key, batch);
        },
        onBytes: (bytes: number) => this.moved(one, before + bytes),
        onReachable: (reachable: boolean) => {
          if (reachable !== (one.upload.state === "sending")) this.settle(one, reachable ? "sending" : "unreachable");
        },
      };
      await sendFile(file, plan.name, plan.id, told, signal);
      plan.offset = plan.size;
      saveBatch(batch.key, batch);
    }
    await this.finish(one, signal, wasElsewhere);
  }

  private moved(one: Running, bytes: number): void {
    one.upload.bytes = bytes;
    const now = performance.now() / 1000;
    one.samples.push([now, bytes]);
    while (one.samples.length > 2 && now - (one.samples[0]?.[0] ?? now) > 6) one.samples.shift();
    const [first, last] = [one.samples[0], one.samples.at(-1)];
    if (first && last && last[0] - first[0] > 0.5) one.upload.bytesPerSecond = Math.max(0, (last[1] - first[1]) / (last[0] - first[0]));
    this.onChange();
  }

  /**
   * All has arrived: makes the capture and its job. `asked`: somebody may have asked for it already: another tab, whose
   * last entry in the browser's storage this one need not see at once.
   */
  private async finish(one: Running, signal: AbortSignal, asked: boolean): Promise<void> {
    const { batch } = one.upload;
    this.settle(one, "starting");
    const body = { title: batch.title, uploads: batch.files.map((f) => f.id), preset: batch.preset, options: batch.options };
    for (let before = asked; ; before = true) {
      signal.throwIfAborted();
      try {
        const capture = await post<Capture>("api/captures", body);
        this.drop(batch.key);
        return this.onCapture(batch.key, capture);
      } catch (error) {
        // Asked once without hearing the answer, the uploads being gone means that the capture was made.
        if (before && error instanceof ApiError && error.status === 404) {
          this.drop(batch.key);
          return this.onCapture(batch.key, null);
        }
        if (!(error instanceof Unreachable)) throw error;
        await new Promise((done) => window.setTimeout(done, 1500));
      }
    }
  }
}
