// A session in a headset: from `enter` to its end, one `step` a frame.

import { MathUtils, type Matrix4, Quaternion, Vector3 } from "three";
import type { Page } from "../../page";
import { unitsPerMetre } from "../../scale";
import type { Play } from "../play/play";
import type { Flight } from "./arc";
import { RoomEdge } from "./bounds";
import { Grab } from "./grab";
import { HitTest } from "./hit_test";
import { Hold } from "./hold";
import { type Head, Locomotion } from "./locomotion";
import { Menu, type MenuItem } from "./menu";
import { drawEachEye, PageState, prepare } from "./page_state";
import { type ArSize, placeInRoom, standWhereThePageLooked, usualPlace } from "./placement";
import { type Pointer, Pointers } from "./pointers";
import { type Quality, qualityOf } from "./quality";
import { Rig } from "./rig";
import { next, saveSettings, type Settings, TURNS } from "./settings";
import { type Mode, SESSION_MODES } from "./support";
import type { Surface } from "../../surface";
import { type Thinned, thinOut } from "./thin";
import { Vignette, Visuals } from "./visuals";

/** How long the rays of hands are that may take things, in metres. */
const REACH = 3;
/** Nearer than this nothing is drawn, in metres of the room. */
const NEAREST = 0.05;

export interface Entry {
  readonly page: Page;
  readonly mode: Mode;
  readonly settings: Settings;
  readonly surface: () => Surface;
  readonly play: Play;
  /** What a phone shows over its picture in AR. */
  readonly overlay: HTMLElement;
  readonly onEnd: () => void;
}

function sessionInit(mode: Mode, overlay: HTMLElement): XRSessionInit {
  const optionalFeatures = ["bounded-floor", "hand-tracking"];
  if (mode === "vr") return { requiredFeatures: ["local-floor"], optionalFeatures };
  return {
    requiredFeatures: ["local-floor"],
    optionalFeatures: [...optionalFeatures, "hit-test", "dom-overlay"],
    domOverlay: { root: overlay },
  };
}

export class Headset {
  private readonly rig = new Rig();
  private readonly pointers: Pointers;
  private readonly locomotion: Locomotion;
  private readonly grab = new Grab();
  private readonly hold = new Hold();
  private readonly menu = new Menu();
  private readonly visuals = new Visuals();
  private readonly vignette = new Vignette();
  private readonly edge: RoomEdge;
  private readonly hitTest: HitTest | null;
  private readonly undoEyes: () => void;
  private readonly thinned: Thinned | null;
  private readonly wasPlaying: boolean;
  private readonly trueUnits: number;
  private fitted: boolean;
  private arSize: ArSize = "table";
  private placed = false;
  private pinched = false;
  private reticle: Matrix4 | null = null;
  private head: Head = { position: new Vector3(0, 1.6, 0), ahead: new Vector3(0, 0, -1) };

  /** Asks for the session; must be called while the browser still sees the person's click. */
  static async enter(entry: Entry): Promise<Headset> {
    const { page, mode, settings } = entry;
    const session = await navigator.xr!.requestSession(SESSION_MODES[mode], sessionInit(mode, entry.overlay));
    const state = new PageState(page);
    try {
      const quality = qualityOf(settings.quality);
      prepare(page.stage.renderer, quality);
      await page.stage.renderer.xr.setSession(session);
      return new Headset(entry, session, state, quality);
    } catch (error) {
      await session.end().catch(() => {});
      state.restore();
      throw error;
    }
  }

  private constructor(
    private readonly entry: Entry,
    readonly session: XRSession,
    private readonly state: PageState,
    quality: Quality,
  ) {
    const { page, play } = entry;
    this.undoEyes = drawEachEye(page, quality);
    this.thinned = thinOut(page, quality.maxSplats);
    this.wasPlaying = play.on;
    play.playground?.useInstead(this.thinned?.mesh ?? null);
    this.pointers = new Pointers(session);
    this.locomotion = new Locomotion(this.rig, entry.surface, entry.settings);
    this.edge = new RoomEdge(session);
    this.hitTest = entry.mode === "ar" ? new HitTest(session) : null;
    this.trueUnits = unitsPerMetre(page, entry.surface().ground);
    this.fitted = !page.scene.isMetric;
    this.rig.setUsual(this.trueUnits);
    this.rig.group.add(page.stage.camera, this.visuals.root, this.menu.mesh, this.vignette.mesh, this.edge.line);
    this.state.view.parent?.add(this.rig.group);
    page.stage.camera.near = NEAREST;
    document.body.dataset.xr = entry.mode;
    session.addEventListener("end", () => this.leave());
  }

  /** Before every frame; what a session shows always changes. */
  step(seconds: number): boolean {
    const { xr } = this.entry.page.stage.renderer;
    const frame = xr.getFrame() as XRFrame | null;
    const room = xr.getReferenceSpace();
    const viewer = frame && room ? frame.getViewerPose(room) : null;
    if (!frame || !room || !viewer) return true;
    this.readHead(viewer.transform);
    if (!this.placed) this.begin();
    const pointers = this.pointers.read(frame, room);
    this.reticle = this.hitTest?.read(frame, room, pointers) ?? null;
    const flight = this.act(pointers, seconds);
    this.edge.show(flight !== null, frame, room);
    this.entry.page.stage.camera.far = Math.max(100, (this.entry.page.radius * 200) / this.rig.unitsPerMetre);
    this.publish();
    return true;
  }

  /** Ends the session; the page comes back by its `end` event. */
  async end(): Promise<void> {
    await this.session.end();
  }

  setArSize(size: ArSize): void {
    this.arSize = size;
    const at = this.entry.mode === "ar" ? this.rig.pointInRoom(this.footInWorld()) : null;
    if (at !== null) this.placeAt(size === "true" ? at.setY(0) : usualPlace(this.entry.page, size, this.trueUnits, this.head));
  }

  // --- One frame ---------------------------------------------------------------------------------------------------

  private readHead(transform: XRRigidTransform): void {
    const { position: p, orientation: q } = transform;
    const ahead = new Vector3(0, 0, -1).applyQuaternion(new Quaternion(q.x, q.y, q.z, q.w));
    this.head = { position: new Vector3(p.x, p.y, p.z), ahead };
  }

  private begin(): void {
    this.placed = true;
    const { page, mode, surface } = this.entry;
    if (mode === "vr") {
      this.rig.setUsual(this.fitted ? this.trueUnits : 1);
      standWhereThePageLooked(this.rig, page, this.state.view, this.head, surface());
    } else {
      this.placeAt(usualPlace(page, this.arSize, this.trueUnits, this.head));
    }
  }

  private act(pointers: readonly Pointer[], seconds: number): Flight | null {
    if (pointers.some((p) => p.menuPressed || asksForMenu(p, this.head))) this.toggleMenu();
    const { rays, free: unused } = this.useMenu(pointers);
    const free = this.holdThings(pointers, unused, rays);
    const reach = this.rig.pointInRoom(this.entry.page.centre).distanceTo(this.head.position);
    this.grab.step(free, this.rig, MathUtils.clamp(reach, 0.5, 5));
    let flight: Flight | null = null;
    let smooth = false;
    if (this.entry.mode === "ar") this.placeByHand(pointers, free);
    else if (this.grab.hands > 0) this.locomotion.cancel();
    else ({ flight, smooth } = this.locomotion.step(pointers, free, this.head, seconds));
    this.visuals.showHands(pointers, rays);
    this.visuals.showArc(flight, flight?.hit ? this.rig.pointInRoom(flight.hit.point) : null);
    this.visuals.showReticle(this.menu.open ? null : this.reticle);
    this.vignette.step(smooth && this.entry.settings.vignette, seconds);
    this.tell(flight);
    return flight;
  }

  /** Returns the pointers that do not hold a thing. */
  private holdThings(pointers: readonly Pointer[], free: Pointer[], rays: Map<XRInputSource, number>): Pointer[] {
    const { play } = this.entry;
    const { playground } = play;
    if (playground === null) return free;
    if (!play.on) {
      this.hold.end(playground);
      return free;
    }
    for (const { source } of free) rays.set(source, REACH);
    return this.hold.step(playground, pointers, free, this.rig);
  }

  private placeByHand(pointers: readonly Pointer[], free: readonly Pointer[]): void {
    // Fingers that leave the screen one after the other end a pinch, they do not point.
    if (this.grab.hands > 1) this.pinched = true;
    const pointed = this.pointers.ended.some((source) => {
      const present = pointers.some((p) => p.source === source);
      return !present || free.some((p) => p.source === source);
    });
    const may = !this.pinched && this.grab.hands === 0 && !this.entry.play.on;
    if (pointed && may && this.reticle !== null) this.placeAt(new Vector3().setFromMatrixPosition(this.reticle));
    if (!pointers.some((p) => p.selecting)) this.pinched = false;
  }

  private placeAt(at: Vector3): void {
    const { page, surface } = this.entry;
    placeInRoom(this.rig, page, this.arSize, this.trueUnits, surface().ground, at, this.head);
  }

  private footInWorld(): Vector3 {
    const { page, surface } = this.entry;
    return new Vector3(page.centre.x, surface().ground, page.centre.z);
  }

  // --- The menu ----------------------------------------------------------------------------------------------------

  private toggleMenu(): void {
    if (this.menu.open) this.menu.hide();
    else this.menu.show(this.head.position, this.head.ahead);
  }

  /** Lets pointers use the menu; the others are free for the scene. */
  private useMenu(pointers: readonly Pointer[]): { rays: Map<XRInputSource, number>; free: Pointer[] } {
    const rays = new Map<XRInputSource, number>();
    if (!this.menu.open) return { rays, free: [...pointers] };
    this.menu.fill(this.heading(), this.items());
    let hovered: string | null = null;
    const free = pointers.filter((pointer) => {
      const aim = this.menu.aim(pointer);
      if (aim === null) return true;
      rays.set(pointer.source, aim.distance);
      hovered = aim.item ?? hovered;
      if (pointer.selectBegan && aim.item !== null) this.choose(aim.item);
      return false;
    });
    this.menu.hover(hovered);
    return { rays, free };
  }

  private heading(): string {
    const { page } = this.entry;
    const times = this.rig.magnification;
    const size = this.entry.mode === "ar" && this.arSize === "table" ? "Table top" : `${times.toPrecision(2)} times`;
    if (page.scene.isMetric) return Math.abs(times - 1) < 0.005 && size !== "Table top" ? "True scale" : size;
    return this.fitted ? "Scale unknown: size guessed" : "Scale unknown: 1 unit = 1 m";
  }

  private items(): MenuItem[] {
    const { settings, mode, page } = this.entry;
    const items: MenuItem[] = [];
    if (mode === "ar") items.push({ id: "table", label: "Size", value: this.arSize === "table" ? "table" : "true" });
    else {
      items.push({ id: "turn", label: "Snap turn", value: `${settings.turnDegrees}°` });
      items.push({ id: "vignette", label: "Comfort vignette", value: settings.vignette ? "on" : "off" });
      if (!page.scene.isMetric) items.push({ id: "fit", label: "Size", value: this.fitted ? "guessed" : "1 unit = 1 m" });
    }
    const { play } = this.entry;
    items.push({ id: "play", label: "Pick things up", value: play.on ? "on" : "off" });
    if ((play.playground?.count ?? 0) > 0) items.push({ id: "putBack", label: "Put things back" });
    items.push({ id: "restart", label: "Back to the start" });
    items.push({ id: "exit", label: `Leave ${mode.toUpperCase()}` });
    return items;
  }

  private choose(item: string): void {
    const { settings } = this.entry;
    const actions: Record<string, () => void> = {
      turn: () => (settings.turnDegrees = next(TURNS, settings.turnDegrees as (typeof TURNS)[number])),
      vignette: () => (settings.vignette = !settings.vignette),
      fit: () => {
        this.fitted = !this.fitted;
        this.placed = false;
      },
      table: () => this.setArSize(this.arSize === "table" ? "true" : "table"),
      play: () => void this.togglePlay(),
      putBack: () => this.entry.play.playground?.clear(),
      restart: () => (this.placed = false),
      exit: () => void this.end(),
    };
    actions[item]?.();
    saveSettings(settings);
  }

  private async togglePlay(): Promise<void> {
    const { play, page } = this.entry;
    try {
      await play.turn(!play.on);
      play.playground?.useInstead(this.thinned?.mesh ?? null);
    } catch (error) {
      page.notice(error instanceof Error ? error.message : String(error));
    }
  }

  // --- For tests and the page --------------------------------------------------------------------------------------

  /** Where the room stands in three's world: position, quaternion, world units a metre. */
  private publish(): void {
    const { position, quaternion } = this.rig.group;
    const numbers = [...position.toArray(), ...quaternion.toArray(), this.rig.unitsPerMetre];
    const text = JSON.stringify(numbers);
    if (document.body.dataset.xrRoom !== text) document.body.dataset.xrRoom = text;
  }

  private tell(flight: Flight | null): void {
    const { dataset } = document.body;
    if (flight?.hit && flight.standable) dataset.xrLanding = JSON.stringify(flight.hit.point.toArray());
    else delete dataset.xrLanding;
    dataset.xrMenu = this.menu.open ? "1" : "0";
  }

  private leave(): void {
    const { play } = this.entry;
    this.undoEyes();
    play.playground?.useInstead(null);
    this.thinned?.undo();
    if (!this.wasPlaying) void play.turn(false);
    this.pointers.dispose();
    this.hitTest?.dispose();
    this.state.restore();
    this.visuals.dispose();
    this.menu.dispose();
    this.vignette.dispose();
    this.edge.dispose();
    this.rig.group.removeFromParent();
    for (const name of ["xr", "xrRoom", "xrLanding", "xrMenu"]) delete document.body.dataset[name];
    this.entry.onEnd();
  }
}

const WRIST = 0;
const INDEX_KNUCKLE = 6;
const LITTLE_KNUCKLE = 21;
/** A palm turned to the face within 45 degrees. */
const FACING = Math.SQRT1_2;

/** Tracked hands have no buttons: a pinch of the left hand, palm to the face, stands for one. */
function asksForMenu(pointer: Pointer, head: Head): boolean {
  if (pointer.joints === null || pointer.handedness !== "left" || !pointer.selectBegan) return false;
  const joint = (i: number): Vector3 => new Vector3().fromArray(pointer.joints!, i * 3);
  const wrist = joint(WRIST);
  const palm = joint(LITTLE_KNUCKLE).sub(wrist).cross(joint(INDEX_KNUCKLE).sub(wrist)).normalize();
  return palm.dot(head.position.clone().sub(wrist).normalize()) > FACING;
}

