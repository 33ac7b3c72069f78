// What the person prefers in the headset; kept by the browser where it allows that.

const KEY = "diorama-xr";

export interface Settings {
  /** Degrees of a snap turn. */
  turnDegrees: number;
  /** Metres a second at full stick. */
  walkSpeed: number;
  vignette: boolean;
  /** The id of a quality, or "auto". */
  quality: string;
}

export const TURNS = [15, 30, 45, 90] as const;
export const SPEEDS = [1, 2, 4] as const;

const USUAL: Settings = { turnDegrees: 30, walkSpeed: 2, vignette: true, quality: "auto" };

export function loadSettings(): Settings {
  const settings = { ...USUAL };
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    if (typeof stored !== "object" || stored === null) return settings;
    const given = stored as Partial<Record<keyof Settings, unknown>>;
    if (TURNS.some((t) => t === given.turnDegrees)) settings.turnDegrees = given.turnDegrees as number;
    if (SPEEDS.some((s) => s === given.walkSpeed)) settings.walkSpeed = given.walkSpeed as number;
    if (typeof given.vignette === "boolean") settings.vignette = given.vignette;
    if (typeof given.quality === "string") settings.quality = given.quality;
  } catch {
    // Private windows may forbid storage, and what lies there may be anything: the usual settings do.
  }
  return settings;
}

export function saveSettings(settings: Settings): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // See above.
  }
}

/** The next of a few choices, around and around. */
export function next<T>(choices: readonly T[], now: T): T {
  return choices[(choices.indexOf(now) + 1) % choices.length]!;
}
