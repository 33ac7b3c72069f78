"""Camera poses from pictures: COLMAP in a child process, a gate on its results, and a world that stands upright."""

from .config import PoseConfig
from .estimate import estimate_poses
from .world import rescale, upright

__all__ = ["PoseConfig", "estimate_poses", "rescale", "upright"]
