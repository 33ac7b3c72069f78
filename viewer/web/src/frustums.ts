// The capture's cameras as small wire pyramids, in one draw call.

import { BufferAttribute, BufferGeometry, LineSegments, ShaderMaterial, Vector3 } from "three";
import { viewpointOf } from "./coordinates";
import type { SceneCamera } from "./manifest";
import type { Stage } from "./stage";

/** sRGB, like the splats around them. */
type Tint = readonly [number, number, number];
const PLAIN: Tint = [1, 0.706, 0.329];
const CHOSEN: Tint = [1, 1, 1];
/** Four edges from the eye, four around the picture, three of the notch that marks its top. */
const LINES_PER_CAMERA = 11;
const PICK_PIXELS = 22;

/** Lines in plain colours that fade out close to the viewer, so that standing in a pyramid shows none of it. */
const lineMaterial = (nearest: number): ShaderMaterial =>
  new ShaderMaterial({
    uniforms: { nearest: { value: nearest } },
    vertexShader: `
      attribute vec3 tint;
      varying vec3 vTint;
      varying float vDepth;
      void main() {
        vec4 inCamera = modelViewMatrix * vec4(position, 1.0);
        vTint = tint;
        vDepth = -inCamera.z;
        gl_Position = projectionMatrix * inCamera;
      }`,
    fragmentShader: `
      uniform float nearest;
      varying vec3 vTint;
      varying float vDepth;
      void main() {
        if (vDepth < nearest) discard;
        gl_FragColor = vec4(vTint, 1.0);
      }`,
  });

type Point = [number, number, number];

/** From a point of the camera to the world. */
function toWorld(camera: SceneCamera, x: number, y: number, z: number): Point {
  const [r0, r1, r2] = camera.camFromWorld;
  const p = [x - r0[3], y - r1[3], z - r2[3]] as const;
  return [0, 1, 2].map((i) => r0[i]! * p[0] + r1[i]! * p[1] + r2[i]! * p[2]) as Point;
}

const pixelAt = (camera: SceneCamera, u: number, v: number, depth: number): Point =>
  toWorld(camera, ((u - camera.cx) / camera.fx) * depth, ((v - camera.cy) / camera.fy) * depth, depth);

/** The corners of a camera's picture in the world, at a depth: top left, top right, bottom right, bottom left. */
export function pyramidCorners(camera: SceneCamera, depth: number): readonly [Point, Point, Point, Point] {
  const { width, height } = camera;
  const at = (u: number, v: number): Point => pixelAt(camera, u, v, depth);
  return [at(0, 0), at(width, 0), at(width, height), at(0, height)];
}

/** A camera's pyramid in world coordinates, as line segments. */
function pyramid(camera: SceneCamera, depth: number): number[] {
  const { width, height } = camera;
  const at = (u: number, v: number): Point => pixelAt(camera, u, v, depth);
  const eye = toWorld(camera, 0, 0, 0);
  const corners = pyramidCorners(camera, depth);
  const notch = [at(width * 0.35, 0), at(width * 0.5, -height * 0.18), at(width * 0.65, 0)] as const;
  const lines = corners.flatMap((corner, i) => [eye, corner, corner, corners[(i + 1) % 4]!]);
  lines.push(notch[0], notch[1], notch[1], notch[2], notch[2], notch[0]);
  return lines.flat();
}

/** A size that lets neighbouring cameras stand apart: a share of the usual distance between them. */
export function pyramidDepth(cameras: readonly SceneCamera[], radius: number): number {
  const places = cameras.map((c) => viewpointOf(c).position);
  const gaps = places.slice(1).map((p, i) => p.distanceTo(places[i]!)).sort((a, b) => a - b);
  const usual = gaps[Math.floor(gaps.length / 2)] ?? radius * 0.1;
  return Math.min(Math.max(usual * 0.5, radius * 0.012), radius * 0.06);
}

export class Frustums {
  private readonly lines: LineSegments;
  private readonly eyes: readonly Vector3[];
  private wanted = false;
  private hiddenForPhoto = false;

  constructor(
    private readonly stage: Stage,
    cameras: readonly SceneCamera[],
    /** How far the pyramids reach. */
    depth: number,
    private readonly colour: Tint = PLAIN,
  ) {
    const positions = new Float32Array(cameras.flatMap((camera) => pyramid(camera, depth)));
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(positions, 3));
    geometry.setAttribute("tint", new BufferAttribute(new Float32Array(positions.length), 3));
    this.lines = new LineSegments(geometry, lineMaterial(depth * 1.05));
    this.lines.frustumCulled = false;
    this.eyes = cameras.map((camera) => viewpointOf(camera).position);
    this.choose(null);
    this.update();
    stage.add(this.lines);
  }

  get visible(): boolean {
    return this.wanted;
  }

  set visible(value: boolean) {
    this.wanted = value;
    this.update();
  }

  /** Seen from inside, a pyramid is only clutter around the photo. */
  set hideForPhoto(value: boolean) {
    this.hiddenForPhoto = value;
    this.update();
  }

  /** Marks one camera. */
  choose(index: number | null): void {
    const tints = this.lines.geometry.getAttribute("tint") as BufferAttribute;
    const vertices = LINES_PER_CAMERA * 2;
    for (let i = 0; i < tints.count; i++) {
      const [r, g, b] = Math.floor(i / vertices) === index ? CHOSEN : this.colour;
      tints.setXYZ(i, r, g, b);
    }
    tints.needsUpdate = true;
    this.stage.invalidate();
  }

  /** The camera whose eye is nearest to a place on the canvas, within a finger's reach. */
  pick(x: number, y: number): number | null {
    if (!this.lines.visible) return null;
    const { camera, width, height } = this.stage;
    let best: number | null = null;
    let nearest = PICK_PIXELS;
    this.eyes.forEach((eye, index) => {
      const p = eye.clone().project(camera);
      if (Math.abs(p.z) > 1) return;
      const distance = Math.hypot(((p.x + 1) / 2) * width - x, ((1 - p.y) / 2) * height - y);
      if (distance < nearest) {
        nearest = distance;
        best = index;
      }
    });
    return best;
  }

  private update(): void {
    this.lines.visible = this.wanted && !this.hiddenForPhoto;
    this.stage.invalidate();
  }
}
