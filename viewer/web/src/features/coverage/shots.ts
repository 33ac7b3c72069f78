// The proposed photos in the scene: a pyramid each, with its picture inside.

import {
  BufferAttribute,
  BufferGeometry,
  DoubleSide,
  Group,
  Mesh,
  NearestFilter,
  ShaderMaterial,
  Texture,
} from "three";
import { Frustums, pyramidCorners } from "../../frustums";
import type { Page } from "../../page";
import type { Shot } from "./data";

const COLOUR = [1, 0.36, 0.33] as const;
/** Of the scene's radius: pyramids of proposals are larger than those of photos, for their picture's sake. */
const DEPTH = 0.09;

export class Shots {
  private readonly frustums: Frustums;
  private readonly pictures = new Group();

  constructor(
    private readonly page: Page,
    shots: readonly Shot[],
  ) {
    const depth = page.radius * DEPTH;
    this.frustums = new Frustums(page.stage, shots.map((s) => s.camera), depth, COLOUR);
    for (const shot of shots) this.pictures.add(this.picture(shot, depth));
    this.pictures.visible = false;
    page.stage.add(this.pictures);
  }

  set visible(value: boolean) {
    this.frustums.visible = value;
    this.pictures.visible = value;
    this.page.stage.invalidate();
  }

  /** Marks one; from where it stands its own picture would hide the view. */
  choose(index: number | null): void {
    this.frustums.choose(index);
    this.pictures.children.forEach((picture, i) => (picture.visible = i !== index));
    this.page.stage.invalidate();
  }

  pick(x: number, y: number): number | null {
    return this.frustums.pick(x, y);
  }

  private picture(shot: Shot, depth: number): Mesh {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(pyramidCorners(shot.camera, depth).flat()), 3));
    geometry.setAttribute("uv", new BufferAttribute(new Float32Array([0, 1, 1, 1, 1, 0, 0, 0]), 2));
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    const texture = new Texture();
    texture.minFilter = NearestFilter;
    texture.generateMipmaps = false;
    const image = new Image();
    image.onload = () => {
      texture.image = image;
      texture.needsUpdate = true;
      this.page.stage.invalidate();
    };
    image.src = shot.thumbnail;
    const material = new ShaderMaterial({
      uniforms: { map: { value: texture } },
      side: DoubleSide,
      vertexShader: `
        varying vec2 vAt;
        void main() {
          vAt = uv;
          gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
        }`,
      fragmentShader: `
        uniform sampler2D map;
        varying vec2 vAt;
        void main() { gl_FragColor = vec4(texture2D(map, vAt).rgb, 1.0); }`,
    });
    const mesh = new Mesh(geometry, material);
    mesh.frustumCulled = false;
    return mesh;
  }
}
