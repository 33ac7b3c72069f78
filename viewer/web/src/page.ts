// What a feature of the page works with: see features.ts and README.md.

import type { SplatMesh } from "@sparkjsdev/spark";
import { Box3, Raycaster, Vector2, Vector3 } from "three";
import { pointInThree } from "./coordinates";
import { byId, notice, reducedMotion } from "./dom";
import type { SceneManifest } from "./manifest";
import { Navigation } from "./navigation";
import { Panels } from "./panels";
import { Shortcuts } from "./shortcuts";
import type { Stage } from "./stage";
import { Toolbar } from "./toolbar";
import { Tools } from "./tools";

/** Points, boxes and directions here are in three's frame (+y up); objects of the world hang in `stage.world`. */
export interface Page {
  readonly stage: Stage;
  readonly scene: SceneManifest;
  readonly navigation: Navigation;
  /** The splats that are shown now. */
  readonly splats: SplatMesh;
  readonly bounds: Box3;
  readonly centre: Vector3;
  /** Half the diagonal of the bounds. */
  readonly radius: number;
  readonly toolbar: Toolbar;
  readonly panels: Panels;
  readonly shortcuts: Shortcuts;
  readonly tools: Tools;
  /** One sentence at the top of the page for a few seconds. */
  notice(text: string): void;
  /** Calls `step` before every frame with the seconds since the last; it returns whether anything moves. */
  onFrame(step: (seconds: number) => boolean): void;
  /** Shows other splats instead and frees the old ones. */
  replaceSplats(mesh: SplatMesh): void;
  /** Called after every `replaceSplats`. */
  onSplats(listener: (mesh: SplatMesh) => void): void;
  /** The nearest point of the scene under a place on the canvas (CSS pixels), or null. */
  pick(x: number, y: number): Vector3 | null;
}

/** Where a pick looks, in pixels: at the place itself, then around it. */
const NEARBY = [0, 4, 9].flatMap((r) =>
  r === 0 ? [[0, 0] as const] : [0, 1, 2, 3, 4, 5].map((i) => [r * Math.cos((i * Math.PI) / 3), r * Math.sin((i * Math.PI) / 3)] as const),
);

/** A part of the page's functions. It runs once, when the first splats are on the canvas. */
export type Feature = (page: Page) => void | Promise<void>;

export class ScenePage implements Page {
  readonly navigation: Navigation;
  readonly bounds: Box3;
  readonly centre: Vector3;
  readonly radius: number;
  readonly shortcuts: Shortcuts;
  readonly toolbar: Toolbar;
  readonly panels: Panels;
  readonly tools: Tools;
  private mesh: SplatMesh | null = null;
  private readonly splatListeners: ((mesh: SplatMesh) => void)[] = [];

  constructor(
    readonly stage: Stage,
    readonly scene: SceneManifest,
  ) {
    this.bounds = new Box3().setFromPoints([pointInThree(scene.bounds.min), pointInThree(scene.bounds.max)]);
    this.centre = this.bounds.getCenter(new Vector3());
    this.radius = Math.max(this.bounds.getSize(new Vector3()).length() / 2, 1e-3);
    stage.setDepthRange(this.radius);
    this.navigation = new Navigation(stage, this.radius, reducedMotion);
    const help = byId<HTMLDialogElement>("help");
    const own = (event: KeyboardEvent): boolean => event.key === "h" || event.key === "?";
    this.shortcuts = new Shortcuts((event) => document.querySelector("dialog[open]") !== null && !(help.open && own(event)));
    this.tools = new Tools(stage.canvas);
    this.panels = new Panels(this.shortcuts);
    this.toolbar = new Toolbar(byId("top"), this.shortcuts);
    this.shortcuts.add("Escape", () => this.tools.end());
  }

  get splats(): SplatMesh {
    if (this.mesh === null) throw new Error("features start when the splats are there");
    return this.mesh;
  }

  readonly notice = notice;

  onFrame(step: (seconds: number) => boolean): void {
    this.stage.onStep(step);
  }

  replaceSplats(mesh: SplatMesh): void {
    const old = this.mesh;
    if (old === mesh) return;
    this.mesh = mesh;
    this.stage.add(mesh);
    if (old !== null) {
      old.removeFromParent();
      old.dispose();
    }
    for (const listener of this.splatListeners) listener(mesh);
  }

  onSplats(listener: (mesh: SplatMesh) => void): void {
    this.splatListeners.push(listener);
  }

  pick(x: number, y: number): Vector3 | null {
    const { stage } = this;
    const rayTo = (dx: number, dy: number): Raycaster => {
      const raycaster = new Raycaster();
      const place = new Vector2(((x + dx) / stage.width) * 2 - 1, 1 - ((y + dy) / stage.height) * 2);
      raycaster.setFromCamera(place, stage.camera);
      return raycaster;
    };
    const { ray } = rayTo(0, 0);
    for (const [dx, dy] of NEARBY) {
      // A ray slips through between splats that look closed: what is beside it tells the distance.
      const [hit] = rayTo(dx, dy).intersectObject(this.splats, false);
      if (hit !== undefined) return ray.at(hit.distance, new Vector3());
    }
    return null;
  }
}
