// How well the capture saw the scene, and where to reshoot: a button on the rail where the scene knows; the rest is
// loaded when it is first pressed.

import type { Page } from "../../page";
import type { CoverageView } from "./view";

export function coverage(page: Page): void {
  const url = page.scene.coverage;
  if (url === null) return;
  let view: Promise<CoverageView> | null = null;

  const make = async (): Promise<CoverageView> => {
    const [{ CoverageView }, { readCoverage }] = await Promise.all([import("./view"), import("./data")]);
    return new CoverageView(page, await readCoverage(url), body);
  };
  const body = page.panels.add("coverage", "Where to reshoot", (open) => {
    button.pressed = open;
    if (open) view ??= make();
    view
      ?.then((made) => made.show(page.panels.current === "coverage"))
      .catch((error: unknown) => {
        view = null;
        console.error(error);
        page.notice("What this scene knows of its coverage cannot be read; run diorama reshoot, then open it again.");
      });
  });
  const button = page.toolbar.addButton({
    id: "coverage",
    label: "Where to reshoot",
    icon: '<path d="M4 9V6a2 2 0 0 1 2-2h3m6 0h3a2 2 0 0 1 2 2v3m0 6v3a2 2 0 0 1-2 2h-3m-6 0H6a2 2 0 0 1-2-2v-3M12 8.500v4.500m0 2.800v.2" />',
    title: "Where to reshoot: what was seen badly, and from where to photograph it",
    key: "k",
    toggle: true,
    onPress: () => page.panels.toggle("coverage"),
  });
}
