// Views and notes of this scene that the person made: kept in this browser, written to a file, read from one.

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

const key = (): string => `diorama:${location.pathname}`;
