"""What a lens costs: one synthetic place, photographed by different cameras from the same positions with known poses.

    python bench/lenses.py [--place terrace] [--width 64] [--steps 2000] [--views 24] [--splats 20000] [--classic]
        [--only equirectangular] [--rates 1] [--first-points lens] [--rig-size 1]

Cameras: a pinhole; the same with strong distortion (OPENCV); a fisheye of 180 degrees across, 254 to its corners; an
equirectangular one. All have the pinhole's resolution in their middle, pixels per radian. Each model trains on its own
original pictures and is held against the place itself at positions between, which no training saw.

A fisheye and a panorama show 7 and 12 times as much of the place as the pinhole, so the model of a pinhole's field of
view alone is no measure of what the lens costs. That is measured against a rig: pinholes of 90 degrees at the same
positions, looking along the axes of the camera, masked to what the lens sees, with as many pixels per radian in their
middle. Rig and lens have the same first points, splats and steps, and what a step sees of the place has the same size:
one picture of the lens, or as many of the rig as see as much, with step sizes as for one. Two comparisons, in each of
which the lens may lose 0.3 dB at most:

- `own pictures`: the model through its own lens, against the rig's model through the rig, over the whole field of
  view, pixels weighed by their solid angle.
- `pinhole views`: both models in the same ordinary pinhole pictures.

For the OPENCV camera the pinhole is the rig, and what both see counts. `against the pinhole` is the strict comparison:
pinhole views of a model that spends its splats on the whole field of view, less those of one that spends as many on
what the views show. `straight` is the OPENCV camera's photos straightened first, as lens="straight" does.

`--rates 2.4 --steps 1500 --first-points rig` is the harder setting: so many times the preset's step sizes, which are
small for so few steps, so that training goes further; and the first points that the rig's pictures show.

For panoramas the poles are looked at too: both models in the same ordinary pinhole pictures turned into all directions
(`all round`), by the latitude of the pixels. Own pictures are also told apart by latitude, but do not compare there: a
panorama's pixel near a pole is a sliver, which shows finer detail of the place than a rig's pixel does. Corners of a
rig's pictures are finer than their middle, so that in all it has twice as many pixels per solid angle as a panorama;
with `--rig-size 0.7` it has as many.

All train with `antialiased`, unless --classic: 3DGS's low-pass thickens splats by a part of a pixel of the pictures
trained on, so models fit pictures of that sampling only, and where two lenses sample one thing differently that is
measured instead of the lens.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import PosedScene
from diorama.kernels import simd_level, thread_count
from diorama.reconstruct.train import PRESETS, McmcConfig, TrainConfig, train_splats
from diorama.render.rasterize import rasterize
from diorama.render.splats import Splats
from diorama.render.synthetic import SyntheticScene, orbit_cameras, phone_camera, posed_scene, synthetic_scene

TARGET_DB = 0.3
SAMPLES = 4
LATITUDES = (-90, -75, -60, -45, 45, 60, 75, 90)
"""Borders of the bands that a panorama's errors are told apart by: degrees, up is negative."""
Array = npt.NDArray[np.float64]


def lenses(pinhole: Camera) -> dict[str, Camera]:
    """Cameras with the pinhole's pixels per radian in the middle."""
    width, height, focal = pinhole.width_px, pinhole.height_px, pinhole.fx
    around = 2 * round(math.pi * focal)
    circle = around // 2
    fisheye = (focal, focal, circle / 2, circle / 2, 0.0, 0.0, 0.0, 0.0)
    distorted = (focal, focal, width / 2, height / 2, -0.2, 0.03, 0.002, -0.001)
    return {
        "pinhole": pinhole,
        "opencv": Camera("OPENCV", width, height, distorted),
        "fisheye": Camera("OPENCV_FISHEYE", circle, circle, fisheye),
        "equirectangular": Camera.equirectangular(around, around // 2),
    }


@dataclass(frozen=True, eq=False)
class Picture:
    """One of the pictures that a rig takes at a time: its camera, where it looks, its pixels' weights (H, W)."""

    camera: Camera
    camera_from_rig: Array
    weights: Array

    @property
    def mask(self) -> npt.NDArray[np.uint8]:
        return np.where(self.weights > 0, 255, 0).astype(np.uint8)


def single(camera: Camera, within: Camera | None = None) -> tuple[Picture, ...]:
    """The camera's own picture; only what `within` sees too counts in scores."""
    weights = solid_angles(camera)
    if within is not None:
        weights = np.where(seen_by(within, rays_of(camera)), weights, 0.0)
    return (Picture(camera, np.eye(3), weights),)


def rig(lens: Camera, size: float = 1.0) -> tuple[Picture, ...]:
    """Faces of a cube around the camera, those in which the lens sees something: `size` times the lens's pixels per
    radian in their middle."""
    half = math.ceil(size * lens.fx)
    face = Camera.pinhole(2 * half, 2 * half, half, half, half, half)
    pictures = []
    for rotation in faces():
        seen = seen_by(lens, rays_of(face) @ rotation)
        if seen.mean() > 0.02:
            pictures.append(Picture(face, rotation, np.where(seen, solid_angles(face), 0.0)))
    return tuple(pictures)


def turned_all_round(camera: Camera) -> tuple[Picture, ...]:
    """Pictures of one camera that looks up, down, and around at four heights."""
    pictures = []
    for pitch in (-90, -55, -20, 20, 55, 90):
        for turn in range(4 if abs(pitch) < 90 else 1):
            azimuth, latitude = math.radians(90 * turn + (45 if abs(pitch) == 55 else 0)), math.radians(pitch)
            level = math.cos(latitude)
            ahead = np.array([level * math.sin(azimuth), math.sin(latitude), level * math.cos(azimuth)])
            right = np.array([math.cos(azimuth), 0.0, -math.sin(azimuth)])
            pictures.append(Picture(camera, np.stack([right, np.cross(ahead, right), ahead]), solid_angles(camera)))
    return tuple(pictures)


def seen_by(lens: Camera, rays: Array) -> npt.NDArray[np.bool_]:
    there = lens.project(rays)
    with np.errstate(invalid="ignore"):
        seen: npt.NDArray[np.bool_] = ((there >= 0) & (there <= [lens.width_px, lens.height_px])).all(-1)
    return seen


def faces() -> list[Array]:
    """Rotations to cameras that look ahead, to the four sides and back."""
    ahead, right, down = np.eye(3)[2], np.eye(3)[0], np.eye(3)[1]
    around = [(right, down, ahead), (-ahead, down, right), (-right, down, -ahead), (ahead, down, -right)]
    return [np.stack(axes) for axes in [*around, (right, ahead, -down), (right, -ahead, down)]]


def rays_of(camera: Camera, x_px: float = 0.5, y_px: float = 0.5) -> Array:
    y, x = np.mgrid[: camera.height_px, : camera.width_px]
    return camera.rays(np.stack([x + x_px, y + y_px], axis=-1))


def solid_angles(camera: Camera) -> Array:
    """Of every pixel, steradians (H, W)."""
    across, down = (rays_of(camera, 1.0, 0.5) - rays_of(camera, 0.0, 0.5)), rays_of(camera, 0.5, 1.0)
    return np.linalg.norm(np.cross(across, down - rays_of(camera, 0.5, 0.0)), axis=-1)


def turned(picture: Picture, pose: Pose) -> Pose:
    return Pose(picture.camera_from_rig @ pose.rotation, picture.camera_from_rig @ pose.translation)


def score(place: SyntheticScene, splats: Splats, pictures: Sequence[Picture], poses: Sequence[Pose]) -> Array:
    """Mean PSNR over poses of all that a rig sees, then of each band of `LATITUDES`; NaN where it sees none of one."""
    values = []
    for pose in poses:
        error, total = np.zeros(len(LATITUDES) - 1), np.zeros(len(LATITUDES) - 1)
        for picture in pictures:
            truth = place.render(picture.camera, turned(picture, pose), SAMPLES)[0].astype(np.float32) / 255
            drawn = rasterize(splats, picture.camera, turned(picture, pose), backend="cpu").rgb
            squared = ((np.clip(drawn, 0, 1) - truth) ** 2).mean(-1)
            down = np.nan_to_num((rays_of(picture.camera) @ picture.camera_from_rig)[..., 1])
            bins = np.radians(LATITUDES)
            error += np.histogram(np.arcsin(np.clip(down, -1, 1)), bins, weights=squared * picture.weights)[0]
            total += np.histogram(np.arcsin(np.clip(down, -1, 1)), bins, weights=picture.weights)[0]
        with np.errstate(invalid="ignore"):
            values.append(-10 * np.log10(np.append(error.sum() / total.sum(), error / total)))
    mean: Array = np.mean(values, axis=0)
    return mean


def photographed(place: SyntheticScene, pictures: Sequence[Picture], stand: Sequence[Pose], folder: Path) -> PosedScene:
    """Photos of a rig at every pose, with masks where it sees more than is wanted."""
    import PIL.Image

    poses = [turned(picture, pose) for pose in stand for picture in pictures]
    scene = posed_scene(place, pictures[0].camera, poses, folder, samples=SAMPLES)
    if len(pictures) == 1:
        return scene
    scene.capture.masks.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        PIL.Image.fromarray(picture.mask).save(scene.capture.masks / f"{number}.png")
    frames = tuple(replace(f, mask=f"{i % len(pictures)}.png") for i, f in enumerate(scene.capture.frames))
    return replace(scene, capture=replace(scene.capture, frames=frames))


def per_position(config: TrainConfig, pictures: int) -> TrainConfig:
    """Steps on so many pictures at a time, with step sizes as for one: the trainer lets them grow with the root."""
    return replace(faster(config, 1 / math.sqrt(pictures)), batch=pictures)


@dataclass(frozen=True)
class Score:
    """Raw PSNR in dB on held-out pinhole views, and in the pictures trained on."""

    pinhole_db: float
    own_db: float
    own_bands_db: tuple[float, ...]  # by LATITUDES
    round_db: tuple[float, ...] = ()  # all round: whole, then by LATITUDES


@dataclass(frozen=True)
class Verdict:
    """A lens's scores, its rig's, and the pinhole's."""

    lens: Score
    rig: Score
    pinhole: Score

    @property
    def own_db(self) -> float:
        return self.lens.own_db - self.rig.own_db

    @property
    def views_db(self) -> float:
        return self.lens.pinhole_db - self.rig.pinhole_db

    def __str__(self) -> str:
        is_met = min(self.own_db, self.views_db) >= -TARGET_DB
        strict = self.lens.pinhole_db - self.pinhole.pinhole_db
        return (
            f"own pictures {self.own_db:+.2f} dB, pinhole views {self.views_db:+.2f} dB, target {-TARGET_DB:+.2f}: "
            f"{'met' if is_met else 'missed'}; against the pinhole {strict:+.2f} dB"
        )


class Bench:
    """The place and where it is photographed from; trains and prints."""

    def __init__(
        self,
        place: SyntheticScene,
        width: int,
        views: int,
        config: TrainConfig,
        folder: Path,
        first_points: str = "lens",
        rig_size: float = 1.0,
    ) -> None:
        self.first_points, self.rig_size = first_points, rig_size
        walk = orbit_cameras(place, 2 * views)
        self.place, self.config, self.folder = place, config, folder
        self.stand, self.held_out = walk[::2], walk[1::4]
        self.pinhole = phone_camera(width, width * 3 // 4)

    def scene(self, name: str, pictures: Sequence[Picture]) -> PosedScene:
        return photographed(self.place, pictures, self.stand, self.folder / name)

    def train(
        self, name: str, scene: PosedScene, pictures: Sequence[Picture], config: TrainConfig, *, all_round: bool = False
    ) -> Score:
        began = time.monotonic()
        result = train_splats(scene, self.folder / f"{name}_out", config)
        seconds = time.monotonic() - began
        views, own = (score(self.place, result.splats, p, self.held_out) for p in (single(self.pinhole), pictures))
        turns = score(self.place, result.splats, turned_all_round(self.pinhole), self.held_out) if all_round else []
        found = Score(float(views[0]), float(own[0]), tuple(own[1:]), tuple(turns))
        size = f"{len(pictures)} x {pictures[0].camera.width_px}x{pictures[0].camera.height_px}"
        print(
            f"{name:24} {size:12} pinhole views {found.pinhole_db:.2f} dB, own pictures {found.own_db:.2f} dB, "
            f"{len(result.splats):,} splats, {seconds:.0f} s",
            flush=True,
        )
        return found

    def run(self, only: Sequence[str] = ("opencv", "fisheye", "equirectangular")) -> dict[str, Verdict]:
        """A verdict for each lens."""
        cameras = lenses(self.pinhole)
        base = self.scene("pinhole", single(self.pinhole))
        pinhole = self.train("pinhole", base, single(self.pinhole), self.config)
        verdicts = {"pinhole": Verdict(pinhole, pinhole, pinhole)}
        for name in only:
            pictures = single(cameras[name], self.pinhole if name == "opencv" else None)
            scene = self.scene(name, pictures)
            if name == "opencv":
                scene = replace(scene, points=base.points)
                self.train("opencv, straight", scene, pictures, replace(self.config, lens="straight"))
                fair = pinhole
            else:
                around, is_round = rig(cameras[name], self.rig_size), name == "equirectangular"
                seen = self.scene(f"{name}_rig", around)
                points = seen.points if self.first_points == "rig" else scene.points
                scene, seen = replace(scene, points=points), replace(seen, points=points)
                config = per_position(self.config, len(around))
                fair = self.train(f"{name}, rig", seen, around, config, all_round=is_round)
            lens = self.train(name, scene, pictures, self.config, all_round=name == "equirectangular")
            verdicts[name] = Verdict(lens, fair, pinhole)
            print(f"=> {name}: {verdicts[name]}", flush=True)
            if lens.round_db:
                print_bands(lens, fair)
        return verdicts


def print_bands(lens: Score, fair: Score) -> None:
    bands = ["whole", *(f"{low:+} to {high:+}" for low, high in pairwise(LATITUDES))]
    own = zip((lens.own_db, *lens.own_bands_db), (fair.own_db, *fair.own_bands_db), strict=True)
    for band, ours, theirs, (mine, its) in zip(bands, lens.round_db, fair.round_db, own, strict=True):
        print(
            f"   {band:>10} degrees: all round {ours:.2f} dB, rig {theirs:.2f}, {ours - theirs:+.2f};"
            f" own pictures {mine:.2f}, rig {its:.2f}",
            flush=True,
        )


def faster(config: TrainConfig, factor: float) -> TrainConfig:
    """All step sizes times `factor`."""
    rates = config.learning_rates
    sizes = {f.name: getattr(rates, f.name) * factor for f in fields(rates) if not f.name.startswith("settle")}
    return replace(config, learning_rates=replace(rates, **sizes))


def config_for(steps: int, splats: int, *, antialiased: bool = True) -> TrainConfig:
    return replace(
        PRESETS["preview"],
        steps=steps,
        max_size_px=None,
        max_splats=splats,
        hold_out="none",
        lens="original",
        backend="cpu",
        antialiased=antialiased,
        checkpoint_every=10**9,
        mcmc=McmcConfig(growth=0.15),  # so that the cap is reached and all have equally many
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--width", type=int, default=64, help="of the pinhole's pictures, px")
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--views", type=int, default=24)
    parser.add_argument("--splats", type=int, default=20_000)
    parser.add_argument("--classic", action="store_true", help="3DGS's low-pass, not Mip-Splatting's filters")
    parser.add_argument("--only", choices=("opencv", "fisheye", "equirectangular"), help="this lens and its rig")
    parser.add_argument("--rates", type=float, default=1.0, help="step sizes by those of the preset")
    parser.add_argument("--first-points", choices=("lens", "rig"), default="lens", help="whose pictures show them")
    parser.add_argument("--rig-size", type=float, default=1.0, help="pixels per radian of the rig by those of the lens")
    options = parser.parse_args()
    print(f"{options.place}, {options.steps} steps, {simd_level()}, {thread_count()} threads", flush=True)
    config = faster(config_for(options.steps, options.splats, antialiased=not options.classic), options.rates)
    lenses_run = ("opencv", "fisheye", "equirectangular") if options.only is None else (options.only,)
    with tempfile.TemporaryDirectory() as folder:
        place = synthetic_scene(options.place, 0)
        Bench(place, options.width, options.views, config, Path(folder), options.first_points, options.rig_size).run(
            lenses_run
        )


if __name__ == "__main__":
    main()
