"""Run by Blender as a module (`bpy`): imports a file, measures what arrived and renders it.

    python blender_look.py FILE OUT.npz PICTURE.png [AZIMUTH_DEG]

OUT.npz holds, of all visible meshes in Blender's world: `corners` (T, 3, 3) of triangles, `uvs` (T, 3, 2), the picture
of the base colour `picture` (h, w, 3) float, row 0 at the bottom, and `objects`, `cameras`, `normal_maps` as text or
numbers. PICTURE.png is a view of it all from in front, above and to the right.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector


def load(path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    name = path.name.lower()
    if name.endswith((".glb", ".gltf")):
        bpy.ops.import_scene.gltf(filepath=str(path))
    elif name.endswith(".obj"):
        bpy.ops.wm.obj_import(filepath=str(path))
    elif name.endswith(".ply"):
        bpy.ops.wm.ply_import(filepath=str(path))
    elif name.endswith(".py"):
        namespace = {"__file__": str(path), "__name__": "__main__"}
        exec(compile(path.read_text(), str(path), "exec"), namespace)
    else:
        bpy.ops.wm.usd_import(filepath=str(path))


def triangles() -> tuple[np.ndarray, np.ndarray]:
    corners, uvs = [], []
    graph = bpy.context.evaluated_depsgraph_get()
    for thing in bpy.context.scene.objects:
        if thing.type != "MESH" or thing.hide_render:
            continue
        evaluated = thing.evaluated_get(graph)
        mesh = evaluated.to_mesh()
        mesh.calc_loop_triangles()
        layer = mesh.uv_layers.active
        for triangle in mesh.loop_triangles:
            corners.append([list(thing.matrix_world @ mesh.vertices[v].co) for v in triangle.vertices])
            uvs.append([list(layer.data[i].uv) if layer else [0.0, 0.0] for i in triangle.loops])
    return np.array(corners).reshape(-1, 3, 3), np.array(uvs).reshape(-1, 3, 2)


def vertices() -> dict[str, object]:
    """Of all meshes: the box around their vertices, and the names of what vertices carry."""
    things = [t for t in bpy.context.scene.objects if t.type == "MESH"]
    points = np.array([list(t.matrix_world @ v.co) for t in things for v in t.data.vertices]).reshape(-1, 3)
    names = sorted({a.name for t in things for a in t.data.attributes})
    box = [points.min(0).tolist(), points.max(0).tolist()] if len(points) else None
    return {"count": len(points), "box": box, "attributes": names}


def pictures() -> tuple[np.ndarray, int]:
    """The picture behind the base colour of the first material that has one, and how many normal maps there are."""
    base, normal_maps = np.zeros((0, 0, 3)), 0
    for material in bpy.data.materials:
        for node in material.node_tree.nodes if material.node_tree else []:
            if node.type == "NORMAL_MAP" and node.outputs[0].is_linked:
                normal_maps += 1
            if node.type != "BSDF_PRINCIPLED" or not node.inputs["Base Color"].is_linked:
                continue
            source = node.inputs["Base Color"].links[0].from_node
            if source.type == "TEX_IMAGE" and source.image is not None:
                image = source.image
                pixels = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], -1)
                base = pixels[:, :, :3]
    return base, normal_maps


def render(corners: np.ndarray, target: Path, azimuth_deg: float) -> None:
    scene = bpy.context.scene
    points = corners.reshape(-1, 3)
    middle, size = (points.min(0) + points.max(0)) / 2, float(np.linalg.norm(np.ptp(points, axis=0)))
    angle = math.radians(azimuth_deg)
    offset = Vector((math.sin(angle), -math.cos(angle), 0.6)) * size * 1.7
    camera = bpy.data.objects.new("look", bpy.data.cameras.new("look"))
    camera.location = Vector(middle) + offset
    camera.rotation_euler = (-offset).to_track_quat("-Z", "Y").to_euler()
    camera.data.clip_end = 100 * size
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.rotation_euler = 2.0, (0.5, 0.3, 0.4)
    for thing in (camera, sun):
        scene.collection.objects.link(thing)
    scene.camera = camera
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.7, 0.8, 1.0, 1.0)
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 8, False
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 320, 240, 100
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(target)
    bpy.ops.render.render(write_still=True)


def cameras() -> list[dict[str, object]]:
    """Each camera's place, axes and lens, at the first frame and, where it moves, over all frames."""
    found = []
    scene = bpy.context.scene
    for thing in scene.objects:
        if thing.type != "CAMERA":
            continue
        moves = thing.animation_data is not None or len(thing.constraints) > 0  # USD's come as a constraint
        frames = range(scene.frame_start, scene.frame_end + 1) if moves else [scene.frame_current]
        matrices = []
        for frame in frames:
            if moves:
                scene.frame_set(frame)
            matrices.append([list(row) for row in thing.matrix_world])
        data = thing.data
        found.append(
            {
                "name": thing.name,
                "matrices": matrices,
                "angle_x": data.angle_x,
                "angle_y": data.angle_y,
                "fit": data.sensor_fit,
                "shift": [data.shift_x, data.shift_y],
                "fps": scene.render.fps / scene.render.fps_base,
            }
        )
    return found


def main() -> None:
    path, out, picture = (Path(a).resolve() for a in sys.argv[1:4])
    load(path)
    corners, uvs = triangles()
    base, normal_maps = pictures()
    names = sorted(thing.name for thing in bpy.context.scene.objects)
    facts = {"objects": names, "normal_maps": normal_maps, "cameras": cameras(), "vertices": vertices()}
    np.savez(out, corners=corners, uvs=uvs, picture=base, facts=np.array(json.dumps(facts)))
    if len(corners):
        render(corners, picture, float(sys.argv[4]) if len(sys.argv) > 4 else 35.0)


main()
