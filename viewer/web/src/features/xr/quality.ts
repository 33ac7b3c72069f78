// How much each kind of headset can draw.

export interface Quality {
  readonly id: string;
  readonly name: string;
  /** Against the headset's recommended number of pixels along each side. */
  readonly framebufferScale: number;
  /** 0 draws every part of the picture alike, 1 saves the most at its edges. */
  readonly foveation: number;
  /** Where a splat is cut off, in standard deviations. */
  readonly maxStdDev: number;
  readonly maxPixelRadius: number;
  /** More splats than this are thinned out. */
  readonly maxSplats: number;
}

const quality = (
  id: string, name: string, framebufferScale: number, foveation: number, variance: number, maxPixelRadius: number, maxSplats: number,
): Quality => ({ id, name, framebufferScale, foveation, maxStdDev: Math.sqrt(variance), maxPixelRadius, maxSplats });

// Numbers of splats at which each holds its frame rate by Spark's own defaults (500,000 on Quest, 750,000 on Vision
// Pro, 2.5 million on a computer), the weaker Quest 2 at half.
export const QUALITIES: readonly Quality[] = [
  quality("quest2", "Quest 2", 0.8, 1, 5, 256, 250_000),
  quality("quest3", "Quest 3, Pro", 1, 0.7, 6, 512, 500_000),
  quality("vision", "Vision Pro", 1, 0.5, 7, 512, 750_000),
  quality("pc", "Computer", 1, 0, 8, 1024, 2_500_000),
  quality("phone", "Phone", 0.8, 0, 6, 512, 400_000),
];

const byId = (id: string): Quality => QUALITIES.find((q) => q.id === id)!;

/** What the browser says it runs on; Safari on Vision Pro calls itself a Mac with touch. */
export function detectQuality(agent = navigator.userAgent, touchPoints = navigator.maxTouchPoints): Quality {
  if (/Quest 2|Quest 1|Quest;|Pacific/i.test(agent)) return byId("quest2");
  if (/Quest|OculusBrowser|Pico|Vive Focus/i.test(agent)) return byId("quest3");
  if (/Macintosh/.test(agent) && touchPoints > 1) return byId("vision");
  if (/Android|iPhone|iPad/.test(agent)) return byId("phone");
  return byId("pc");
}

export const qualityOf = (choice: string): Quality => QUALITIES.find((q) => q.id === choice) ?? detectQuality();
