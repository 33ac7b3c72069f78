// What the server and this page tell each other about a training: see docs/formats.md.

/** A camera as the trainer takes it: a pinhole with OpenCV axes in the world's frame. */
export interface TrainerCamera {
  readonly width_px: number;
  readonly height_px: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly cam_from_world: readonly (readonly number[])[];
}

export type Phase = "waiting" | "preparing" | "training" | "paused" | "finished" | "saved" | "stopped" | "failed" | "lost";

/** Columns of equal length: a row for each time the trainer measured itself. */
export interface History {
  step: number[];
  psnr_db: number[];
  splats: number[];
  step_ms: number[];
}

export interface State {
  readonly phase: Phase;
  readonly step: number;
  readonly steps: number;
  readonly splats: number;
  readonly seconds: number;
  readonly watchingSeconds: number;
  readonly isStopping: boolean;
  /** Low and high corner in the world. */
  readonly box: readonly number[] | null;
  readonly keepsCrop: boolean;
}

export interface Snapshot {
  readonly step: number;
  readonly count: number;
  /** How many the trainer has. */
  readonly of: number;
  readonly isAntialiased: boolean;
  readonly rows: Uint8Array<ArrayBuffer>;
}

export interface TrainerPicture {
  readonly id: number;
  readonly step: number;
  readonly jpeg: Blob | null;
  readonly error: string | null;
  readonly psnr: number | null;
}

type Json = Record<string, unknown>;

const number = (value: unknown, or = 0): number => (typeof value === "number" && Number.isFinite(value) ? value : or);

/** A binary message's header and payload. */
export function unpack(data: ArrayBuffer): { header: Json; payload: Uint8Array<ArrayBuffer> } {
  const length = new DataView(data).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length))) as Json;
  return { header, payload: new Uint8Array(data, 4 + length) };
}

export function stateOf(header: Json): State {
  const box = header.box;
  return {
    phase: String(header.phase) as Phase,
    step: number(header.step),
    steps: number(header.steps),
    splats: number(header.splats),
    seconds: number(header.seconds),
    watchingSeconds: number(header.watching_s),
    isStopping: header.stopping === true,
    box: Array.isArray(box) && box.length === 6 ? box.map((x) => number(x)) : null,
    keepsCrop: header.keep_crop === true,
  };
}

/** Puts the rows of a message at their place in the history. */
export function extend(history: History, header: Json): void {
  const rows = (header.rows ?? {}) as Record<string, unknown>;
  const first = number(header.first);
  for (const name of ["step", "psnr_db", "splats", "step_ms"] as const) {
    const column = rows[name];
    history[name].length = Math.min(history[name].length, first);
    if (Array.isArray(column)) history[name].push(...column.map((x) => number(x)));
  }
}

export function snapshotOf(header: Json, payload: Uint8Array<ArrayBuffer>): Snapshot {
  return {
    step: number(header.step),
    count: number(header.count),
    of: number(header.of),
    isAntialiased: header.is_antialiased === true,
    rows: payload,
  };
}

export function pictureOf(header: Json, payload: Uint8Array<ArrayBuffer>): TrainerPicture {
  return {
    id: number(header.id, -1),
    step: number(header.step),
    jpeg: payload.byteLength > 0 ? new Blob([payload], { type: "image/jpeg" }) : null,
    error: typeof header.error === "string" ? header.error : null,
    psnr: typeof header.psnr_db === "number" ? header.psnr_db : null,
  };
}
