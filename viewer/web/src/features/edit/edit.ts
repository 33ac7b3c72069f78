// Cleaning up the scene: a button on the rail; everything behind it is loaded when it is first pressed.

import type { SplatMesh } from "@sparkjsdev/spark";
import type { Page } from "../../page";
import type { EditPanel } from "./panel";

export function edit(page: Page): void {
  let panel: Promise<EditPanel> | null = null;
  let edited: SplatMesh | null = null;

  const make = async (): Promise<EditPanel> => {
    const [{ EditPanel }, mesh] = await Promise.all([import("./panel"), wholeScene(page)]);
    edited = mesh;
    return new EditPanel(page, mesh, body);
  };
  const body = page.panels.add("edit", "Clean up", (open) => {
    button.pressed = open;
    if (open) panel ??= make();
    panel?.then((made) => made.opened(open)).catch((error: unknown) => {
      console.error(error);
      page.notice("This scene cannot be edited here; open it with diorama view.");
    });
  });
  const button = page.toolbar.addButton({
    id: "edit",
    label: "Clean up",
    icon: '<path d="m4.5 15.5 9-9a2 2 0 0 1 2.800 0l2.200 2.200a2 2 0 0 1 0 2.800l-8 8H7.500l-3-3a.7.7 0 0 1 0-1zM9 11l5.500 5.500M13 20h7" />',
    title: "Clean up: select, delete, crop, set floor and scale",
    key: "x",
    toggle: true,
    group: "edit",
    onPress: () => page.panels.toggle("edit"),
  });
  page.onSplats((mesh) => {
    if (edited === null || edited === mesh) return;
    // Something else is shown from now on, such as a training that goes on: there is nothing to edit any more.
    if (page.panels.current === "edit") page.panels.close();
    button.hidden = true;
  });
}

/** Resolves once all splats are there, and not only those of the first picture. */
function wholeScene(page: Page): Promise<SplatMesh> {
  const isWhole = (mesh: SplatMesh): boolean => (mesh.splats?.getNumSplats() ?? 0) >= page.scene.splats.count;
  if (isWhole(page.splats)) return Promise.resolve(page.splats);
  return new Promise((resolve) => page.onSplats((mesh) => isWhole(mesh) && resolve(mesh)));
}
