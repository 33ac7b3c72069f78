// Icons: strokes in a square of 24.

const PATHS = {
  add: "M12 5v14M5 12h14",
  back: "m14.5 6-6 6 6 6",
  next: "m9.5 6 6 6-6 6",
  close: "m6.5 6.5 11 11m0-11-11 11",
  check: "m5 12.5 4.5 4.5L19 7.5",
  dots: "M5 12a.5.5 0 1 0 1 0 .5.5 0 1 0-1 0M11.500 12a.5.5 0 1 0 1 0 .5.5 0 1 0-1 0M18 12a.5.5 0 1 0 1 0 .5.5 0 1 0-1 0",
  down: "M12 4v11m-4.500-4L12 15.500l4.500-4.500M4.500 19.500h15",
  up: "M12 16V5m-4.500 4L12 4.500 16.500 9M4.500 19.500h15",
  pause: "M8.500 6v12M15.500 6v12",
  play: "M8 5.500v13l10.500-6.500z",
  stop: "M7 7h10v10H7z",
  again: "M19 12a7 7 0 1 1-2.200-5.100M19 4.500V8.500h-4",
  trash: "M4.500 7h15M9.500 7V4.500h5V7m-8 0 .8 12.500h9.400L17.500 7M10 10.500v5.500m4-5.500v5.500",
  pen: "m4.500 19.500 1-4L16 5l3 3L8.500 18.500zM13.800 7.200l3 3",
  phone: "M8 3.500h8a1.500 1.500 0 0 1 1.500 1.500v14a1.500 1.500 0 0 1-1.500 1.500H8A1.500 1.500 0 0 1 6.500 19V5A1.500 1.500 0 0 1 8 3.500zM11 17.500h2",
  film: "M4 6h16v12H4zM8 6v12m8-12v12M4 10h4m-4 4h4m8-4h4m-4 4h4",
  photo: "M4 5.500h16v13H4zM4.500 16.500l4.500-4.500 3.800 3.800 2.700-2.700 4.500 4.500M15.500 9.300h.01",
  folder: "M3.500 7a1.500 1.500 0 0 1 1.500-1.500h4l2 2.500h8a1.500 1.500 0 0 1 1.500 1.500V17a1.500 1.500 0 0 1-1.500 1.500H5A1.500 1.500 0 0 1 3.500 17z",
  scene: "M12 3.500 20 8v8l-8 4.500L4 16V8zM4 8l8 4.500L20 8M12 12.500v8",
  report: "M6.500 3.500h7.500l4 4v13h-11.500zM14 3.500v4h4M9.500 12h5.500m-5.500 3.500h5.500",
  compare: "M12 4v16M4.500 6.500h7.500v11H4.500zM14.500 6.500h5v11h-5",
  warn: "M12 4.500 20.500 19h-17zM12 10v4m0 2.600v.1",
  camera: "M3.500 8.500h3.700l1.500-2.500h6.600l1.500 2.500h3.700v10h-17zM12 10.200a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  mesh: "M12 3.500 20.500 19h-17zM12 3.500v9.500M3.500 19 12 13l8.500 6",
  ruler: "m3.500 15.500 12-12 5 5-12 12zM7 12l2 2m1-5 2 2m1-5 2 2",
} as const;

export type IconName = keyof typeof PATHS;

const SVG = "http://www.w3.org/2000/svg";

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon-mark");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
