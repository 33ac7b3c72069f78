// What a session changes of the page, put back exactly when it ends.

import type { WebGLRenderer } from "three";
import type { Page } from "../../page";
import type { Quality } from "./quality";

export class PageState {
  private readonly camera;
  private readonly spark;
  private readonly canvas;

  constructor(private readonly page: Page) {
    const { camera, spark, canvas } = page.stage;
    this.camera = {
      position: camera.position.clone(),
      quaternion: camera.quaternion.clone(),
      scale: camera.scale.clone(),
      near: camera.near,
      far: camera.far,
      parent: camera.parent,
    };
    this.spark = { maxStdDev: spark.maxStdDev, maxPixelRadius: spark.maxPixelRadius };
    this.canvas = { parent: canvas.parentNode, next: canvas.nextSibling, style: canvas.getAttribute("style") };
  }

  get view() {
    return this.camera;
  }

  restore(): void {
    const { stage, navigation } = this.page;
    const { camera, spark, canvas, renderer } = stage;
    renderer.xr.enabled = false;
    this.camera.parent?.add(camera);
    camera.position.copy(this.camera.position);
    camera.quaternion.copy(this.camera.quaternion);
    camera.scale.copy(this.camera.scale);
    camera.near = this.camera.near;
    camera.far = this.camera.far;
    camera.updateMatrixWorld(true);
    Object.assign(spark, this.spark);
    // Emulated headsets borrow the canvas and hang it up at the end of the page, over its buttons.
    if (canvas.parentNode !== this.canvas.parent || canvas.nextSibling !== this.canvas.next) {
      this.canvas.parent?.insertBefore(canvas, this.canvas.next);
    }
    if (this.canvas.style === null) canvas.removeAttribute("style");
    else canvas.setAttribute("style", this.canvas.style);
    stage.endOfPresenting();
    navigation.refreshLens();
    stage.invalidate();
  }
}

interface EyeCamera {
  readonly viewport?: { readonly z: number; readonly w: number };
}

/** Makes Spark draw for one eye at a time: by itself it takes both eyes' pictures for one of twice the width. */
export function drawEachEye(page: Page, quality: Quality): () => void {
  const { spark } = page.stage;
  const usual = spark.onBeforeRender;
  spark.maxStdDev = quality.maxStdDev;
  spark.maxPixelRadius = quality.maxPixelRadius;
  spark.onBeforeRender = function (this: typeof spark, ...args: Parameters<typeof usual>) {
    usual.apply(this, args);
    const viewport = (args[2] as EyeCamera).viewport;
    if (viewport !== undefined) this.uniforms.renderSize.value.set(viewport.z, viewport.w);
  };
  return () => {
    spark.onBeforeRender = usual;
  };
}

/** What three is told before a session begins. */
export function prepare(renderer: WebGLRenderer, quality: Quality): void {
  renderer.xr.enabled = true;
  renderer.xr.setReferenceSpaceType("local-floor");
  renderer.xr.setFramebufferScaleFactor(quality.framebufferScale);
  renderer.xr.setFoveation(quality.foveation);
}
