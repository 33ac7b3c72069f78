// Numbers and times as people read them.

const THIN = "\u202f";

/** Bytes as kB, MB or GB (powers of 1000, as file managers and disks count). */
export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return "";
  for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const) {
    if (bytes >= factor) return `${(bytes / factor).toFixed(bytes >= 100 * factor ? 0 : 1)}${THIN}${unit}`;
  }
  return `${bytes} bytes`;
}

/** 7 s, 1 min 05 s, 2 h 10 min. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}${THIN}s`;
  const minutes = Math.floor(whole / 60);
  const pad = (n: number): string => String(n).padStart(2, "0");
  if (minutes < 60) return `${minutes}${THIN}min ${pad(whole % 60)}${THIN}s`;
  return `${Math.floor(minutes / 60)}${THIN}h ${pad(minutes % 60)}${THIN}min`;
}

/** What is left, as coarse as it is known. */
export function timeLeft(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  if (seconds < 8) return "a few seconds left";
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} seconds left`;
  const minutes = Math.round(seconds / 60);
  if (minutes <= 1) return "about a minute left";
  if (minutes < 90) return `about ${minutes} minutes left`;
  return `about ${Math.round(minutes / 60)} hours left`;
}

/** When something was, from seconds since 1970. */
export function when(time: number, now = Date.now() / 1000): string {
  const ago = now - time;
  if (ago < 60) return "just now";
  if (ago < 3600) return `${Math.floor(ago / 60)} min ago`;
  const date = new Date(time * 1000);
  const clock = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (new Date(now * 1000).toDateString() === date.toDateString()) return `today ${clock}`;
  return date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}

export const count = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

export const percent = (fraction: number | null | undefined): string =>
  fraction === null || fraction === undefined ? "" : `${Math.floor(100 * Math.min(1, Math.max(0, fraction)))}${THIN}%`;

/** A title for a capture out of its files' names: `IMG_0042.MOV` gives `IMG 0042`. */
export function titleOf(names: readonly string[]): string {
  const first = names[0] ?? "";
  const folder = first.includes("/") ? first.split("/")[0] : undefined;
  const name = folder ?? first.replace(/\.[^.]+$/, "");
  return name.replace(/[_\s]+/g, " ").trim() || "New scan";
}
