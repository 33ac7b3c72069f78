// The menu inside the headset: a small board in front of the person, pressed by pointing and pulling the trigger or
// pinching.

import { CanvasTexture, DoubleSide, LinearFilter, Matrix4, Mesh, MeshBasicMaterial, PlaneGeometry, Raycaster, SRGBColorSpace, Vector3 } from "three";
import type { Pointer } from "./pointers";

export interface MenuItem {
  readonly id: string;
  readonly label: string;
  /** What is set now, shown at the right. */
  readonly value?: string;
}

const WIDTH_METRES = 0.44;
const WIDTH_PIXELS = 704;
const HEAD_PIXELS = 92;
const ROW_PIXELS = 76;
const PIXELS_PER_METRE = WIDTH_PIXELS / WIDTH_METRES;
/** Before the person's eyes, a little below them. */
const AHEAD_METRES = 0.75;
const BELOW_METRES = 0.12;
const OVER_EVERYTHING = 900;
const FONT = 'system-ui, "Segoe UI", Roboto, sans-serif';

export class Menu {
  readonly mesh: Mesh<PlaneGeometry, MeshBasicMaterial>;
  private readonly canvas = document.createElement("canvas");
  private readonly texture = new CanvasTexture(this.canvas);
  private items: readonly MenuItem[] = [];
  private heading = "";
  private hovered: string | null = null;
  private drawn = "";

  constructor() {
    this.texture.colorSpace = SRGBColorSpace;
    this.texture.generateMipmaps = false;
    this.texture.minFilter = LinearFilter;
    const material = new MeshBasicMaterial({ map: this.texture, side: DoubleSide, transparent: true, depthTest: false, toneMapped: false });
    this.mesh = new Mesh(new PlaneGeometry(1, 1), material);
    this.mesh.renderOrder = OVER_EVERYTHING;
    this.mesh.frustumCulled = false;
    this.mesh.visible = false;
  }

  get open(): boolean {
    return this.mesh.visible;
  }

  /** Opens before the head, facing it. */
  show(head: Vector3, ahead: Vector3): void {
    const level = new Vector3(ahead.x, 0, ahead.z);
    if (level.lengthSq() < 1e-6) level.set(0, 0, -1);
    this.mesh.position.copy(head).addScaledVector(level.normalize(), AHEAD_METRES);
    this.mesh.position.y -= BELOW_METRES;
    // Not `mesh.lookAt`, which looks at points of the world: both points here are the room's.
    this.mesh.quaternion.setFromRotationMatrix(new Matrix4().lookAt(head, this.mesh.position, new Vector3(0, 1, 0)));
    this.mesh.visible = true;
  }

  hide(): void {
    this.mesh.visible = false;
    this.hovered = null;
  }

  /** Sets what it says; costs nothing while that stays the same. */
  fill(heading: string, items: readonly MenuItem[]): void {
    this.heading = heading;
    this.items = items;
    this.redraw();
  }

  /** How far along a pointer's ray the board is, and which item it points at. */
  aim(pointer: Pointer): { distance: number; item: string | null } | null {
    if (!this.open) return null;
    this.mesh.updateMatrix();
    // The board and the ray are both the room's: the ray is asked in the board's parent.
    const world = this.mesh.matrixWorld.clone();
    this.mesh.matrixWorld.copy(this.mesh.matrix);
    const [hit] = new Raycaster(pointer.origin, pointer.direction).intersectObject(this.mesh, false);
    this.mesh.matrixWorld.copy(world);
    if (hit?.uv === undefined) return null;
    const y = (1 - hit.uv.y) * this.canvas.height - HEAD_PIXELS;
    return { distance: hit.distance, item: y < 0 ? null : (this.items[Math.floor(y / ROW_PIXELS)]?.id ?? null) };
  }

  hover(item: string | null): void {
    if (this.hovered === item) return;
    this.hovered = item;
    this.redraw();
  }

  dispose(): void {
    this.mesh.removeFromParent();
    this.mesh.geometry.dispose();
    this.mesh.material.dispose();
    this.texture.dispose();
  }

  private redraw(): void {
    const state = JSON.stringify([this.heading, this.items, this.hovered]);
    if (state === this.drawn) return;
    this.drawn = state;
    const height = HEAD_PIXELS + this.items.length * ROW_PIXELS + 16;
    if (this.canvas.height !== height || this.canvas.width !== WIDTH_PIXELS) {
      this.canvas.width = WIDTH_PIXELS;
      this.canvas.height = height;
      this.texture.dispose();
      this.mesh.scale.set(WIDTH_METRES, height / PIXELS_PER_METRE, 1);
    }
    const context = this.canvas.getContext("2d");
    if (context === null) return;
    paint(context, this.heading, this.items, this.hovered);
    this.texture.needsUpdate = true;
  }
}

function paint(c: CanvasRenderingContext2D, heading: string, items: readonly MenuItem[], hovered: string | null): void {
  const { width, height } = c.canvas;
  c.clearRect(0, 0, width, height);
  c.fillStyle = "#14171d";
  c.beginPath();
  c.roundRect(0, 0, width, height, 34);
  c.fill();
  c.textBaseline = "middle";
  c.fillStyle = "#a3abb8";
  c.font = `26px ${FONT}`;
  c.fillText(heading, 36, HEAD_PIXELS / 2 + 4, width - 72);
  items.forEach((item, i) => {
    const top = HEAD_PIXELS + i * ROW_PIXELS;
    if (item.id === hovered) {
      c.fillStyle = "rgb(124 196 255 / 22%)";
      c.beginPath();
      c.roundRect(14, top + 3, width - 28, ROW_PIXELS - 6, 20);
      c.fill();
    }
    c.font = `31px ${FONT}`;
    c.fillStyle = item.id === "exit" ? "#ff9d85" : "#eceef2";
    c.textAlign = "left";
    c.fillText(item.label, 36, top + ROW_PIXELS / 2, width * 0.6);
    if (item.value === undefined) return;
    c.fillStyle = "#7cc4ff";
    c.textAlign = "right";
    c.fillText(item.value, width - 36, top + ROW_PIXELS / 2, width * 0.36);
    c.textAlign = "left";
  });
}
