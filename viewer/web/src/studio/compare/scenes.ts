// Two scenes over each other, looked at from the same place. Heavy (three.js, Spark): loaded only when it is wanted.

import type { SplatMesh } from "@sparkjsdev/spark";
import { Matrix4, Quaternion, Vector3 } from "three";
import { freeLens, lensInRect, lookingAt, photoRect, pointInThree, THREE_FROM_WORLD, viewpointOf } from "../../coordinates";
import { listenToPointer, listenToWalkKeys } from "../../input";
import { parseManifest, type SceneManifest } from "../../manifest";
import { Navigation } from "../../navigation";
import { loadSplats } from "../../splats";
import { Stage } from "../../stage";
import { Tools } from "../../tools";
import { get } from "../api";
import { reducedMotion } from "../elements";

const BACKGROUND = "#0e1014";

/** A scene of the server's: its description with addresses that are valid from this page. */
async function describe(base: string): Promise<SceneManifest> {
  const scene = parseManifest(await get<unknown>(`${base}scene.json`));
  return { ...scene, splats: { ...scene.splats, url: `${base}${scene.splats.url}` } };
}

interface Side {
  readonly stage: Stage;
  readonly scene: SceneManifest;
}

/** The first scene fills `under`, the second lies over it on `over`; both are seen through one camera. */
export class TwoScenes {
  private readonly navigation: Navigation;
  private readonly observer: ResizeObserver;

  private constructor(
    private readonly a: Side,
    private readonly b: Side,
    bFromA: readonly (readonly number[])[] | null,
  ) {
    const [low, high] = [pointInThree(a.scene.bounds.min), pointInThree(a.scene.bounds.max)];
    const radius = Math.max(high.distanceTo(low) / 2, 1e-3);
    for (const side of [a, b]) side.stage.setDepthRange(radius);
    if (bFromA !== null) standIn(b.stage, bFromA);
    this.navigation = new Navigation(a.stage, radius, reducedMotion);
    const canvas = a.stage.canvas;
    listenToPointer(canvas, this.navigation, new Tools(canvas), {
      click: () => canvas.focus({ preventScroll: true }),
      doubleClick: () => undefined,
    });
    listenToWalkKeys(this.navigation);
    b.stage.onStep(() => follow(a.stage, b.stage));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(canvas);
    this.resize();
    this.home();
  }

  /**
   * @param aUrl, bUrl the scenes' addresses, with a slash at the end.
   * @param bFromA takes the first scene's world to the second's; null leaves both as they are.
   */
  static async open(
    under: HTMLCanvasElement,
    over: HTMLCanvasElement,
    urls: readonly [string, string],
    bFromA: readonly (readonly number[])[] | null,
    onProgress: (fraction: number) => void,
  ): Promise<TwoScenes> {
    const scenes = (await Promise.all(urls.map(describe))) as [SceneManifest, SceneManifest];
    const total = scenes[0].splats.bytes + scenes[1].splats.bytes;
    const came = [0, 0];
    const load = (i: 0 | 1): Promise<SplatMesh> =>
      loadSplats(scenes[i].splats, (bytes) => {
        came[i] = bytes;
        onProgress(((came[0] ?? 0) + (came[1] ?? 0)) / Math.max(1, total));
      });
    const meshes = await Promise.all([load(0), load(1)]);
    const [a, b] = [under, over].map((canvas, i) => side(canvas, scenes[i] as SceneManifest, meshes[i] as SplatMesh)) as [Side, Side];
    const two = new TwoScenes(a, b, bFromA);
    await a.stage.settle();
    follow(a.stage, b.stage);
    await b.stage.settle();
    a.stage.start();
    b.stage.start();
    return two;
  }

  /** The first scene's first view. */
  home(): void {
    const { position, target } = this.a.scene.home;
    const [from, to] = [pointInThree(position), pointInThree(target)];
    void this.navigation.flyTo(lookingAt(from, to), from.distanceTo(to), freeLens);
  }

  /** Stands where a photo of the first scene was taken. Returns false when there is no such photo. */
  standAt(name: string): boolean {
    const camera = this.a.scene.cameras.find((c) => c.name === name);
    if (camera === undefined) return false;
    const view = viewpointOf(camera);
    const middle = pointInThree(this.a.scene.bounds.min).lerp(pointInThree(this.a.scene.bounds.max), 0.5);
    void this.navigation.flyTo(view, view.position.distanceTo(middle), (width, height) =>
      lensInRect(camera, photoRect(camera, { left: 0, top: 0, width, height })),
    );
    return true;
  }

  close(): void {
    this.observer.disconnect();
    for (const { stage } of [this.a, this.b]) {
      stage.stop();
      stage.renderer.dispose();
      stage.renderer.forceContextLoss();
    }
  }

  private resize(): void {
    const { clientWidth, clientHeight } = this.a.stage.canvas;
    const ratio = Math.min(2, window.devicePixelRatio);
    for (const { stage } of [this.a, this.b]) stage.resize(clientWidth, clientHeight, ratio);
    this.navigation.refreshLens();
  }
}

function side(canvas: HTMLCanvasElement, scene: SceneManifest, mesh: SplatMesh): Side {
  const stage = new Stage(canvas, { exact: false, background: BACKGROUND, isAntialiased: scene.splats.isAntialiased });
  stage.add(mesh);
  return { stage, scene };
}

/** Puts a stage's world where it belongs in the first scene's frame. */
function standIn(stage: Stage, bFromA: readonly (readonly number[])[]): void {
  const rows = bFromA.flat();
  const aFromB = new Matrix4().fromArray(rows).transpose().invert();
  const [position, turn, scale] = [new Vector3(), new Quaternion(), new Vector3()];
  aFromB.decompose(position, turn, scale);
  stage.world.position.copy(position.applyQuaternion(THREE_FROM_WORLD));
  stage.world.quaternion.copy(THREE_FROM_WORLD).multiply(turn);
  stage.world.scale.copy(scale);
}

/** Makes one camera the other's twin; returns whether it was another before. */
function follow(leader: Stage, follower: Stage): boolean {
  const [from, to] = [leader.camera, follower.camera];
  if (to.position.equals(from.position) && to.quaternion.equals(from.quaternion) && to.projectionMatrix.equals(from.projectionMatrix)) return false;
  to.position.copy(from.position);
  to.quaternion.copy(from.quaternion);
  to.projectionMatrix.copy(from.projectionMatrix);
  to.projectionMatrixInverse.copy(from.projectionMatrixInverse);
  return true;
}
