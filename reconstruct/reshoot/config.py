"""How weak places are found and where photos are proposed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReshootConfig:
    """What may be spent, and what is good enough.

    proposals: at most this many photos are proposed; fewer where another one would add little (`min_gain`).
    cameras: of more photos than this an even choice is looked through: memory grows with their number.
    depth_px: longer side of the depth pictures drawn of every capture camera.
    sphere_px: width of the panoramas drawn at candidate places.
    grid_cells: of the grid that surfaces are gathered in.
    places: about this many standing positions are tried.
    photos: whether photos are compared with renderings, for confidence.
    enough_views: good views of a surface: two make a depth, the third checks it.
    enough_angle_deg: rays that cross under this fix a place as well as the pixels allow.
    weak_angle_deg: below it a surface counts as seen from one direction, see `Thresholds.angle_usable_deg`.
    glancing_deg: a surface seen at no more upright than this, from its normal, counts as glanced at.
    far_ratio: a surface that is drawn with less than this share of the usual pixels per unit counts as too far.
    min_confidence: below it a surface counts as uncertain.
    reach: how far from a capture camera places are tried, in distances to the subject.
    min_gain: the least that a proposal adds, as a share of what the first adds.
    """

    proposals: int = 6
    cameras: int = 400
    depth_px: int = 192
    sphere_px: int = 128
    grid_cells: int = 300_000
    places: int = 400
    photos: bool = True
    enough_views: float = 3.0
    enough_angle_deg: float = 20.0
    weak_angle_deg: float = 4.0
    glancing_deg: float = 70.0
    far_ratio: float = 0.33
    min_confidence: float = 0.35
    reach: float = 1.5
    min_gain: float = 0.1
