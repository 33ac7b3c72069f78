// The camera path: a button on the rail; everything behind it is loaded when it is first pressed.

import type { Page } from "../../page";
import type { PathPanel } from "./panel";

export function path(page: Page): void {
  let panel: Promise<PathPanel> | null = null;
  const body = page.panels.add("path", "Camera path", (open) => {
    button.pressed = open;
    if (open) panel ??= import("./panel").then(({ PathPanel }) => new PathPanel(page, body));
    void panel?.then((made) => made.opened(open));
  });
  const button = page.toolbar.addButton({
    id: "path",
    label: "Camera path",
    icon: '<path d="M4 18c5 0 4-11 9-11 3 0 3 3 6 3" /><circle cx="4" cy="18" r="1.6" /><circle cx="20" cy="10" r="1.6" />',
    title: "Camera path: fly through the scene and make a video of it",
    key: "l",
    toggle: true,
    group: "share",
    onPress: () => page.panels.toggle("path"),
  });
}
