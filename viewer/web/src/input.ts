// Pointer, touch and wheel on the canvas, and the keys that walk. Everything else on the keyboard is in shortcuts.ts.

import type { Navigation } from "./navigation";
import type { CanvasTool, Tools } from "./tools";

const CLICK_PIXELS = 5;
/** Two clicks so close in time and place are a double click; Safari on phones has no event for it. */
const DOUBLE_MS = 350;
const DOUBLE_PIXELS = 24;

export interface InputListener {
  /** A click or tap that was no drag. */
  click(x: number, y: number): void;
  doubleClick(x: number, y: number): void;
}

export function listenToPointer(
  canvas: HTMLCanvasElement,
  navigation: Navigation,
  tools: Tools,
  listener: InputListener,
): void {
  const pointers = new Map<number, { x: number; y: number }>();
  let travelled = 0;
  let lastClick = { x: 0, y: 0, time: -DOUBLE_MS };
  let pinch: { x: number; y: number; spread: number } | null = null;
  /** The tool that has the drag; a second finger takes it away again. */
  let dragging: CanvasTool | null = null;

  const place = (event: PointerEvent | WheelEvent | MouseEvent): { x: number; y: number } => {
    const rect = canvas.getBoundingClientRect();
    return { x: event.clientX - rect.left, y: event.clientY - rect.top };
  };
  const twoFingers = (): { x: number; y: number; spread: number } | null => {
    const [a, b] = [...pointers.values()];
    if (a === undefined || b === undefined) return null;
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.max(10, Math.hypot(a.x - b.x, a.y - b.y)) };
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    if (pointers.size === 0) travelled = 0;
    const { x, y } = place(event);
    pointers.set(event.pointerId, { x, y });
    if (dragging !== null) {
      dragging.up?.(x, y, event);
      dragging = null;
    } else if (pointers.size === 1 && event.button === 0 && tools.current?.down?.(x, y, event) === true) {
      dragging = tools.current;
      return;
    }
    pinch = twoFingers();
    navigation.held = true;
    navigation.rest();
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = place(event);
    if (before === undefined) return tools.current?.hover?.(now.x, now.y, event);
    if (dragging !== null) return dragging.move?.(now.x, now.y, event);
    const dx = now.x - before.x;
    const dy = now.y - before.y;
    const wasClick = travelled <= CLICK_PIXELS;
    travelled += Math.hypot(dx, dy);
    pointers.set(event.pointerId, now);
    if (travelled <= CLICK_PIXELS) return;
    if (wasClick) canvas.dataset.dragging = "1";
    if (pointers.size >= 2) {
      const next = twoFingers();
      if (next !== null && pinch !== null) {
        navigation.pan(next.x - pinch.x, next.y - pinch.y);
        navigation.dolly(pinch.spread / next.spread);
      }
      pinch = next;
    } else if (event.buttons & 2 || event.buttons & 4 || event.shiftKey) {
      navigation.pan(dx, dy);
    } else {
      // Flying, a finger pulls the world along, a mouse turns the head.
      const sign = event.pointerType === "touch" && navigation.mode !== "orbit" ? -1 : 1;
      navigation.turn(dx * sign, dy * sign);
    }
  });

  const release = (event: PointerEvent): void => {
    if (!pointers.delete(event.pointerId)) return;
    if (dragging !== null) {
      const { x, y } = place(event);
      dragging.up?.(x, y, event);
      dragging = null;
      return;
    }
    pinch = twoFingers();
    navigation.held = pointers.size > 0;
    delete canvas.dataset.dragging;
    if (event.type === "pointerup" && pointers.size === 0 && travelled <= CLICK_PIXELS && event.button === 0) {
      click(event);
    }
  };
  const click = (event: PointerEvent): void => {
    const { x, y } = place(event);
    const time = event.timeStamp;
    if (tools.current?.click !== undefined && tools.current.click(x, y, event) !== false) return;
    const double =
      time - lastClick.time < DOUBLE_MS && Math.hypot(x - lastClick.x, y - lastClick.y) < DOUBLE_PIXELS;
    lastClick = { x, y, time: double ? -DOUBLE_MS : time };
    if (double) listener.doubleClick(x, y);
    else listener.click(x, y);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 33 : event.deltaY;
      navigation.dolly(Math.exp(Math.max(-300, Math.min(300, pixels)) * 0.0014));
    },
    { passive: false },
  );
}

// By place on the keyboard, not by letter: WASD lies elsewhere on other layouts.
const WALK: Record<string, readonly [number, number, number]> = {
  KeyW: [0, 0, -1],
  KeyS: [0, 0, 1],
  KeyA: [-1, 0, 0],
  KeyD: [1, 0, 0],
  KeyQ: [0, -1, 0],
  KeyE: [0, 1, 0],
};

export const typesText = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && target.closest("input:not([type=range]), textarea, select, [contenteditable]") !== null;

export function listenToWalkKeys(navigation: Navigation): void {
  const down = new Set<string>();
  const steer = (fast: boolean): void => {
    const sum = [0, 0, 0];
    for (const code of down) WALK[code]?.forEach((x, i) => (sum[i]! += x));
    navigation.steer(sum[0]!, sum[1]!, sum[2]!, fast);
  };
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typesText(event.target)) return;
    if (event.code in WALK) down.add(event.code);
    if (event.code in WALK || (event.key === "Shift" && down.size > 0)) steer(event.shiftKey);
  });
  window.addEventListener("keyup", (event) => {
    if (down.delete(event.code) || (event.key === "Shift" && down.size > 0)) steer(event.shiftKey);
  });
  window.addEventListener("blur", () => {
    down.clear();
    steer(false);
  });
}
