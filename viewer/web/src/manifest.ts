// The scene as the server or the published folder describes it: `scene.json`, written by viewer/scene_data.py.
//
// World frame: right-handed, +z up, metres when `isMetric`. Cameras are pinholes with OpenCV axes (+x right, +y down,
// +z forward) and pixel centres at +0.5; `camFromWorld` holds three rows of four.

import { PageError } from "./errors";

export const SCHEMA = 1;

export type Vec3 = readonly [number, number, number];
export type Row4 = readonly [number, number, number, number];
const SPLAT_FORMATS = ["ply", "spz", "splat", "sog"] as const;
export type SplatFormat = (typeof SPLAT_FORMATS)[number];

export interface SplatFile {
  readonly url: string;
  readonly format: SplatFormat;
  readonly count: number;
  readonly bytes: number;
}

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

/** A view that somebody kept, in the world's frame. */
export interface SavedView {
  readonly name: string;
  readonly position: Vec3;
  readonly target: Vec3;
  readonly up: Vec3;
}

/** A note pinned to a point of the world. */
export interface Annotation {
  readonly title: string;
  readonly text: string;
  readonly point: Vec3;
}

export interface SceneManifest {
  readonly title: string;
  readonly isMetric: boolean;
  /** Where metres come from, in words, or null. */
  readonly metricSource: string | null;
  readonly splats: SplatFile & {
    /** Whether opacities make up for the low-pass (Mip-Splatting's 2D filter), as in training. */
    readonly isAntialiased: boolean;
    /** Few merged splats that stand in until all are there. */
    readonly preview: SplatFile | null;
  };
  readonly bounds: { readonly min: Vec3; readonly max: Vec3 };
  readonly home: { readonly position: Vec3; readonly target: Vec3; readonly up: Vec3 };
  readonly cameras: readonly SceneCamera[];
  /** GLB files beside the page: the surface as a picture, and what a walker bumps into. */
  readonly mesh: string | null;
  readonly collider: string | null;
  /** Where both lie in the world, rows of a 4 x 4 matrix; null where they are made. */
  readonly worldFromMesh: readonly number[] | null;
  readonly viewpoints: readonly SavedView[];
  readonly annotations: readonly Annotation[];
  /** A JSON file beside the page: how well the capture saw the scene. */
  readonly coverage: string | null;
  /** What a server behind the page offers, by name (`edit`, `video`, `live`, ...): base URLs. Empty when published. */
  readonly server: Readonly<Record<string, string>>;
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

function splatFile(value: unknown): SplatFile {
  const file = object(value, "splats");
  const named = text(file.format, "the splat format");
  const format = SPLAT_FORMATS.find((known) => known === named);
  if (format === undefined) throw broken(`the splat format ${named} is unknown`);
  return {
    url: relativeUrl(file.url, "the splat file"),
    format,
    count: number(file.count, "the splat count"),
    bytes: number(file.bytes, "the splat file's size"),
  };
}

const optional = <T>(value: unknown, read: (value: unknown) => T): T | null =>
  value === undefined || value === null ? null : read(value);

export function savedView(value: unknown, index: number): SavedView {
  const what = `viewpoint ${index + 1}`;
  const v = object(value, what);
  return {
    name: text(v.name, what),
    position: vec3(v.position, what),
    target: vec3(v.target, what),
    up: optional(v.up, (up) => vec3(up, what)) ?? [0, 0, 1],
  };
}

export function annotation(value: unknown, index: number): Annotation {
  const what = `annotation ${index + 1}`;
  const a = object(value, what);
  return { title: text(a.title, what), text: text(a.text, what), point: vec3(a.point, what) };
}

function matrix(value: unknown): number[] {
  const what = "the mesh's place";
  const rows = list(value, what).map((row) => list(row, what).map((x) => number(x, what)));
  if (rows.length !== 4 || rows.some((row) => row.length !== 4)) throw broken(`${what} is no 4 x 4 matrix`);
  return rows.flat();
}

/** Base URLs on this page's own server, never on another. */
function serverUrls(value: unknown): Record<string, string> {
  const urls = Object.entries(object(value, "the server's part"));
  return Object.fromEntries(
    urls.map(([name, url]) => {
      const base = text(url, `the address of ${name}`);
      if (new URL(base, location.href).origin !== location.origin) throw broken(`${name} points to another server`);
      return [name, base];
    }),
  );
}

export function parseManifest(value: unknown): SceneManifest {
  const m = object(value, "the scene");
  const schema = number(m.schema, "schema");
  if (schema > SCHEMA) {
    throw new PageError("The scene is newer than this page", "Update Diorama, then open the scene again.");
  }
  const splats = object(m.splats, "splats");
  const bounds = object(m.bounds, "bounds");
  const home = object(m.home, "home");
  return {
    title: text(m.title, "title"),
    isMetric: m.is_metric === true,
    metricSource: optional(m.metric_source, (source) => text(source, "the source of the scale")),
    splats: {
      ...splatFile(splats),
      isAntialiased: splats.is_antialiased === true,
      preview: optional(splats.preview, splatFile),
    },
    bounds: { min: vec3(bounds.min, "bounds"), max: vec3(bounds.max, "bounds") },
    home: {
      position: vec3(home.position, "home"),
      target: vec3(home.target, "home"),
      up: vec3(home.up, "home"),
    },
    cameras: list(m.cameras, "cameras").map(camera),
    mesh: optional(m.mesh, (url) => relativeUrl(url, "the mesh")),
    collider: optional(m.collider, (url) => relativeUrl(url, "the collider")),
    worldFromMesh: optional(m.world_from_mesh, matrix),
    viewpoints: (optional(m.viewpoints, (v) => list(v, "viewpoints")) ?? []).map(savedView),
    annotations: (optional(m.annotations, (v) => list(v, "annotations")) ?? []).map(annotation),
    coverage: optional(m.coverage, (url) => relativeUrl(url, "the coverage")),
    server: optional(m.server, serverUrls) ?? {},
  };
}
