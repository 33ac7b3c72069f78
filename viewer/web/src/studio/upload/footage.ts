// Which of the chosen or dropped files are footage, and what to call them.

const VIDEOS = ["mp4", "mov", "m4v", "webm", "mkv", "avi"];
const PHOTOS = ["jpg", "jpeg", "png", "tif", "tiff", "webp", "heic", "heif"];
const RAWS = ["dng", "nef", "nrw", "cr2", "cr3", "arw", "raf", "rw2", "orf", "pef", "srw", "3fr", "iiq", "rwl"];

/** For a file picker's `accept`. */
export const ACCEPT = ["video/*", "image/*", ...[...VIDEOS, ...PHOTOS, ...RAWS].map((e) => `.${e}`)].join(",");

export interface Found {
  file: File;
  /** Where it lay, relative to what was dropped. */
  path: string;
}

export type Kind = "video" | "photo";

export function kindOf(name: string): Kind | null {
  const extension = name.slice(name.lastIndexOf(".") + 1).toLowerCase();
  if (VIDEOS.includes(extension)) return "video";
  return PHOTOS.includes(extension) || RAWS.includes(extension) ? "photo" : null;
}

/** Hidden files and what file systems leave behind. */
const isLitter = (path: string): boolean => path.split("/").some((p) => p.startsWith(".") || p === "__MACOSX" || p === "Thumbs.db");

export interface Choice {
  found: Found[];
  /** Names of files that are no footage. */
  leftOut: string[];
  /** Why these files cannot be one scan, or null. */
  problem: string | null;
}

/** Footage among the files, sorted by path. One video or photos make a scan, not both. */
export function choose(all: readonly Found[]): Choice {
  const seen = new Set<string>();
  const wanted = all.filter((f) => !isLitter(f.path) && !seen.has(f.path) && seen.add(f.path) !== undefined);
  const found = wanted.filter((f) => kindOf(f.path) !== null);
  const leftOut = wanted.filter((f) => kindOf(f.path) === null).map((f) => f.path);
  found.sort((a, b) => a.path.localeCompare(b.path, "en", { numeric: true }));
  return { found, leftOut, problem: problemOf(found, leftOut) };
}

function problemOf(found: readonly Found[], leftOut: readonly string[]): string | null {
  const empty = found.find((f) => f.file.size === 0);
  const videos = found.filter((f) => kindOf(f.path) === "video").length;
  if (found.length === 0) {
    if (leftOut.length === 0) return "There are no files in it.";
    return `${leftOut[0]} is neither a video nor a photo that Diorama reads. Videos: ${VIDEOS.join(", ")}; photos: ${PHOTOS.join(", ")} and RAW.`;
  }
  if (empty !== undefined) return `${empty.path} is empty: remove it, or copy it from the camera again.`;
  if (videos > 1) return "One scan takes one video. Remove the others, or make a scan of each.";
  if (videos === 1 && found.length > 1) return "A scan takes either a video or photos. Remove one of the two kinds.";
  return null;
}

/** Names to upload under: the files' own; where two are the same, with their folders in front. */
export function uploadNames(found: readonly Found[]): string[] {
  const base = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
  const uses = new Map<string, number>();
  for (const f of found) uses.set(base(f.path).toLowerCase(), (uses.get(base(f.path).toLowerCase()) ?? 0) + 1);
  return found.map((f) => ((uses.get(base(f.path).toLowerCase()) ?? 0) > 1 ? f.path.replaceAll("/", "_") : base(f.path)));
}

export const fromPicker = (files: Iterable<File>): Found[] =>
  Array.from(files, (file) => ({ file, path: file.webkitRelativePath || file.name }));

/** Files and folders that were dropped, folders with all that is in them. */
export async function fromDrop(transfer: DataTransfer): Promise<Found[]> {
  // Entries must be taken at once: the list is empty after the first await.
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.() ?? null);
  const files = Array.from(transfer.files);
  if (entries.every((e) => e === null)) return fromPicker(files);
  const found: Found[] = [];
  for (const entry of entries) if (entry !== null) await walk(entry, found);
  return found;
}

const MOST_FILES = 20_000;

async function walk(entry: FileSystemEntry, found: Found[]): Promise<void> {
  if (found.length >= MOST_FILES) return;
  if (entry.isFile) {
    const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (some.length === 0) return;
    for (const child of some) await walk(child, found);
  }
}
