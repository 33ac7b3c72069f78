// The scene's collider: the triangles of a GLB, without textures, levels or anything else.

import { Matrix4, Quaternion, Vector3 } from "three";
import { fetchBeside, PageError } from "./errors";

const MAGIC = 0x46546c67; // "glTF"
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;
const FLOAT = 5126;
const TRIANGLES = 4;
/** More would stall the page for seconds; a collider is meant to be coarse. */
const MAX_TRIANGLES = 2_000_000;
const MAX_DEPTH = 32;

type Json = Record<string, unknown>;


interface Gltf {
  readonly json: { scene?: number; scenes?: Json[]; nodes?: Json[]; meshes?: Json[]; accessors?: Json[]; bufferViews?: Json[] };
  readonly binary: DataView;
}

const damaged = (why: string): PageError =>
  new PageError("The scene's collider cannot be read", `The file ${why}. Make the mesh again, then open the scene again.`);

/** Corner triples in three's world: nine numbers a triangle. glTF has +y up, as three has. */
export async function loadCollider(url: string): Promise<Float32Array> {
  const response = await fetchBeside(url, "The scene's collider");
  return trianglesOf(await response.arrayBuffer());
}

export function trianglesOf(data: ArrayBuffer): Float32Array {
  try {
    const gltf = parts(data);
    const roots = (gltf.json.scenes?.[gltf.json.scene ?? 0]?.nodes ?? []) as number[];
    const found: Float32Array[] = [];
    for (const root of roots) collect(gltf, root, new Matrix4(), found, 0);
    const total = found.reduce((sum, part) => sum + part.length, 0);
    if (total > MAX_TRIANGLES * 9) throw damaged(`has more than ${MAX_TRIANGLES.toLocaleString("en")} triangles`);
    const all = new Float32Array(total);
    let o = 0;
    for (const part of found) {
      all.set(part, o);
      o += part.length;
    }
    if (!all.every(Number.isFinite)) throw damaged("holds numbers that are none");
    return all;
  } catch (error) {
    if (error instanceof PageError) throw error;
    throw damaged("is damaged or no GLB");
  }
}

function parts(data: ArrayBuffer): Gltf {
  const view = new DataView(data);
  if (view.getUint32(0, true) !== MAGIC) throw damaged("is no GLB");
  let json: Gltf["json"] | null = null;
  let binary = new DataView(new ArrayBuffer(0));
  for (let o = 12; o + 8 <= data.byteLength; ) {
    const length = view.getUint32(o, true);
    const kind = view.getUint32(o + 4, true);
    if (kind === JSON_CHUNK) json = JSON.parse(new TextDecoder().decode(new Uint8Array(data, o + 8, length))) as Gltf["json"];
    if (kind === BINARY_CHUNK) binary = new DataView(data, o + 8, length);
    o += 8 + length;
  }
  if (json === null) throw damaged("has no description");
  return { json, binary };
}

function collect(gltf: Gltf, index: number, parent: Matrix4, found: Float32Array[], depth: number): void {
  const node = gltf.json.nodes?.[index];
  if (node === undefined || depth > MAX_DEPTH) throw damaged("has broken nodes");
  const matrix = parent.clone().multiply(placeOf(node));
  const mesh = typeof node.mesh === "number" ? gltf.json.meshes?.[node.mesh] : undefined;
  for (const primitive of (mesh?.primitives ?? []) as Json[]) {
    if ((primitive.mode ?? TRIANGLES) === TRIANGLES) found.push(corners(gltf, primitive, matrix));
  }
  for (const child of (node.children ?? []) as number[]) collect(gltf, child, matrix, found, depth + 1);
}

function placeOf(node: Json): Matrix4 {
  if (node.matrix !== undefined) return new Matrix4().fromArray(node.matrix as number[]);
  const t = (node.translation ?? [0, 0, 0]) as number[];
  const r = (node.rotation ?? [0, 0, 0, 1]) as number[];
  const s = (node.scale ?? [1, 1, 1]) as number[];
  return new Matrix4().compose(new Vector3().fromArray(t), new Quaternion().fromArray(r), new Vector3().fromArray(s));
}

function corners(gltf: Gltf, primitive: Json, matrix: Matrix4): Float32Array {
  const positions = floats(gltf, (primitive.attributes as Record<string, number>).POSITION!);
  const count = positions.length / 3;
  const indices = typeof primitive.indices === "number" ? words(gltf, primitive.indices) : null;
  const length = Math.floor((indices?.length ?? count) / 3) * 3;
  if (length > MAX_TRIANGLES * 3) throw damaged(`has more than ${MAX_TRIANGLES.toLocaleString("en")} triangles`);
  const out = new Float32Array(length * 3);
  const point = new Vector3();
  for (let i = 0; i < length; i++) {
    const n = indices === null ? i : indices[i]!;
    if (n >= count) throw damaged("points at corners that are not there");
    point.fromArray(positions, n * 3).applyMatrix4(matrix).toArray(out, i * 3);
  }
  return out;
}

function bytes(gltf: Gltf, index: number, size: number, parts: number): { view: DataView; stride: number; count: number; type: number } {
  const accessor = gltf.json.accessors![index]!;
  const place = gltf.json.bufferViews![accessor.bufferView as number]!;
  const from = ((place.byteOffset as number) ?? 0) + ((accessor.byteOffset as number) ?? 0);
  const stride = (place.byteStride as number) ?? size * parts;
  const count = accessor.count as number;
  const length = count === 0 ? 0 : (count - 1) * stride + size * parts;
  return { view: new DataView(gltf.binary.buffer, gltf.binary.byteOffset + from, length), stride, count, type: accessor.componentType as number };
}

function floats(gltf: Gltf, index: number): Float32Array {
  const { view, stride, count, type } = bytes(gltf, index, 4, 3);
  if (type !== FLOAT) throw damaged("has packed corners");
  const out = new Float32Array(count * 3);
  for (let i = 0; i < count; i++) for (let k = 0; k < 3; k++) out[i * 3 + k] = view.getFloat32(i * stride + k * 4, true);
  return out;
}

function words(gltf: Gltf, index: number): Uint32Array {
  const size = { 5121: 1, 5123: 2, 5125: 4 }[gltf.json.accessors![index]!.componentType as number];
  if (size === undefined) throw damaged("has indices of an unknown kind");
  const { view, stride, count } = bytes(gltf, index, size, 1);
  const out = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    out[i] = size === 1 ? view.getUint8(i * stride) : size === 2 ? view.getUint16(i * stride, true) : view.getUint32(i * stride, true);
  }
  return out;
}
