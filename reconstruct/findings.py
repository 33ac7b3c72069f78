"""What a check can find, and where good ends and reshoot begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "usable", "reshoot"]


@dataclass(frozen=True)
class Thresholds:
    """Where good ends and reshoot begins, with the reasons."""

    min_frames: int = 3
    """Two views cannot be checked against a third."""

    few_frames: int = 10
    """Below this every surface hangs on two or three photos; published sparse-view results need priors."""

    registered_usable: float = 0.95
    """A few lost frames of many cost nothing; one in twenty is where people start to see a hole."""

    registered_reshoot: float = 0.6
    """When two of five frames were not placed, a whole part of the path is usually missing."""

    reprojection_usable_px: float = 1.2
    """At 1600 px on the longer side; healthy COLMAP models lie at 0.4 to 1.0."""

    reprojection_reshoot_px: float = 3.0
    """Beyond COLMAP's outlier bound of 4 px little would be left: poses near it are wrong or the scene moved."""

    angle_usable_deg: float = 5.0
    """Depth error grows as 1 / angle: at 5 degrees one pixel at 1000 px focal length is about 1 % of the distance."""

    angle_reshoot_deg: float = 1.5
    """COLMAP drops points below 1.5 degrees."""

    pair_share: float = 0.7
    """Points seen by two cameras only cannot expose a wrong match; healthy captures have a third to a half."""

    step_deg: float = 35.0
    """SIFT matches fade beyond about 30 degrees of change in view."""

    gap_factor: float = 2.5
    """A step is a gap when it is also this many times the usual step: evenly sparse rings are judged otherwise."""

    gap_reshoot_deg: float = 110.0
    """More than this and a flat side seen square-on by nobody is seen only at under 35 degrees."""

    region_cameras: float = 3.0
    """Two views make a depth, the third checks it."""

    region_angle_deg: float = 4.0
    """As `angle_usable_deg`, a little milder because one region is not the scene."""

    region_share_usable: float = 0.15
    """More of the scene than this in weak regions is visible to everybody who walks through."""

    held_out_good_db: float = 23.0
    """3D Gaussian splatting averages 23.7 dB on Tanks and Temples and 27.2 on Mip-NeRF 360, which people call good."""

    held_out_fine_db: float = 27.0
    """The mean on Mip-NeRF 360: from here on a gap to the training photos is no reason to go back."""

    held_out_reshoot_db: float = 17.0
    """Below, structure itself differs from the photo, whatever the texture."""

    ssim_good: float = 0.8
    """PSNR runs high on smooth scenes and low on grainy ones whatever their shape: structure counts too."""

    gap_db: float = 4.0
    """Dense captures show 1 to 3 dB between trained and held-out views; more means memorised, not reconstructed."""

    view_drop_db: float = 4.0
    """A held-out view this far under the median is a weak place, not chance."""

    colour_gain_db: float = 2.0
    """When a colour map per view gains this much, exposure or white balance changed between photos."""

    blurred: float = 0.6
    """Relative sharpness below which a frame is blurred for its place (see `Quality`)."""

    blurred_share: float = 0.15
    """A few blurred frames hide among the sharp; one in seven shows."""

    clipped: float = 0.2
    """More than a fifth of a picture at an end of the range carries no texture (a sky may)."""

    clipped_share: float = 0.34
    """In a third of the frames: not one lamp, but the exposure."""

    overlap: float = 0.3
    """Photogrammetry asks for 60 to 80 % between neighbours; below a third matching hangs on luck."""

    empty: float = 0.1
    """A held-out view with this much see-through area looks into a hole."""


@dataclass(frozen=True)
class Finding:
    """One thing worth saying: what and where, what to do, which frames, and where in the world."""

    severity: Severity
    code: str
    what: str
    do: str = ""
    frames: tuple[str, ...] = ()
    place_in_world: tuple[float, float, float] | None = None
