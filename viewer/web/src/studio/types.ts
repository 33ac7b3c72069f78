// What the server says, as it says it: viewer/jobs.py in TypeScript.

export type JobKind = "scan" | "depth" | "mesh" | "export" | "video";
export type JobState = "queued" | "running" | "stopping" | "stopped" | "failed" | "done";
export type CaptureState = "new" | "waiting" | "working" | "stopped" | "failed" | "ready";
export type PictureKind = "chosen" | "refused" | "cameras" | "training" | "mesh";

export interface Stage {
  name: string;
  title: string;
  state: "waiting" | "running" | "done" | "skipped";
  fraction: number | null;
  seconds: number;
}

export interface Job {
  id: string;
  capture: string;
  kind: JobKind;
  title: string;
  state: JobState;
  created: number;
  options: Record<string, unknown>;
  stage: string;
  fraction: number | null;
  detail: string;
  stages: Stage[];
  started: number | null;
  finished: number | null;
  seconds: number;
  time_left_s: number | null;
  error: string | null;
  warnings: string[];
  attempts: number;
  executor: string;
  last_event: number;
  result: Record<string, unknown>;
}

export interface JobEvent {
  seq: number;
  job: string;
  time: number;
  event: "state" | "started" | "progressed" | "evaluated" | "warned" | "finished" | "picture";
  data: Record<string, unknown>;
}

export interface Picture {
  name: string;
  kind: PictureKind;
  title: string;
  reason: string;
  step: number | null;
}

export interface Capture {
  id: string;
  title: string;
  state: CaptureState;
  created: number;
  changed: number;
  run_of: string;
  settings: string;
  footage: string[];
  /** Addresses of what there is. */
  scene: string | null;
  report: string | null;
  thumbnail: string | null;
  has_mesh: boolean;
  bytes: number | null;
  job: string | null;
  error: string | null;
  pictures: number | null;
  splats: number | null;
  psnr_db: number | null;
  is_metric: boolean | null;
  verdict: string | null;
  deleted: number | null;
}

export interface ExportFile {
  name: string;
  size_bytes: number;
  changed: number;
  format: string;
  what: string;
  stale: boolean;
}

export interface Comparison {
  a: Capture;
  b: Capture;
  b_from_a: number[][] | null;
  spread: number | null;
  shared: string[];
  rows: [string, string, string][];
}

export interface Finding {
  severity: string;
  what: string;
  do: string;
}

/** The parts of `report.json` that the studio shows. */
export interface Report {
  verdict: { level: "good" | "usable" | "reshoot" | null; sentences: string[]; findings: Finding[] };
  frames: { given: number | null; chosen: number | null; registered: number | null };
  world: { is_metric: boolean | null };
  splats: { count: number | null; held_out: { psnr_db: number | null; ssim: number | null } };
  timings_s: Record<string, number | null>;
}

export const isActive = (job: Job): boolean => job.state === "queued" || job.state === "running" || job.state === "stopping";

/** How much of the whole job is done, each of its steps counting alike. */
export function overall(job: Job): number {
  const stages = job.stages.filter((s) => s.state !== "skipped");
  if (stages.length === 0) return job.fraction ?? 0;
  return stages.reduce((sum, s) => sum + (s.state === "done" ? 1 : s.state === "running" ? (s.fraction ?? 0) : 0), 0) / stages.length;
}
