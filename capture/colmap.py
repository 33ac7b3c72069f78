"""COLMAP models: `cameras`, `images` and `points3D`, binary (.bin) or text (.txt).

COLMAP 4 also writes `rigs.bin` and `frames.bin`. They are not needed: `images` holds the pose of every registered
image either way, and COLMAP opens models without them as a rig of one camera each.

Reading allocates at most about 40 times the files' own size, whatever the counts in them claim.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .camera import CAMERA_MODELS, MODEL_IDS, PARAM_NAMES, Camera, CameraModel
from .errors import InputError
from .files import read_bytes, writing
from .transforms import Pose

MAX_MODEL_BYTES = 8 << 30
MODEL_FILES = ("cameras", "images", "points3D")
NO_POINT = 2**64 - 1

_OTHER_MODELS = {7: "FOV", 10: "THIN_PRISM_FISHEYE", 11: "RAD_TAN_THIN_PRISM_FISHEYE", 12: "SIMPLE_DIVISION"}
_MODEL_OF_ID: dict[int, CameraModel] = {number: model for model, number in MODEL_IDS.items()}
_OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<u8")])


@dataclass(frozen=True, eq=False)
class ColmapImage:
    """One registered image.

    xy: (M, 2) float64, key points in pixels, the first pixel's centre at (0.5, 0.5).
    point_ids: (M,) int64, the 3D point each key point belongs to, -1 for none.
    """

    id: int
    name: str
    camera_id: int
    cam_from_world: Pose
    xy: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    point_ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class ColmapModel:
    """A COLMAP reconstruction. The tracks of points are what the images' `point_ids` say.

    point_ids: (P,) int64, unique; xyz: (P, 3) float64; rgb_srgb: (P, 3) uint8; error_px: (P,) float64.
    """

    cameras: Mapping[int, Camera]
    images: tuple[ColmapImage, ...]
    point_ids: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    xyz: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    rgb_srgb: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 3), np.uint8))
    error_px: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def visible(self) -> dict[str, npt.NDArray[np.int32]]:
        """By image name, indices into the points of what it sees, ascending, each once."""
        order = np.argsort(self.point_ids, kind="stable")
        ordered = self.point_ids[order]
        seen: dict[str, npt.NDArray[np.int32]] = {}
        for image in self.images:
            ids = np.unique(image.point_ids[image.point_ids >= 0])
            at = np.searchsorted(ordered, ids)
            known = at < len(ordered)
            known[known] &= ordered[at[known]] == ids[known]
            found = order[at[known]]
            seen[image.name] = np.sort(found).astype(np.int32)
        return seen


def model_format(folder: Path) -> str | None:
    """`.bin` or `.txt` when `folder` holds a COLMAP model's cameras and images, else None."""
    for suffix in (".bin", ".txt"):
        if all((folder / f"{name}{suffix}").is_file() for name in MODEL_FILES[:2]):
            return suffix
    return None


def read_model(folder: Path) -> ColmapModel:
    """Read the COLMAP model in `folder`, binary where both forms are there; `points3D` may be missing.

    Raises InputError for files that are no such model, that claim more than they hold, that hold numbers which are
    not finite, and for camera models which `Camera` does not know.
    """
    suffix = model_format(folder)
    if suffix is None:
        raise InputError(f"{folder} holds no COLMAP model (cameras.bin and images.bin, or the same as .txt).")
    paths = [folder / f"{name}{suffix}" for name in MODEL_FILES]
    try:
        if suffix == ".bin":
            cameras = _read_cameras_bin(paths[0])
            images = _read_images_bin(paths[1])
            points = _read_points_bin(paths[2]) if paths[2].is_file() else _no_points()
        else:
            cameras = _read_cameras_txt(paths[0])
            images = _read_images_txt(paths[1])
            points = _read_points_txt(paths[2]) if paths[2].is_file() else _no_points()
    except (struct.error, IndexError, OverflowError) as error:
        raise InputError(f"{folder} holds a COLMAP model that is damaged: {error}.") from error
    _check(folder, cameras, images, points[0])
    return ColmapModel(cameras, tuple(images), *points)


Points = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.uint8], npt.NDArray[np.float64]]


def _no_points() -> Points:
    return np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0)


def _check(
    folder: Path, cameras: Mapping[int, Camera], images: list[ColmapImage], point_ids: npt.NDArray[np.int64]
) -> None:
    if len({i.id for i in images}) != len(images) or len({i.name for i in images}) != len(images):
        raise InputError(f"{folder} names the same image twice.")
    for image in images:
        if image.camera_id not in cameras:
            raise InputError(f"{folder}: image {image.name!r} was taken by camera {image.camera_id}, which is missing.")
    if len(np.unique(point_ids)) != len(point_ids):
        raise InputError(f"{folder} numbers two points alike.")


def _camera(path: Path, model: CameraModel, width: int, height: int, params: tuple[float, ...]) -> Camera:
    if width > 1_000_000 or height > 1_000_000:
        raise InputError(f"{path} has a camera of {width}x{height} pixels, which no camera has.")
    try:
        return Camera(model, width, height, params)
    except ValueError as error:
        raise InputError(f"{path} holds a camera that cannot be: {error}.") from None


def _model_name(path: Path, name: str) -> CameraModel:
    if name not in CAMERA_MODELS:
        raise InputError(
            f"{path} uses the camera model {name[:40]}, which is not supported; "
            f"undistort the images with COLMAP's image_undistorter first, or use one of {', '.join(CAMERA_MODELS)}."
        )
    return name


def _pose(path: Path, image: str, wxyz: tuple[float, ...], translation: tuple[float, ...]) -> Pose:
    values = np.array([*wxyz, *translation], np.float64)
    # Bounds keep every later square finite; no scene is that large.
    if not np.all(np.abs(values) < 1e100) or not 1e-6 < float(np.linalg.norm(values[:4])) < 1e6:
        raise InputError(f"{path}: the pose of image {image!r} is not finite or has no rotation.")
    return Pose.from_quaternion(values[:4], values[4:])


class _Cursor:
    """Reads a binary file's records in turn; refuses to go beyond its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = read_bytes(path, MAX_MODEL_BYTES)
        self.at = 0

    def take(self, fmt: struct.Struct) -> tuple[int | float, ...]:
        values = fmt.unpack_from(self.data, self.at)
        self.at += fmt.size
        return values

    def count(self, smallest: int, what: str) -> int:
        """A 64-bit count of records that take at least `smallest` bytes each and must still fit into the file."""
        if self.at + 8 > len(self.data):
            raise InputError(f"{self.path} ends in the middle; it was cut off or is no COLMAP file.")
        (value,) = struct.unpack_from("<Q", self.data, self.at)
        self.at += 8
        if value * smallest > len(self.data) - self.at:
            raise InputError(f"{self.path} claims {value:,} {what}, more than its {len(self.data):,} bytes can hold.")
        return int(value)

    def name(self) -> str:
        end = self.data.find(b"\0", self.at, self.at + 4097)
        if end < 0:
            raise InputError(f"{self.path} holds an image name without an end.")
        raw = self.data[self.at : end]
        self.at = end + 1
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{self.path} holds an image name that is not UTF-8.") from None

    def done(self) -> None:
        if self.at != len(self.data):
            raise InputError(f"{self.path} has {len(self.data) - self.at:,} bytes more than it says; it is damaged.")


_CAMERA = struct.Struct("<IiQQ")
_IMAGE = struct.Struct("<I7dI")
_POINT = struct.Struct("<Q3d3BdQ")


def _read_cameras_bin(path: Path) -> dict[int, Camera]:
    cursor = _Cursor(path)
    cameras: dict[int, Camera] = {}
    for _ in range(cursor.count(_CAMERA.size + 24, "cameras")):
        camera_id, model_id, width, height = (int(v) for v in cursor.take(_CAMERA))
        model = _MODEL_OF_ID.get(model_id) or _model_name(path, _OTHER_MODELS.get(model_id, f"number {model_id}"))
        params = cursor.take(struct.Struct(f"<{len(PARAM_NAMES[model])}d"))
        if camera_id in cameras:
            raise InputError(f"{path} holds camera {camera_id} twice.")
        cameras[camera_id] = _camera(path, model, width, height, params)
    cursor.done()
    return cameras


def _read_images_bin(path: Path) -> list[ColmapImage]:
    cursor = _Cursor(path)
    images = []
    for _ in range(cursor.count(_IMAGE.size + 9, "images")):
        record = cursor.take(_IMAGE)
        name = cursor.name()
        count = cursor.count(_OBSERVATION.itemsize, "key points")
        observations = np.frombuffer(cursor.data, _OBSERVATION, count, cursor.at)
        cursor.at += count * _OBSERVATION.itemsize
        point_ids = observations["point"].astype(np.int64)  # the largest number, "no point", becomes -1
        images.append(
            ColmapImage(
                int(record[0]),
                _image_name(path, name),
                int(record[8]),
                _pose(path, name, record[1:5], record[5:8]),
                _finite(path, observations["xy"]),
                np.where(point_ids < 0, -1, point_ids),
            )
        )
    cursor.done()
    return images


def _read_points_bin(path: Path) -> Points:
    cursor = _Cursor(path)
    count = cursor.count(_POINT.size, "points")
    ids, xyz = np.zeros(count, np.int64), np.zeros((count, 3))
    rgb, error = np.zeros((count, 3), np.uint8), np.zeros(count)
    for i in range(count):
        record = cursor.take(_POINT)
        ids[i] = min(record[0], 2**63 - 1)
        xyz[i] = record[1:4]
        rgb[i] = record[4:7]
        error[i] = record[7]
        track = int(record[8])
        if track * 8 > len(cursor.data) - cursor.at:
            raise InputError(f"{path} claims a track of {track:,} images, more than the file can hold.")
        cursor.at += track * 8
    cursor.done()
    return ids, _finite(path, xyz), rgb, _errors(error)


def _errors(error: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Reprojection errors; COLMAP writes -1 for points whose error it never computed."""
    return np.where(np.isfinite(error), error, -1.0)


def _finite(path: Path, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    array = np.array(values, np.float64)
    if not np.all(np.abs(array) < 1e100):
        raise InputError(f"{path} holds coordinates that are not finite numbers.")
    return array


def _image_name(path: Path, name: str) -> str:
    if not name:
        raise InputError(f"{path} holds an image without a name.")
    return name


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text model without comments; an empty line counts (an image may have no key points)."""
    data = read_bytes(path, MAX_MODEL_BYTES)
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        try:
            line = data[at:end].decode("utf-8").strip()
        except UnicodeDecodeError:
            raise InputError(f"{path} is not a text file.") from None
        at = end + 1
        if not line.startswith("#"):
            yield line


def _floats(path: Path, words: list[str]) -> npt.NDArray[np.float64]:
    try:
        return np.array(words, np.float64)
    except ValueError:
        raise InputError(f"{path} holds something other than numbers where numbers are due.") from None


def _ints(path: Path, words: list[str], below: int = 2**32 - 1) -> tuple[int, ...]:
    try:
        values = tuple(int(w) for w in words)
    except ValueError:
        raise InputError(f"{path} holds something other than whole numbers where they are due.") from None
    if any(not 0 <= v < below for v in values):
        raise InputError(f"{path} holds a number that is negative or too large.")
    return values


def _read_cameras_txt(path: Path) -> dict[int, Camera]:
    cameras: dict[int, Camera] = {}
    for line in filter(None, _lines(path)):
        words = line.split(maxsplit=32)
        if len(words) < 5:
            raise InputError(f"{path} holds a camera line that is too short: {line[:80]!r}.")
        model = _model_name(path, words[1])
        camera_id, width, height = _ints(path, [words[0], words[2], words[3]])
        if camera_id in cameras:
            raise InputError(f"{path} holds camera {camera_id} twice.")
        cameras[camera_id] = _camera(path, model, width, height, tuple(_floats(path, words[4:]).tolist()))
    return cameras


def _read_images_txt(path: Path) -> list[ColmapImage]:
    images = []
    lines = _lines(path)
    for line in lines:
        if not line:
            continue
        words = line.split(maxsplit=9)
        if len(words) < 10:
            raise InputError(f"{path} holds an image line that is too short: {line[:80]!r}.")
        image_id, camera_id = _ints(path, [words[0], words[8]])
        numbers = _floats(path, words[1:8])
        observations = _floats(path, next(lines, "").split())
        if len(observations) % 3:
            raise InputError(f"{path}: the key points of image {words[9]!r} are not triples of numbers.")
        triples = _finite(path, observations.reshape(-1, 3))
        images.append(
            ColmapImage(
                image_id,
                words[9],
                camera_id,
                _pose(path, words[9], tuple(numbers[:4]), tuple(numbers[4:])),
                triples[:, :2].copy(),
                np.clip(triples[:, 2], -1, 2**53).astype(np.int64),
            )
        )
    return images


def _read_points_txt(path: Path) -> Points:
    ids: list[int] = []
    rows: list[npt.NDArray[np.float64]] = []
    for line in filter(None, _lines(path)):
        words = line.split(maxsplit=8)
        if len(words) < 8:
            raise InputError(f"{path} holds a point line that is too short: {line[:80]!r}.")
        ids += _ints(path, words[:1], 2**63)
        rows.append(_floats(path, words[1:8]))
    if not rows:
        return _no_points()
    values = np.stack(rows)
    rgb = np.clip(np.nan_to_num(values[:, 3:6]), 0, 255).astype(np.uint8)
    return np.array(ids, np.int64), _finite(path, values[:, :3]), rgb, _errors(values[:, 6].copy())


def write_model(model: ColmapModel, folder: Path) -> None:
    """Write `cameras.bin`, `images.bin` and `points3D.bin`, each beside its place and renamed; COLMAP opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / "cameras.bin") as beside, beside.open("wb") as file:
        file.write(struct.pack("<Q", len(model.cameras)))
        for camera_id, camera in sorted(model.cameras.items()):
            file.write(_CAMERA.pack(camera_id, MODEL_IDS[camera.model], camera.width_px, camera.height_px))
            file.write(struct.pack(f"<{len(camera.params)}d", *camera.params))
    with writing(folder / "images.bin") as beside, beside.open("wb") as file:
        file.write(struct.pack("<Q", len(model.images)))
        for image in model.images:
            pose = image.cam_from_world
            file.write(_IMAGE.pack(image.id, *pose.quaternion, *pose.translation, image.camera_id))
            file.write(image.name.encode("utf-8") + b"\0" + struct.pack("<Q", len(image.xy)))
            observations = np.zeros(len(image.xy), _OBSERVATION)
            observations["xy"] = image.xy
            observations["point"] = image.point_ids.astype(np.uint64)
            file.write(observations.tobytes())
    tracks, starts = _tracks(model)
    with writing(folder / "points3D.bin") as beside, beside.open("wb") as file:
        file.write(struct.pack("<Q", len(model.point_ids)))
        for i, point_id in enumerate(model.point_ids.tolist()):
            track = tracks[starts[i] : starts[i + 1]]
            file.write(_POINT.pack(point_id, *model.xyz[i], *model.rgb_srgb[i], model.error_px[i], len(track)))
            file.write(track.tobytes())


def _tracks(model: ColmapModel) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """All tracks one after the other, (T, 2) image id and key point index, and where each point's begins, (P + 1,)."""
    rows, owners = [np.zeros((0, 2), np.uint32)], [np.zeros(0, np.int64)]
    for image in model.images:
        at = np.flatnonzero(image.point_ids >= 0)
        rows.append(np.stack([np.full(len(at), image.id), at], axis=1).astype(np.uint32))
        owners.append(image.point_ids[at])
    track, owner = np.concatenate(rows), np.concatenate(owners)
    order = np.argsort(model.point_ids, kind="stable")
    rank = np.searchsorted(model.point_ids[order], owner)
    known = rank < len(order)
    known[known] &= model.point_ids[order][rank[known]] == owner[known]
    index = order[rank[known]]
    by_point = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(index, minlength=len(order)))])
    return np.ascontiguousarray(track[known][by_point]), starts
