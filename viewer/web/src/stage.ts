// The canvas, the renderer and the loop. Draws only when something changed.

import { SparkRenderer } from "@sparkjsdev/spark";
import { Color, Group, type Object3D, PerspectiveCamera, Scene, WebGLRenderer } from "three";
import { applyLens, freeLens, type Lens, THREE_FROM_WORLD } from "./coordinates";
import { PageError } from "./errors";
import { CLIP, correctShader } from "./splat_shader";

/** The screen-space low-pass filter of 3D Gaussian splatting (Kerbl et al. 2023), in square pixels; ours is the same. */
const LOW_PASS = 0.3;
/** The same of splats that were trained with anti-aliasing (Yu et al. 2024), as in kernels/_checks.py. */
const MIP_LOW_PASS = 0.1;
/** Below this a splat adds nothing, as in our rasterizer; an opaque one gets there at `FULL_RADIUS` deviations. */
const MIN_ALPHA = 1 / 255;
const FULL_RADIUS = Math.sqrt(2 * Math.log(255));

/** A page that was asleep or draws slowly goes on smoothly instead of jumping. */
const MAX_STEP_SECONDS = 0.2;

export interface StageOptions {
  /** Keep the drawing so that it can be read at any time, and trade speed for exactness. */
  readonly exact: boolean;
  readonly background: string;
  /** How the splats were trained: see `SceneManifest`. */
  readonly isAntialiased: boolean;
}

/** Spark's pre-blur only widens splats; its blur also takes from their opacity what they gain in area. */
const blurOf = (isAntialiased: boolean): { preBlurAmount: number; blurAmount: number } => ({
  preBlurAmount: isAntialiased ? 0 : LOW_PASS,
  blurAmount: isAntialiased ? MIP_LOW_PASS : 0,
});

export class Stage {
  readonly renderer: WebGLRenderer;
  readonly spark: SparkRenderer;
  readonly camera = new PerspectiveCamera();
  /** Everything in world coordinates (+z up). */
  readonly world = new Group();
  width = 1;
  height = 1;
  /** Frames drawn since the start. */
  frames = 0;
  private readonly scene = new Scene();
  private readonly steps: ((seconds: number) => boolean)[] = [];
  private readonly drawn: (() => void)[] = [];
  private dirty = true;
  private last = 0;
  private ratio = Math.min(window.devicePixelRatio, 2);
  private waitingSize: [number, number, number] | null = null;

  constructor(
    readonly canvas: HTMLCanvasElement,
    options: StageOptions,
  ) {
    if (canvas.getContext("webgl2", { antialias: false, alpha: false, preserveDrawingBuffer: options.exact }) === null) {
      throw new PageError(
        "This browser cannot show the scene",
        "It has no WebGL 2. Use a current Chrome, Edge, Firefox or Safari with hardware acceleration switched on.",
      );
    }
    this.renderer = new WebGLRenderer({
      canvas,
      antialias: false,
      alpha: false,
      preserveDrawingBuffer: options.exact,
      powerPreference: "high-performance",
    });
    // Splat colours are sRGB values already and are blended as such: no tone mapping, no conversion.
    this.renderer.setClearColor(new Color(options.background), 1);
    this.spark = new SparkRenderer({
      renderer: this.renderer,
      ...blurOf(options.isAntialiased),
      minAlpha: MIN_ALPHA,
      maxStdDev: options.exact ? FULL_RADIUS : Math.sqrt(8),
      maxPixelRadius: options.exact ? 8192 : 1024,
      clipXY: CLIP,
      // Half-float positions would shake by half a pixel.
      accumExtSplats: true,
      sortRadial: !options.exact,
      enableLod: false,
      onDirty: () => this.invalidate(),
    });
    correctShader(this.spark.material);
    this.world.quaternion.copy(THREE_FROM_WORLD);
    this.camera.near = 0.01;
    this.camera.far = 1000;
    this.scene.add(this.spark, this.world, this.camera);
  }

  add(object: Object3D): void {
    this.world.add(object);
    this.invalidate();
  }

  /** How the splats that are shown from now on were trained: see `SceneManifest`. */
  setAntialiased(isAntialiased: boolean): void {
    Object.assign(this.spark, blurOf(isAntialiased));
    this.invalidate();
  }

  /** Near and far planes for a scene of this radius in world units. */
  setDepthRange(radius: number): void {
    this.camera.near = Math.min(0.01, radius * 1e-3);
    this.camera.far = Math.max(radius * 200, 1);
  }

  resize(width: number, height: number, pixelRatio: number): void {
    // A headset has the canvas for as long as its session lasts.
    if (this.renderer.xr.isPresenting) {
      this.waitingSize = [width, height, pixelRatio];
      return;
    }
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    const canvas = [Math.floor(this.width * pixelRatio), Math.floor(this.height * pixelRatio)] as const;
    // Setting a canvas's size clears it, even to the same size.
    if (this.canvas.width !== canvas[0] || this.canvas.height !== canvas[1]) {
      this.renderer.setPixelRatio(pixelRatio);
      this.renderer.setSize(this.width, this.height, false);
    }
    this.ratio = pixelRatio;
    this.setLens(freeLens(this.width, this.height));
  }

  /** Pixels of the canvas for one of the page. */
  get pixelRatio(): number {
    return this.ratio;
  }

  /** Finer or coarser at the same size: the lens stays. */
  set pixelRatio(ratio: number) {
    if (this.renderer.xr.isPresenting || ratio === this.ratio) return;
    this.ratio = ratio;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(this.width, this.height, false);
    this.invalidate();
  }

  /** A headset's session is over: takes the size that the page has got meanwhile. */
  endOfPresenting(): void {
    if (this.waitingSize !== null) this.resize(...this.waitingSize);
    this.waitingSize = null;
  }

  setLens(lens: Lens): void {
    applyLens(this.camera, lens, this.width, this.height);
    this.invalidate();
  }

  /** Ask for one more frame. */
  invalidate(): void {
    this.dirty = true;
  }

  /** Calls `step` before every frame with the seconds since the last; it returns whether anything moves. */
  onStep(step: (seconds: number) => boolean): void {
    this.steps.push(step);
  }

  /** Calls `listener` after every drawn frame. */
  onDraw(listener: () => void): void {
    this.drawn.push(listener);
  }

  start(): void {
    this.renderer.setAnimationLoop((now) => {
      const seconds = Math.min(MAX_STEP_SECONDS, Math.max(0, (now - this.last) / 1000));
      this.last = now;
      for (const step of this.steps) this.dirty = step(seconds) || this.dirty;
      if (this.dirty) this.draw();
    });
  }

  stop(): void {
    this.renderer.setAnimationLoop(null);
  }

  draw(): void {
    this.dirty = false;
    this.renderer.render(this.scene, this.camera);
    this.frames += 1;
    document.body.dataset.frames = String(this.frames);
    for (const listener of this.drawn) listener();
  }

  /** Sorts for the camera exactly as it stands and draws, until nothing is left to do. */
  async settle(): Promise<void> {
    this.scene.updateMatrixWorld(true);
    this.camera.updateMatrixWorld(true);
    await this.spark.update({ scene: this.scene, camera: this.camera });
    do {
      await nextFrame();
      this.draw();
    } while (this.spark.sorting || this.spark.sortDirty);
    this.draw();
  }
}

export const nextFrame = (): Promise<number> => new Promise((resolve) => requestAnimationFrame(resolve));
