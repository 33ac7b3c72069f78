// How to take pictures that become a good scene, for somebody with an empty library.

import { h } from "../elements";
import { icon, type IconName } from "../icons";

const TIPS: { mark: IconName; name: string; text: string }[] = [
  { mark: "again", name: "Walk around it slowly", text: "Move, do not just turn on the spot: every spot wants to be seen from several places." },
  { mark: "compare", name: "Overlap a lot", text: "Two pictures after each other should share most of what they show." },
  { mark: "photo", name: "Keep it sharp and still", text: "Good light, no zoom, nothing that moves. A minute of video is plenty." },
];

export const tips = (): HTMLElement =>
  h("ul.tips", { "aria-label": "How to film" }, ...TIPS.map((t) => h("li", null, icon(t.mark), h("b", null, t.name), h("span", null, t.text))));
