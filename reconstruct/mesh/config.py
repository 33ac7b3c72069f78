"""How a surface is made: one frozen dataclass, its parts as nested ones."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from diorama.capture.errors import InputError

Source = Literal["auto", "splats", "depth", "both"]
Method = Literal["tsdf", "poisson"]
Ground = Literal["keep", "cut"]
Collider = Literal["parts", "hull", "none"]

MAX_FACES = 2_000_000
MAX_TEXTURE_PX = 8_192


@dataclass(frozen=True)
class FusionConfig:
    """From depth to a surface.

    depth_px: longer side of the depth pictures that are drawn of splats or taken from maps.
    views: at most so many pictures, spread evenly over the capture.
    min_confidence: depth of less is not used. agree: of `neighbours` pictures that look at the same place so many
        must see a pixel's depth too; a place that more of them look through is a floater. asked: what none of these
        see is looked for in the next best pictures, up to so many in all: rims are in few pictures. tolerance:
        (least, most) of the depth that they may differ by; between, it is `tolerance_factor` times what they usually
        do.
    voxel: its side in world units; None for that of a pixel at the object, see `voxel_size`.
    voxel_factor: of that size. splat_voxels: it is at least so many times the usual longest standard deviation of
        splats, whose depth is bumpy at their own size, in all views alike. noise_voxels: it is at least so many times
        what views usually differ by at one place. max_voxels: no more than about so many hold the surface, which bounds
        the voxel from below and memory from above (about 40 bytes a voxel).
    truncation: how far from a surface distances are kept, in voxels.
    fill_voxels: unknown voxels this far from known ones take their neighbours' mean (Davis et al. 2002), which closes
        pinholes.
    smooth: steps of Taubin's smoothing, which takes noise and leaves volume.
    poisson_depth: of the octree of `method="poisson"`.
    """

    depth_px: int = 640
    views: int = 150
    min_confidence: float = 0.3
    agree: int = 1
    neighbours: int = 6
    asked: int = 16
    tolerance: tuple[float, float] = (0.01, 0.04)
    tolerance_factor: float = 8.0
    voxel: float | None = None
    voxel_factor: float = 1.5
    splat_voxels: float = 1.2
    noise_voxels: float = 1.5
    max_voxels: int = 6_000_000
    truncation: float = 4.0
    fill_voxels: int = 2
    smooth: int = 10
    poisson_depth: int = 9


@dataclass(frozen=True)
class CleanConfig:
    """What is taken away and filled.

    min_part: parts of the surface with less than this share of the largest one's area go.
    fill_holes: holes whose rim is at most this share of the surface's size (its box's diagonal) are filled.
    close: every hole is, so that the surface encloses a volume.
    """

    min_part: float = 0.02
    fill_holes: float = 0.25
    close: bool = False


@dataclass(frozen=True)
class TextureConfig:
    """The picture on the surface.

    size_px: of a side; 0 for vertex colours instead. photo_px: longer side of the photos that it is made of.
    normal_map: what decimation took away, as normals.
    exposure: photos that were metered differently are brought to one exposure, a factor per channel.
    level_seams: what colours still differ by where the texture changes from one photo to another is spread out.
    """

    size_px: int = 2_048
    photo_px: int = 1_600
    normal_map: bool = True
    exposure: bool = True
    level_seams: bool = True


@dataclass(frozen=True)
class MeshConfig:
    """Everything that decides what comes out.

    source: splats, depth maps, or both: depth maps, and splats where these know nothing; auto takes depth maps where
        there are any for half of the frames, with splats where many of their pixels are unsure, else splats.
    crop: `scene` (all that was seen well), `region` (what the capture is about), or a box `x0,y0,z0,x1,y1,z1` in world
        coordinates. ground: cut takes the floor away and caps what stood on it.
    faces: of the finest mesh. lods: how many meshes in all, each with a quarter of the faces of the one before.
    collider: convex parts, one convex hull, or none. collider_parts: at most so many.
    """

    source: Source = "auto"
    method: Method = "tsdf"
    crop: str = "scene"
    ground: Ground = "keep"
    faces: int = 50_000
    lods: int = 3
    collider: Collider = "parts"
    collider_parts: int = 16
    fusion: FusionConfig = field(default_factory=FusionConfig)
    clean: CleanConfig = field(default_factory=CleanConfig)
    texture: TextureConfig = field(default_factory=TextureConfig)

    def __post_init__(self) -> None:
        """Raises InputError when a value cannot be used."""
        voxel, texture = self.fusion.voxel, self.texture.size_px
        bounds = {
            "source": (self.source in get_args(Source), "auto, splats, depth or both"),
            "method": (self.method in get_args(Method), "tsdf or poisson"),
            "ground": (self.ground in get_args(Ground), "keep or cut"),
            "collider": (self.collider in get_args(Collider), "parts, hull or none"),
            "faces": (20 <= self.faces <= MAX_FACES, f"20 to {MAX_FACES:,}"),
            "lods": (1 <= self.lods <= 8, "1 to 8"),
            "collider_parts": (1 <= self.collider_parts <= 256, "1 to 256"),
            "texture.size_px": (
                texture == 0 or 64 <= texture <= MAX_TEXTURE_PX,
                f"0 for none, or 64 to {MAX_TEXTURE_PX}",
            ),
            "texture.photo_px": (self.texture.photo_px >= 16, "at least 16"),
            "fusion.voxel": (voxel is None or 0 < voxel < math.inf, "above 0"),
            "fusion.depth_px": (self.fusion.depth_px >= 16, "at least 16"),
            "fusion.views": (self.fusion.views >= 1, "at least 1"),
            "fusion.poisson_depth": (4 <= self.fusion.poisson_depth <= 12, "4 to 12"),
            "crop": (self.crop in ("scene", "region") or self.box is not None, "scene, region or x0,y0,z0,x1,y1,z1"),
        }
        for name, (right, wanted) in bounds.items():
            if not right:
                value = operator.attrgetter(name)(self)
                raise InputError(f"A mesh cannot be made with {name} = {value!r}; it must be {wanted}.")

    @property
    def box(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """The corners of a box given as `crop`, lowest first; None where it is none."""
        try:
            numbers = [float(part) for part in re.split(r"[,\s]+", self.crop.strip())]
        except ValueError:
            return None
        if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
            return None
        low, high = zip(*(sorted(pair) for pair in zip(numbers[:3], numbers[3:], strict=True)), strict=True)
        return (low, high) if all(b > a for a, b in zip(low, high, strict=True)) else None
