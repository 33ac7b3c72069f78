// `coverage.json`, written by reconstruct/reshoot/store.py: samples of the surface in a grid, and photos to take.

import type { Row4, SceneCamera, Vec3 } from "../../manifest";

export interface Kind {
  readonly name: string;
  readonly words: string;
  /** sRGB, 0 to 255. */
  readonly colour: Vec3;
  /** Of the surface. */
  readonly share: number;
}

export interface Shot {
  readonly camera: SceneCamera;
  readonly target: Vec3;
  readonly what: string;
  readonly do: string;
  readonly thumbnail: string;
}

/** Columns of the samples; see the writer for their scales. */
export interface Samples {
  readonly count: number;
  readonly cells: Uint32Array;
  readonly kind: Uint8Array;
  readonly cameras: Uint8Array;
  readonly angle: Uint8Array;
  readonly sharpness: Uint8Array;
  readonly confidence: Uint8Array;
}

export interface Grid {
  readonly low: Vec3;
  readonly cell: number;
  readonly shape: Vec3;
  /** Rows of a rotation. */
  readonly worldFromLevel: readonly [Vec3, Vec3, Vec3];
}

export interface Coverage {
  readonly isMetric: boolean;
  /** Pixels per unit of a photo that counts in full. */
  readonly targetPx: number;
  readonly kinds: readonly Kind[];
  readonly grid: Grid;
  readonly samples: Samples;
  readonly shots: readonly Shot[];
}

const MAX_CELLS = 4_000_000;

type Json = Record<string, unknown>;

const damaged = (what: string): Error => new Error(`the coverage file is damaged: ${what}`);

function object(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw damaged(what);
  return value as Json;
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw damaged(what);
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string") throw damaged(what);
  return value;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw damaged(what);
  return value;
}

function vec3(value: unknown, what: string): Vec3 {
  const v = list(value, what).map((x) => number(x, what));
  if (v.length !== 3) throw damaged(what);
  return v as unknown as Vec3;
}

function bytes(value: unknown, length: number, what: string): Uint8Array {
  const raw = atob(text(value, what));
  if (raw.length !== length) throw damaged(what);
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

export function parseCoverage(value: unknown): Coverage {
  const v = object(value, "it is no object");
  if (v.format !== "diorama-coverage" || v.version !== 1) throw damaged("it is of another kind");
  const g = object(v.grid, "grid");
  const shape = vec3(g.shape, "shape");
  const size = shape[0] * shape[1] * shape[2];
  if (!shape.every((n) => Number.isInteger(n) && n >= 1) || size > MAX_CELLS) throw damaged("shape");
  const rows = list(g.world_from_level, "turn").map((row) => vec3(row, "turn"));
  const cell = number(g.cell, "cell");
  if (rows.length !== 3 || !(cell > 0)) throw damaged("grid");
  const kinds = list(v.kinds, "kinds").map((kind): Kind => {
    const k = object(kind, "kinds");
    return { name: text(k.name, "kinds"), words: text(k.words, "kinds"), colour: vec3(k.colour, "kinds"), share: number(k.share, "kinds") };
  });
  return {
    isMetric: v.is_metric === true,
    targetPx: number(v.target_px_per_unit, "target"),
    kinds,
    grid: { low: vec3(g.low, "low"), cell, shape, worldFromLevel: rows as unknown as Grid["worldFromLevel"] },
    samples: parseSamples(object(v.samples, "samples"), size, kinds.length),
    shots: list(v.proposals, "proposals").map(parseShot),
  };
}

function parseSamples(s: Json, size: number, kinds: number): Samples {
  const count = number(s.count, "count");
  if (!Number.isInteger(count) || count < 0 || count > size) throw damaged("count");
  const cells = new Uint32Array(bytes(s.cells, 4 * count, "cells").buffer);
  const kind = bytes(s.kind, count, "kind");
  if (cells.some((c) => c >= size) || kind.some((k) => k >= kinds)) throw damaged("a sample lies outside");
  return {
    count,
    cells,
    kind,
    cameras: bytes(s.cameras, count, "cameras"),
    angle: bytes(s.angle_deg, count, "angle"),
    sharpness: bytes(s.sharpness, count, "sharpness"),
    confidence: bytes(s.confidence, count, "confidence"),
  };
}

function parseShot(value: unknown, index: number): Shot {
  const what = `proposal ${index + 1}`;
  const p = object(value, what);
  const rows = list(p.cam_from_world, what).map((row) => list(row, what).map((x) => number(x, what)));
  if (rows.length !== 3 || rows.some((row) => row.length !== 4)) throw damaged(what);
  const thumbnail = text(p.thumbnail, what);
  if (!thumbnail.startsWith("data:image/jpeg;base64,")) throw damaged(what);
  const camera: SceneCamera = {
    name: `Place ${index + 1}`,
    width: number(p.width_px, what),
    height: number(p.height_px, what),
    fx: number(p.fx, what),
    fy: number(p.fy, what),
    cx: number(p.cx, what),
    cy: number(p.cy, what),
    camFromWorld: rows as unknown as readonly [Row4, Row4, Row4],
    photo: null,
    thumbnail: null,
  };
  if (!(camera.width >= 1 && camera.height >= 1 && camera.fx > 0 && camera.fy > 0)) throw damaged(what);
  return { camera, target: vec3(p.target, what), what: text(p.what, what), do: text(p.do, what), thumbnail };
}

export async function readCoverage(url: string): Promise<Coverage> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return parseCoverage(await answer.json());
}
