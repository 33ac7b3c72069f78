// Uploads that are to become scans, remembered in the browser so that they survive a reload.

const KEY = "diorama-uploads";

export interface FilePlan {
  name: string;
  size: number;
  /** The server's name for it, once it has one. */
  id: string | null;
  /** Bytes that the server is known to have. */
  offset: number;
}

/** The footage of one scan and how the scan is to be made. */
export interface Batch {
  key: string;
  title: string;
  preset: string;
  options: Record<string, unknown>;
  files: FilePlan[];
  paused: boolean;
}

export const bytesOf = (batch: Batch): number => batch.files.reduce((sum, f) => sum + f.size, 0);
export const arrived = (batch: Batch): number => batch.files.reduce((sum, f) => sum + f.offset, 0);

export function loadBatches(): Batch[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(value) ? value.filter(isBatch) : [];
  } catch {
    return [];
  }
}

function isBatch(value: unknown): value is Batch {
  const batch = value as Partial<Batch> | null;
  return typeof batch?.key === "string" && typeof batch.title === "string" && Array.isArray(batch.files) && batch.files.length > 0;
}

/** Writes one batch, or takes it away, leaving alone what other tabs have written. */
export function saveBatch(key: string, batch: Batch | null): void {
  const others = loadBatches().filter((b) => b.key !== key);
  try {
    localStorage.setItem(KEY, JSON.stringify(batch === null ? others : [...others, batch]));
  } catch {
    // No room or not allowed: the upload runs all the same, it only does not survive a reload.
  }
}
