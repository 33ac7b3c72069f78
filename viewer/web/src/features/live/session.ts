// A page that follows a training: the connection, the sheet, and what is drawn.

import "./live.css";
import { freeLens, lookingAt } from "../../coordinates";
import type { Page } from "../../page";
import { TrainingConnection } from "./connection";
import { type Corners, CropBox } from "./crop_box";
import type { Snapshot, State } from "./messages";
import { TrainingPanel } from "./panel";
import { PhotoViews } from "./photo_views";
import { RenderedView } from "./rendered";
import { showSnapshot } from "./snapshots";

const PANEL = "training";
const ICON = '<path d="M4 12h3l2.500-6 5 12 2.500-6h3" />';
const NARROW = "(max-width: 640px), (max-height: 480px)";

export function followTraining(page: Page, url: string): void {
  let ids = 0;
  const nextId = (): number => ++ids;
  const { min, max } = page.scene.bounds;
  const box = new CropBox(page, [...min, ...max] as Corners);
  let keeps = false;
  const body = page.panels.add(PANEL, "Training", (open) => (button.pressed = open));
  const button = page.toolbar.addButton({
    id: "training",
    label: "Training",
    icon: ICON,
    title: "Training as it runs",
    key: "z",
    toggle: true,
    onPress: () => page.panels.toggle(PANEL),
  });
  const sendCrop = (): void => connection.send({ type: "crop", box: box.visible ? box.corners : null, keep: keeps });
  const panel = new TrainingPanel(body, {
    pause: () => connection.send({ type: "pause" }),
    resume: () => connection.send({ type: "resume" }),
    stop: () => connection.send({ type: "stop" }),
    reload: () => location.reload(),
    showRendered: (on) => {
      rendered.visible = on;
      if (on) panel.shown("Drawn by the trainer for exactly this view.");
    },
    showCrop: (on) => {
      box.visible = on;
      if (on && !box.isInView) stepBack();
      if (!on) keeps = false;
      panel.cropped(on, keeps);
      sendCrop();
      rendered.refresh();
    },
    keepCrop: (on) => {
      keeps = on;
      sendCrop();
    },
    showPhoto: (show) => photos.choose(show),
  });
  let boxFromTrainer = false;

  const connection = new TrainingConnection(url, {
    onConnected: (connected) => {
      panel.connection(connected);
      if (connected) {
        rendered.refresh();
        photos.refresh();
      }
    },
    onStranger: () => panel.stranger(),
    onState: (state, history) => {
      panel.show(state, history);
      rendered.at(state.step);
      photos.at(state.step);
      adoptBox(state);
    },
    onSnapshot: (snapshot) => takeSnapshot(snapshot),
    onPicture: async (picture) => {
      (await rendered.take(picture)) || (await photos.take(picture));
    },
    onTrouble: (text) => page.notice(text),
  });
  const rendered = new RenderedView(page, connection, nextId);
  const photos = new PhotoViews(page, connection, nextId);
  photos.onPhoto = (name) => panel.atPhoto(name);
  photos.onWords = (text) => panel.words(text);
  box.onChange = (_, done) => {
    if (!done) return;
    sendCrop();
    rendered.refresh();
  };
  panel.cropped(false, false);
  if (!window.matchMedia(NARROW).matches) page.panels.open(PANEL);

  /** Away from the middle of the scene, until the whole box is in view. */
  function stepBack(): void {
    const ahead = page.centre.clone().sub(page.stage.camera.position);
    if (ahead.lengthSq() === 0 || Math.abs(ahead.y) > 0.8 * ahead.length()) ahead.set(0.6, -0.55, -0.6);
    const distance = page.radius * 2.2;
    const position = page.centre.clone().addScaledVector(ahead.normalize(), -distance);
    void page.navigation.flyTo(lookingAt(position, page.centre), distance, freeLens);
  }

  /** A box that was chosen before this page came. */
  function adoptBox(state: State): void {
    if (boxFromTrainer || state.phase === "waiting") return;
    boxFromTrainer = true;
    if (state.box === null) return;
    keeps = state.keepsCrop;
    box.set(state.box);
    box.visible = true;
    panel.cropped(true, keeps);
  }

  async function takeSnapshot(snapshot: Snapshot): Promise<void> {
    const milliseconds = await showSnapshot(page, snapshot);
    const all = snapshot.count === snapshot.of;
    const count = snapshot.count.toLocaleString("en");
    const whole = all || box.visible ? `${count} splats` : `The ${count} largest of ${snapshot.of.toLocaleString("en")} splats`;
    const { dataset } = document.body;
    dataset.snapshot = String(snapshot.step);
    dataset.snapshotCount = String(snapshot.count);
    dataset.snapshotMs = milliseconds.toFixed(1);
    panel.shown(`${whole} of step ${snapshot.step.toLocaleString("en")}, without gloss.`);
    const status = document.getElementById("status");
    if (status !== null) status.textContent = `In training · ${snapshot.of.toLocaleString("en")} splats`;
  }
}
