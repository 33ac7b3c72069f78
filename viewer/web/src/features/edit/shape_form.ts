// A box's or a sphere's numbers.

import { el, line, numberInput, shown, three } from "./fields";
import type { Box } from "./selection";
import type { Shape } from "./shape";
import { matrixOf, type Vec3, type Vec4 } from "./sim3";

/** The turn about the vertical of a box that has no other. */
const yawOf = (box: Box): number => {
  const m = matrixOf(box.rotation_wxyz ?? [1, 0, 0, 0]);
  return Math.atan2(m[3], m[0]);
};

const turned = (yaw: number): { rotation_wxyz?: Vec4 } =>
  yaw === 0 ? {} : { rotation_wxyz: [Math.cos(yaw / 2), 0, 0, Math.sin(yaw / 2)] };

export class ShapeForm {
  readonly element: HTMLElement;
  private readonly centre: HTMLInputElement[];
  private readonly size: HTMLInputElement[];
  private readonly turn: HTMLInputElement;
  private readonly radius: HTMLInputElement;
  private readonly boxRows: HTMLElement[];
  private readonly sphereRow: HTMLElement;
  private kind: Shape["kind"] = "box";

  constructor(onChange: (shape: Shape) => void) {
    const changed = (): void => onChange(this.value);
    const centre = three("edit-centre", "Middle", changed);
    const size = three("edit-size", "Size", changed, 0);
    this.centre = centre.inputs;
    this.size = size.inputs;
    this.turn = numberInput("edit-turn", "Turn in degrees", { onInput: changed, step: 5 });
    this.radius = numberInput("edit-radius", "Radius", { onInput: changed, min: 0 });
    this.boxRows = [size.row, line("Turned by (degrees)", this.turn)];
    this.sphereRow = line("Radius", this.radius);
    this.element = el("div", "", centre.row, ...this.boxRows, this.sphereRow);
  }

  get value(): Shape {
    const centre = this.centre.map((input) => input.valueAsNumber || 0) as unknown as Vec3;
    if (this.kind === "sphere") return { kind: "sphere", centre, radius: Math.max(this.radius.valueAsNumber || 0, 1e-6) };
    const half = this.size.map((input) => Math.max(input.valueAsNumber || 0, 0) / 2) as unknown as Vec3;
    return { kind: "box", centre, half, ...turned(((this.turn.valueAsNumber || 0) * Math.PI) / 180) };
  }

  show(shape: Shape): void {
    this.kind = shape.kind;
    for (const row of this.boxRows) row.hidden = shape.kind !== "box";
    this.sphereRow.hidden = shape.kind !== "sphere";
    // A thousandth of the shape: finer numbers are noise.
    const size = shape.kind === "sphere" ? shape.radius : Math.max(...shape.half);
    const grain = 10 ** Math.floor(Math.log10(Math.max(size, 1e-9)) - 2);
    const put = (input: HTMLInputElement, value: number): void => {
      if (document.activeElement !== input) input.value = shown(value, grain);
    };
    this.centre.forEach((input, i) => put(input, shape.centre[i]!));
    if (shape.kind === "sphere") put(this.radius, shape.radius);
    else {
      this.size.forEach((input, i) => put(input, 2 * shape.half[i]!));
      this.turn.value = document.activeElement === this.turn ? this.turn.value : shown((yawOf(shape) * 180) / Math.PI, 0.1);
    }
  }
}
