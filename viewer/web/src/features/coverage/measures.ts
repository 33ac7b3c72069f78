// What the splats can be coloured by, each with its colours and its legend.

import type { Coverage, Samples } from "./data";

export type Rgb = readonly [number, number, number];

export interface Measure {
  readonly id: string;
  readonly label: string;
  colour(index: number): Rgb;
  /** Swatches, or the ends of the ramp. */
  readonly legend: { readonly swatches: readonly { colour: Rgb; text: string }[] } | { readonly low: string; readonly high: string };
}

/** From bad to good, dark to light: also told apart without seeing red and green. */
const RAMP: readonly Rgb[] = [
  [142, 36, 84],
  [204, 71, 72],
  [240, 136, 62],
  [246, 205, 97],
  [176, 226, 152],
  [102, 209, 190],
];

/** `share` of the way up the ramp. */
export function ramp(share: number): Rgb {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const i = Math.min(Math.floor(at), RAMP.length - 2);
  const [a, b, t] = [RAMP[i]!, RAMP[i + 1]!, at - i];
  return [0, 1, 2].map((c) => Math.round(a[c]! + (b[c]! - a[c]!) * t)) as unknown as Rgb;
}

export const rampCss = (): string => `linear-gradient(90deg, ${RAMP.map((c) => `rgb(${c.join(" ")})`).join(", ")})`;

const MANY = 8;
const WIDE_DEG = 40;
/** Codes of sharpness: 128 is the usual, 16 is twice as many pixels. */
const [USUAL, OCTAVE, OCTAVES] = [128, 16, 2];

export function measures(coverage: Coverage): Measure[] {
  const s: Samples = coverage.samples;
  const unit = coverage.isMetric ? "px/m" : "px per unit";
  const px = (octaves: number): string => {
    const value = coverage.targetPx * 2 ** octaves;
    return `${Number(value.toPrecision(2)).toLocaleString("en")} ${unit}`;
  };
  const kinds = coverage.kinds.filter((kind) => kind.share >= 0.005);
  return [
    {
      id: "kind",
      label: "Verdict",
      colour: (i) => coverage.kinds[s.kind[i]!]!.colour,
      legend: { swatches: kinds.map((k) => ({ colour: k.colour, text: `${k.words}, ${Math.round(100 * k.share)} %` })) },
    },
    {
      id: "cameras",
      label: "Photos",
      colour: (i) => ramp(Math.log2(Math.max(1, s.cameras[i]! + 1) / 1.5) / Math.log2((MANY + 1) / 1.5)),
      legend: { low: "no photo", high: `${MANY} and more` },
    },
    {
      id: "angle",
      label: "Angle",
      colour: (i) => ramp(s.angle[i]! / WIDE_DEG),
      legend: { low: "from one direction", high: `${WIDE_DEG}° and more` },
    },
    {
      id: "sharpness",
      label: "Detail",
      colour: (i) => ramp(s.sharpness[i] === 0 ? 0 : (s.sharpness[i]! - USUAL + OCTAVES * OCTAVE) / (2 * OCTAVES * OCTAVE)),
      legend: { low: px(-OCTAVES), high: px(OCTAVES) },
    },
    {
      id: "confidence",
      label: "Trust",
      colour: (i) => ramp(s.confidence[i]! / 255),
      legend: { low: "unlike the photos", high: "like the photos" },
    },
  ];
}
