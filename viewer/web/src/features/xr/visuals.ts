// What is drawn in the room beside the scene: hands, rays, the teleport's arc and marker, the comfort vignette.
//
// Splats write no depth, so these are drawn after them and over them: a hand stays visible in a fog of splats.

import {
  BufferAttribute, BufferGeometry, ConeGeometry, DoubleSide, Group, InstancedMesh, Line, LineBasicMaterial, Matrix4, Mesh,
  MeshBasicMaterial, type Object3D, PlaneGeometry, Quaternion, RingGeometry, ShaderMaterial, SphereGeometry, Vector3,
} from "three";
import type { Flight } from "./arc";
import type { Pointer } from "./pointers";

const ACCENT = 0x7cc4ff;
const REFUSED = 0xff7a5c;
const OVER_SPLATS = 800;
const ARC_POINTS = 80;
const JOINTS = 25;

const overlay = (color: number, opacity = 1): MeshBasicMaterial =>
  new MeshBasicMaterial({ color, transparent: true, opacity, depthTest: false, side: DoubleSide, toneMapped: false });

const onTop = <T extends Object3D>(object: T, order = OVER_SPLATS): T => {
  object.renderOrder = order;
  object.frustumCulled = false;
  return object;
};

function dispose(root: Object3D): void {
  root.removeFromParent();
  root.traverse((object) => {
    if (!(object instanceof Mesh || object instanceof Line)) return;
    object.geometry.dispose();
    for (const material of [object.material].flat()) material.dispose();
    if (object instanceof InstancedMesh) object.dispose();
  });
}

/** A polyline whose points change every frame. */
class Polyline {
  readonly line: Line<BufferGeometry, LineBasicMaterial>;

  constructor(capacity: number) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(capacity * 3), 3));
    const material = new LineBasicMaterial({ color: ACCENT, transparent: true, depthTest: false, toneMapped: false });
    this.line = onTop(new Line(geometry, material));
    this.line.visible = false;
  }

  show(points: readonly Vector3[], color: number): void {
    const position = this.line.geometry.getAttribute("position") as BufferAttribute;
    const count = Math.min(points.length, position.count);
    for (let i = 0; i < count; i++) position.setXYZ(i, points[i]!.x, points[i]!.y, points[i]!.z);
    position.needsUpdate = true;
    this.line.geometry.setDrawRange(0, count);
    this.line.material.color.set(color);
    this.line.visible = count > 1;
  }
}

/** One person's hand: a slim pointer or a tracked hand's joints, and its ray. */
class HandVisual {
  readonly root = new Group();
  private readonly stick = onTop(new Mesh(new ConeGeometry(0.007, 0.09, 12).rotateX(-Math.PI / 2), overlay(0xdfe6ee)));
  private readonly joints = onTop(new InstancedMesh(new SphereGeometry(0.006, 8, 6), overlay(0xdfe6ee), JOINTS));
  private readonly ray = new Polyline(2);

  constructor() {
    this.root.add(this.stick, this.joints, this.ray.line);
  }

  update(pointer: Pointer, rayLength: number | null): void {
    this.stick.visible = pointer.kind === "controller";
    this.stick.position.copy(pointer.place);
    this.stick.quaternion.setFromUnitVectors(new Vector3(0, 0, -1), pointer.direction);
    this.joints.visible = pointer.joints !== null;
    if (pointer.joints !== null) {
      const matrix = new Matrix4();
      for (let i = 0; i < JOINTS; i++) {
        this.joints.setMatrixAt(i, matrix.makeTranslation(new Vector3().fromArray(pointer.joints, i * 3)));
      }
      this.joints.instanceMatrix.needsUpdate = true;
    }
    this.ray.line.visible = false;
    if (rayLength === null || pointer.kind === "screen") return;
    const end = pointer.origin.clone().addScaledVector(pointer.direction, rayLength);
    this.ray.show([pointer.origin, end], ACCENT);
  }
}

/** Everything drawn in the room. */
export class Visuals {
  readonly root = new Group();
  private readonly hands = new Map<XRInputSource, HandVisual>();
  private readonly arc = new Polyline(ARC_POINTS);
  private readonly marker = new Group();
  private readonly markerMaterial = overlay(ACCENT, 0.85);
  private readonly reticle = onTop(new Mesh(new RingGeometry(0.07, 0.085, 40).rotateX(-Math.PI / 2), overlay(ACCENT, 0.9)));

  constructor() {
    const ring = onTop(new Mesh(new RingGeometry(0.17, 0.2, 48).rotateX(-Math.PI / 2), this.markerMaterial));
    const dot = onTop(new Mesh(new RingGeometry(0, 0.04, 24).rotateX(-Math.PI / 2), this.markerMaterial));
    this.marker.add(ring, dot);
    this.root.add(this.arc.line, this.marker, this.reticle);
    this.showArc(null, null);
    this.showReticle(null);
  }

  /** `rays` gives the length of a pointer's ray where it points at something to press or take. */
  showHands(pointers: readonly Pointer[], rays: ReadonlyMap<XRInputSource, number>): void {
    for (const [source, hand] of this.hands) {
      if (pointers.some((p) => p.source === source)) continue;
      dispose(hand.root);
      this.hands.delete(source);
    }
    for (const pointer of pointers) {
      let hand = this.hands.get(pointer.source);
      if (hand === undefined) {
        hand = new HandVisual();
        this.hands.set(pointer.source, hand);
        this.root.add(hand.root);
      }
      hand.update(pointer, rays.get(pointer.source) ?? null);
    }
  }

  /** `landing` is the end of the flight in the room. */
  showArc(flight: Flight | null, landing: Vector3 | null): void {
    this.arc.line.visible = false;
    this.marker.visible = false;
    if (flight === null) return;
    const color = flight.standable ? ACCENT : REFUSED;
    this.arc.show(flight.points, color);
    if (landing === null || flight.hit === null) return;
    this.marker.visible = true;
    this.marker.position.copy(landing);
    this.marker.quaternion.copy(new Quaternion().setFromUnitVectors(new Vector3(0, 1, 0), flight.hit.normal));
    this.markerMaterial.color.set(color);
  }

  /** Where the room's own surface is hit, in AR: a pose's matrix in the room. */
  showReticle(matrix: Matrix4 | null): void {
    this.reticle.visible = matrix !== null;
    if (matrix === null) return;
    matrix.decompose(this.reticle.position, this.reticle.quaternion, this.reticle.scale);
  }

  dispose(): void {
    for (const hand of this.hands.values()) dispose(hand.root);
    this.hands.clear();
    dispose(this.root);
  }
}

/** Seconds in which the vignette closes and opens. */
const VIGNETTE_SECONDS = 0.15;

/** Darkens the edge of the view while the person is moved: what moves at the edge of the eye makes sick. */
export class Vignette {
  readonly mesh: Mesh<PlaneGeometry, ShaderMaterial>;
  private strength = 0;

  constructor() {
    const material = new ShaderMaterial({
      uniforms: { strength: { value: 0 } },
      // Straight onto the screen, about the point that the eye looks at when it looks ahead.
      vertexShader: `
        varying vec2 vAngle;
        void main() {
          vAngle = (position.xy + vec2(projectionMatrix[2][0], projectionMatrix[2][1])) /
            vec2(projectionMatrix[0][0], projectionMatrix[1][1]);
          gl_Position = vec4(position.xy, 0.0, 1.0);
        }`,
      fragmentShader: `
        uniform float strength;
        varying vec2 vAngle;
        void main() {
          gl_FragColor = vec4(0.0, 0.0, 0.0, strength * smoothstep(0.35, 0.75, length(vAngle)));
        }`,
      transparent: true,
      depthTest: false,
      depthWrite: false,
    });
    this.mesh = onTop(new Mesh(new PlaneGeometry(2, 2), material), OVER_SPLATS - 1);
    this.mesh.visible = false;
  }

  step(moving: boolean, seconds: number): void {
    const change = seconds / VIGNETTE_SECONDS;
    this.strength = Math.min(1, Math.max(0, this.strength + (moving ? change : -change)));
    this.mesh.visible = this.strength > 0;
    this.mesh.material.uniforms.strength!.value = this.strength;
  }

  dispose(): void {
    dispose(this.mesh);
  }
}
