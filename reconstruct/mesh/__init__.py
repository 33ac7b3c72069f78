"""Surfaces of scenes: triangle meshes with textures, levels of detail and a collider.

    result = make_mesh(scene, MeshConfig(faces=20_000), splats=splats)
    write_mesh(result.asset, Path("thing.glb"), "glb")

From depth pictures (of splats, or depth maps): which of them agree (consistency), fusion (tsdf, marching; or poisson),
cleaning (clean, holes), fewer faces (decimate), charts (atlas), photos onto it (photos, agreement, seams, bake).
"""

from .build import MeshResult, make_mesh, summary_of
from .config import CleanConfig, FusionConfig, MeshConfig, TextureConfig

__all__ = ["CleanConfig", "FusionConfig", "MeshConfig", "MeshResult", "TextureConfig", "make_mesh", "summary_of"]
