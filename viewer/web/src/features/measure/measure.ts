// Distances between two points of the scene, in metres where the scale is known, and said where it is not.

import "./measure.css";
import type { Vector3 } from "three";
import { button } from "../../dom";
import type { Feature, Page } from "../../page";
import { addLine, Pins, pointTool } from "../../pins";

const ICON = '<path d="m3 16.500 13.500-13.500L21 7.500 7.500 21zM7 12.500l2 2M10 9.500l3 3M13 6.500l2 2" />';
const REMOVE = '<path d="m6.5 6.5 11 11m0-11-11 11" />';

/** What the manifest's `metric_source` says, in words; anything else is said as it is. */
const SOURCES: Record<string, string> = {
  gps: "GPS positions of the photos",
  distance: "a distance that somebody measured",
  import: "the imported cameras",
};

/** A length in the scene's unit in words: three digits of metres, centimetres below one. */
export function lengthText(length: number, isMetric: boolean): string {
  if (!isMetric) return `${Number(length.toPrecision(3))} units`;
  if (length < 1) return `${Number((length * 100).toPrecision(3))} cm`;
  return `${length < 100 ? length.toFixed(2) : Math.round(length)} m`;
}

export const measure: Feature = (page: Page): void => {
  const pins = new Pins(page);
  const list = document.createElement("ul");
  list.className = "panel-list";
  const advice = document.createElement("p");
  let first: Vector3 | null = null;
  let removeFirst = (): void => {};

  const dot = (point: Vector3): (() => void) => {
    const element = document.createElement("div");
    element.className = "pin-dot";
    return pins.add(element, point);
  };
  const say = (): void => {
    advice.textContent =
      first === null ? "Click where the distance begins, or aim with the cross and press Enter." : "Now where it ends.";
  };
  const onPoint = (point: Vector3): void => {
    if (first === null) {
      first = point;
      removeFirst = dot(point);
    } else {
      removeFirst();
      add(first, point);
      first = null;
    }
    say();
  };
  const add = (from: Vector3, to: Vector3): void => {
    const text = lengthText(from.distanceTo(to), page.scene.isMetric);
    const label = document.createElement("div");
    label.className = "pin-label";
    label.textContent = text;
    const removers = [
      dot(from), dot(to), addLine(page, [from, to]), pins.add(label, from.clone().add(to).divideScalar(2)),
    ];
    const item = document.createElement("li");
    const length = document.createElement("output");
    length.textContent = text;
    const remove = button({ label: `Remove ${text}`, icon: REMOVE });
    remove.classList.add("icon");
    remove.addEventListener("click", () => {
      for (const each of removers) each();
      item.remove();
      page.stage.invalidate();
    });
    item.append(length, remove);
    list.append(item);
  };

  const tool = pointTool(page, "measure", onPoint, () => {
    removeFirst();
    first = null;
    press.pressed = false;
    page.stage.invalidate();
    if (page.panels.current === "measure") page.panels.close();
  });
  const body = page.panels.add("measure", "Measure", (open) => {
    if (!open) tool.end();
  });
  const source = page.scene.metricSource;
  const scale = document.createElement("p");
  scale.textContent = page.scene.isMetric
    ? `In metres.${source === null ? "" : ` The scale comes from ${SOURCES[source] ?? source}.`}`
    : "In scene units, scale unknown: nobody has told how large this scene is.";
  body.append(advice, list, scale);
  const press = page.toolbar.addButton({
    id: "measure", label: "Measure", icon: ICON, title: "Measure a distance", key: "m", group: "measure", toggle: true,
    onPress: () => {
      if (tool.active) {
        tool.end();
        return;
      }
      page.panels.open("measure");
      tool.begin();
      press.pressed = true;
      say();
    },
  });
};
