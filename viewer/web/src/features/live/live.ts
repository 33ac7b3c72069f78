// Following a running training, where a server offers it.

import type { Feature } from "../../page";

export const live: Feature = async (page) => {
  const base = page.scene.server.live;
  if (base === undefined) return;
  const url = new URL(base, document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const { followTraining } = await import("./session");
  followTraining(page, url.href);
};
