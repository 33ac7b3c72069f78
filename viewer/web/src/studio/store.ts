// What the page knows of the library, kept up to date by the server's events.

import { ApiError, get, part } from "./api";
import { type Capture, isActive, type Job, type JobEvent, type Picture } from "./types";

const AT_MOST_EVERY_MS = 400;

export type Change = "captures" | "jobs" | "pictures";

export class Store {
  captures: Capture[] = [];
  trash: Capture[] = [];
  jobs = new Map<string, Job>();
  /** Pictures of the jobs that are looked at. */
  readonly pictures = new Map<string, Picture[]>();
  /** Called when a job that was at work is no longer. */
  onEnd: (job: Job) => void = () => {};
  private readonly listeners = new Set<(change: Change) => void>();
  private readonly due = new Map<string, number>();

  /** Calls back after every change; returns what ends that. */
  onChange(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell(change: Change): void {
    for (const listener of [...this.listeners]) listener(change);
  }

  capture(id: string): Capture | null {
    return this.captures.find((c) => c.id === id) ?? null;
  }

  /** The jobs of a capture, the newest first. */
  jobsOf(capture: string): Job[] {
    return Array.from(this.jobs.values()).filter((j) => j.capture === capture).sort((a, b) => b.created - a.created);
  }

  /** Runs of one footage, this one included. */
  runsOf(capture: Capture): Capture[] {
    return this.captures.filter((c) => c.run_of === capture.run_of);
  }

  async refresh(): Promise<void> {
    const [captures, trash, jobs] = await Promise.all([get<Capture[]>("api/captures"), get<Capture[]>("api/trash"), get<Job[]>("api/jobs")]);
    this.captures = captures;
    this.trash = trash;
    this.jobs = new Map(jobs.map((j) => [j.id, j]));
    this.refetchPictures();
    this.tell("captures");
    this.tell("jobs");
  }

  /** News from the server. */
  take(jobs: readonly Job[], events: readonly JobEvent[], all: boolean): void {
    const ended = jobs.filter((j) => !isActive(j) && isActive(this.jobs.get(j.id) ?? j));
    if (all) this.jobs = new Map();
    for (const job of jobs) this.jobs.set(job.id, job);
    this.tell("jobs");
    for (const job of ended) this.onEnd(job);
    for (const event of events) if (event.event === "picture") this.takePicture(event);
    // Too far behind for the story: what was shown meanwhile is asked for.
    if (all) this.refetchPictures();
    if (all || events.some((e) => e.event === "state" || e.event === "finished")) this.soon("captures", () => this.refreshCaptures());
  }

  private takePicture(event: JobEvent): void {
    const list = this.pictures.get(event.job);
    const picture = event.data as unknown as Picture;
    if (list === undefined || list.some((p) => p.name === picture.name)) return;
    list.push(picture);
    this.tell("pictures");
  }

  /** The job's pictures so far; from now on they come by themselves. */
  watchPictures(job: string): void {
    if (this.pictures.has(job)) return;
    this.pictures.set(job, []);
    void this.fetchPictures(job);
  }

  private refetchPictures(): void {
    for (const job of this.pictures.keys()) void this.fetchPictures(job);
  }

  private async fetchPictures(job: string): Promise<void> {
    try {
      const there = await get<Picture[]>(`api/jobs/${part(job)}/pictures`);
      const came = this.pictures.get(job) ?? [];
      this.pictures.set(job, [...there, ...came.filter((p) => !there.some((t) => t.name === p.name))]);
    } catch {
      return; // asked again once the server is back, see `refresh`
    }
    this.tell("pictures");
  }

  async refreshCaptures(): Promise<void> {
    [this.captures, this.trash] = await Promise.all([get<Capture[]>("api/captures"), get<Capture[]>("api/trash")]);
    this.tell("captures");
  }

  async refreshJob(id: string): Promise<void> {
    try {
      const job = await get<Job>(`api/jobs/${part(id)}`);
      this.jobs.set(id, job);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      this.jobs.delete(id);
    }
    this.tell("jobs");
  }

  /** Runs `work` after a moment, once however often it was asked for; a failure is left to the next event. */
  private soon(key: string, work: () => Promise<void>): void {
    if (this.due.has(key)) return;
    const timer = window.setTimeout(() => {
      this.due.delete(key);
      work().catch(() => undefined);
    }, AT_MOST_EVERY_MS);
    this.due.set(key, timer);
  }
}
