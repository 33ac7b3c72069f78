// Whether this browser and this computer can show a headset's views, and if not, why not.

export type Mode = "vr" | "ar";

export const SESSION_MODES = { vr: "immersive-vr", ar: "immersive-ar" } as const;

export interface Support {
  readonly vr: boolean;
  readonly ar: boolean;
  /** One sentence when neither works, else an empty one. */
  readonly reason: string;
}

const none = (reason: string): Support => ({ vr: false, ar: false, reason });

export async function findSupport(): Promise<Support> {
  // Browsers hide `navigator.xr` from pages that are not encrypted; only this computer itself is trusted without.
  if (!window.isSecureContext) {
    return none(
      "This page came over plain HTTP, and browsers give VR and AR only to pages with HTTPS. Open its https:// link " +
        "(`diorama studio --lan` gives one), or publish the folder on a server with HTTPS.",
    );
  }
  const xr = navigator.xr;
  if (xr === undefined) {
    return none(
      "This browser has no WebXR. Open this link in the headset's own browser, or in Chrome or Edge on a computer with " +
        "a connected headset, or in Chrome on an Android phone for AR.",
    );
  }
  const can = async (mode: Mode): Promise<boolean> => {
    try {
      return await xr.isSessionSupported(SESSION_MODES[mode]);
    } catch {
      return false; // Forbidden by a policy of the page that embeds this one.
    }
  };
  const [vr, ar] = await Promise.all([can("vr"), can("ar")]);
  if (vr || ar) return { vr, ar, reason: "" };
  return none(
    "No headset was found. Open this link in the headset's own browser; on a computer, connect the headset and start its " +
      "software (SteamVR, Meta Link), then reload.",
  );
}

/** What a refused session means, in words a person can act on. */
export function refusal(error: unknown, mode: Mode): string {
  const name = error instanceof DOMException ? error.name : "";
  const what = mode.toUpperCase();
  if (name === "SecurityError" || name === "NotAllowedError") {
    return `The browser did not allow ${what}: permit it when it asks, then press the button again.`;
  }
  if (name === "NotSupportedError") return `This headset cannot show ${what} with a floor; set up its boundary first.`;
  if (name === "InvalidStateError") return `The headset is busy with another page or program: leave that first.`;
  return `${what} could not be started (${error instanceof Error ? error.message : String(error)}).`;
}
