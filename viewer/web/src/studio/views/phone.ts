// How a phone gets here: a code to point its camera at.

import { type Invitation, invite } from "../actions";
import { words } from "../api";
import { dialog, toast } from "../dialog";
import { h, say } from "../elements";

export async function showPhone(): Promise<void> {
  let invitation: Invitation;
  try {
    invitation = await invite();
  } catch (error) {
    toast(words(error), "error");
    return;
  }
  const code = h("img.qr", { alt: "QR code with the link to this studio", src: `data:image/svg+xml;utf8,${encodeURIComponent(invitation.qr_svg)}` });
  const left = h("p.hint", { role: "status" });
  const sheet = dialog(
    "Use a phone",
    h("div.phone", null,
      code,
      h("ol", null,
        h("li", null, "Put the phone on the same network as this computer."),
        h("li", null, "Point its camera at the code and open the link."),
        h("li", null, "The phone warns once, because this computer vouches for itself: choose to go on."),
      ),
      h("p.link", null, invitation.url.replace(/\?.*$/, "")),
      left,
    ),
  );
  const tick = (): void => {
    if (invitation.expires === null) return;
    const seconds = Math.round(invitation.expires - Date.now() / 1000);
    say(left, seconds > 0 ? `The code works once, for another ${Math.ceil(seconds / 60)} min.` : "The code has expired. Close this and open it again for a new one.");
    code.classList.toggle("over", seconds <= 0);
  };
  tick();
  const timer = window.setInterval(tick, 5000);
  sheet.addEventListener("close", () => window.clearInterval(timer));
}
