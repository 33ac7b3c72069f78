// The path and its keyframes as a line in the scene.

import { BufferAttribute, BufferGeometry, LineBasicMaterial, LineSegments } from "three";
import type { Page } from "../../page";
import { matrixOf, plus, rotate, times, transposed, type Vec3 } from "../edit/sim3";
import { centreOf, type Keyframe, placeAt } from "./spline";

const SAMPLES = 160;

export class PathLine {
  private readonly line: LineSegments;

  constructor(private readonly page: Page) {
    this.line = new LineSegments(new BufferGeometry(), new LineBasicMaterial({ color: 0xffb454, depthTest: false, transparent: true }));
    this.line.frustumCulled = false;
    this.line.renderOrder = 10;
    page.stage.add(this.line);
  }

  show(keys: readonly Keyframe[], visible: boolean): void {
    this.line.visible = visible && keys.length > 0;
    const points: Vec3[] = [];
    if (keys.length > 1) {
      const [first, last] = [keys[0]!.time_s, keys.at(-1)!.time_s];
      const along = Array.from({ length: SAMPLES + 1 }, (_, i) => centreOf(placeAt(keys, first + ((last - first) * i) / SAMPLES)));
      for (let i = 0; i < SAMPLES; i++) points.push(along[i]!, along[i + 1]!);
    }
    const size = this.page.radius * 0.05;
    for (const key of keys) {
      const eye = centreOf(key);
      const axes = transposed(matrixOf(key.quaternion_wxyz));
      const corner = (x: number, y: number): Vec3 => plus(eye, times(rotate(axes, [x, y, 1.4]), size));
      const corners = [corner(-1, -0.6), corner(1, -0.6), corner(1, 0.6), corner(-1, 0.6)];
      corners.forEach((c, i) => points.push(eye, c, c, corners[(i + 1) % 4]!));
    }
    this.line.geometry.setAttribute("position", new BufferAttribute(new Float32Array(points.flat()), 3));
    this.page.stage.invalidate();
  }
}
