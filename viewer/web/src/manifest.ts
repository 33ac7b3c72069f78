// The scene as the server or the published folder describes it: `scene.json`, written by viewer/scene_data.py.
//
// World frame: right-handed, +z up, metres when `isMetric`. Cameras are pinholes with OpenCV axes (+x right, +y down,
// +z forward) and pixel centres at +0.5; `camFromWorld` holds three rows of four.

import { PageError } from "./errors";

export const SCHEMA = 1;

export type Vec3 = readonly [number, number, number];
export type Row4 = readonly [number, number, number, number];
export type SplatFormat = "ply" | "spz" | "splat";

export interface SceneCamera {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly fx: number;
  readonly fy: number;
  readonly cx: number;
  readonly cy: number;
  readonly camFromWorld: readonly [Row4, Row4, Row4];
  readonly photo: string | null;
  readonly thumbnail: string | null;
}

export interface SceneManifest {
  readonly title: string;
  readonly isMetric: boolean;
  readonly splats: {
    readonly url: string;
    readonly format: SplatFormat;
    readonly count: number;
    readonly bytes: number;
    /** Whether opacities make up for the low-pass (Mip-Splatting's 2D filter), as in training. */
    readonly isAntialiased: boolean;
  };
  readonly bounds: { readonly min: Vec3; readonly max: Vec3 };
  readonly home: { readonly position: Vec3; readonly target: Vec3; readonly up: Vec3 };
  readonly cameras: readonly SceneCamera[];
}

type Json = Record<string, unknown>;

function broken(what: string): PageError {
  return new PageError("The scene cannot be read", `Its description (scene.json) is damaged: ${what}.`);
}

function object(value: unknown, what: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw broken(`${what} is missing`);
  return value as Json;
}

function list(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw broken(`${what} is missing`);
  return value;
}

function text(value: unknown, what: string): string {
  if (typeof value !== "string") throw broken(`${what} is missing`);
  return value;
}

function number(value: unknown, what: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw broken(`${what} is not a number`);
  return value;
}

function vec3(value: unknown, what: string): Vec3 {
  const v = list(value, what).map((x) => number(x, what));
  if (v.length !== 3) throw broken(`${what} does not have three numbers`);
  return v as unknown as Vec3;
}

/** A file beside the page. Nothing else is ever fetched, whatever a manifest says. */
function relativeUrl(value: unknown, what: string): string {
  const url = text(value, what);
  if (/^[a-z][a-z0-9+.-]*:|^[/\\]|\\|(^|\/)\.\.(\/|$)/i.test(url)) throw broken(`${what} points outside the scene`);
  return url;
}

function camera(value: unknown, index: number): SceneCamera {
  const what = `camera ${index + 1}`;
  const c = object(value, what);
  const rows = list(c.cam_from_world, what).map((row) => list(row, what).map((x) => number(x, what)));
  if (rows.length !== 3 || rows.some((row) => row.length !== 4)) throw broken(`${what} has no 3 x 4 pose`);
  const result: SceneCamera = {
    name: text(c.name, what),
    width: number(c.width_px, what),
    height: number(c.height_px, what),
    fx: number(c.fx, what),
    fy: number(c.fy, what),
    cx: number(c.cx, what),
    cy: number(c.cy, what),
    camFromWorld: rows as unknown as SceneCamera["camFromWorld"],
    photo: c.photo === null ? null : relativeUrl(c.photo, what),
    thumbnail: c.thumbnail === null ? null : relativeUrl(c.thumbnail, what),
  };
  if (!(result.width >= 1 && result.height >= 1 && result.fx > 0 && result.fy > 0)) throw broken(`${what} is impossible`);
  return result;
}

export function parseManifest(value: unknown): SceneManifest {
  const m = object(value, "the scene");
  const schema = number(m.schema, "schema");
  if (schema > SCHEMA) {
    throw new PageError("The scene is newer than this page", "Update Diorama, then open the scene again.");
  }
  const splats = object(m.splats, "splats");
  const format = text(splats.format, "the splat format");
  if (format !== "ply" && format !== "spz" && format !== "splat") throw broken(`the splat format ${format} is unknown`);
  const bounds = object(m.bounds, "bounds");
  const home = object(m.home, "home");
  return {
    title: text(m.title, "title"),
    isMetric: m.is_metric === true,
    splats: {
      url: relativeUrl(splats.url, "the splat file"),
      format,
      count: number(splats.count, "the splat count"),
      bytes: number(splats.bytes, "the splat file's size"),
      isAntialiased: splats.is_antialiased === true,
    },
    bounds: { min: vec3(bounds.min, "bounds"), max: vec3(bounds.max, "bounds") },
    home: {
      position: vec3(home.position, "home"),
      target: vec3(home.target, "home"),
      up: vec3(home.up, "home"),
    },
    cameras: list(m.cameras, "cameras").map(camera),
  };
}
