// Views and notes of this scene that the person made: kept with the scene where a server is behind the page, else in this
// browser; written to a file, read from one.

import { annotation, type Annotation, savedView, type SavedView } from "../../manifest";

export interface Kept {
  readonly viewpoints: SavedView[];
  readonly annotations: Annotation[];
}

export const FILE_NAME = "views.json";
const MOST = 1000;

/** What was kept here for the page at this address; what came with the scene before anything was kept. */
export function load(published: Kept): Kept {
  try {
    const text = localStorage.getItem(key());
    return text === null ? published : parse(JSON.parse(text));
  } catch {
    return published;
  }
}

/** Returns whether the browser kept it: private windows and full disks do not. */
export function save(kept: Kept): boolean {
  try {
    localStorage.setItem(key(), JSON.stringify(written(kept)));
    return true;
  } catch {
    return false;
  }
}

/** The same as `views.json` of a scene folder, which `diorama view --publish` puts into the page. */
export const written = (kept: Kept): object => ({ schema: 1, ...kept });

/** Throws where the data is not what `written` makes. */
export function parse(value: unknown): Kept {
  const { viewpoints, annotations } = value as { viewpoints?: unknown[]; annotations?: unknown[] };
  return {
    viewpoints: (viewpoints ?? []).slice(0, MOST).map(savedView),
    annotations: (annotations ?? []).slice(0, MOST).map(annotation),
  };
}

/** What the server keeps at `base`. Throws where it cannot be had. */
export async function fetchKept(base: string): Promise<Kept> {
  const response = await fetch(`${base}/views`, { cache: "no-store" });
  if (!response.ok) throw new Error(response.statusText);
  return parse(await response.json());
}

/** Returns whether the server kept it. */
export async function sendKept(base: string, kept: Kept): Promise<boolean> {
  try {
    const body = JSON.stringify({ viewpoints: kept.viewpoints, annotations: kept.annotations });
    const headers = { "Content-Type": "application/json" };
    return (await fetch(`${base}/views`, { method: "PUT", headers, body })).ok;
  } catch {
    return false;
  }
}

const key = (): string => `diorama:${location.pathname}`;
