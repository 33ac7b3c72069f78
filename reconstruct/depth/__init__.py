"""Depth of photos whose cameras are known.

    estimator = MultiViewStereo(MvsConfig(max_size_px=640))
    for name, map_ in estimator.estimate(scene):
        save_depth_map(folder / "depth", name, map_)
    maps = load_depth_maps(folder)          # lazily, by frame name
    agreed = dict(filter_consistent(scene, maps))

`DepthEstimator` is what all estimators can do; `DepthMap` (diorama.capture.depth) what they give.
"""

from diorama.capture.depth import DepthMap

from .estimator import DepthEstimator
from .filtering import filter_consistent
from .matching import MvsConfig
from .mvs import MultiViewStereo
from .resample import depth_in_view
from .store import DepthMaps, depth_path, load_depth_maps, save_depth_map

__all__ = [
    "DepthEstimator",
    "DepthMap",
    "DepthMaps",
    "MultiViewStereo",
    "MvsConfig",
    "depth_in_view",
    "depth_path",
    "filter_consistent",
    "load_depth_maps",
    "save_depth_map",
]
