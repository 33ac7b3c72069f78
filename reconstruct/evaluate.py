"""How good the splats are: rendered against photos that training never saw.

Images are sRGB floats in 0 to 1 at the training resolution; masked pixels count nowhere.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture import (
    Evaluated,
    Finished,
    InputError,
    OnEvent,
    PosedScene,
    Progressed,
    Started,
    Warned,
)
from diorama.capture.events import ignore
from diorama.render import Splats

from .views import LensMode

if TYPE_CHECKING:
    from .views import TrainingView

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

SCHEMA = 1
PSNR_CAP_DB = 100.0
"""Two equal pictures have an infinite PSNR; numbers that go into JSON and means stay finite."""

_AHEAD = 2
"""So many photos are decoded ahead of their comparison."""

ERROR_FULL_SCALE = 0.25
"""The error map's bright end: a mean absolute difference of a quarter of the range. One scale for all views, so that
maps can be compared with each other."""

_INFERNO = np.array(
    [
        (0, 0, 4),
        (40, 11, 84),
        (101, 21, 110),
        (159, 42, 99),
        (212, 72, 66),
        (245, 125, 21),
        (250, 193, 39),
        (252, 255, 164),
    ],
    dtype=np.float64,
)


@dataclass(frozen=True)
class EvaluateConfig:
    """How to measure.

    max_size_px: longer side of the pictures compared; give the training resolution, or numbers do not compare.
    background: what shows through where no splat is, sRGB.
    backend: which rasterizer, as in training.
    train_views: at most this many training views, evenly spread, are rendered too, to measure the gap.
    lens: compare with photos as they were taken or straightened, see `views`; as trained is the honest choice: it
        judges the pixels that training fitted, through the camera that it fitted them with.
    pictures: keep truth, ours and error as JPEGs for this many held-out views, the worst first.
    picture_px: longer side of those pictures.
    models: folder with network weights, for LPIPS; None looks in the usual places.
    """

    max_size_px: int = 800
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    backend: str = "auto"
    train_views: int = 40
    lens: LensMode = "auto"
    pictures: int = 60
    picture_px: int = 800
    models: Path | None = None


@dataclass(frozen=True)
class Pictures:
    """One view side by side: JPEG files as bytes, all of one size."""

    truth: bytes
    ours: bytes
    error: bytes


@dataclass(frozen=True)
class ViewScore:
    """One view's numbers.

    psnr_db, ssim, lpips: against the photo as it is; `lpips` is None where its network was not there.
    psnr_corrected_db: after the affine colour map that fits ours to the photo best: what is left when exposure and
        white balance are taken out.
    empty: share of the pixels through which the background shows (opacity below one half).
    valid: share of the pixels that the mask keeps.
    """

    name: str
    psnr_db: float
    psnr_corrected_db: float
    ssim: float
    lpips: float | None
    empty: float
    valid: float
    pictures: Pictures | None = None


@dataclass(frozen=True)
class Means:
    """Means over views of each number, as the field reports them; None where there is no view."""

    psnr_db: float | None = None
    psnr_corrected_db: float | None = None
    ssim: float | None = None
    lpips: float | None = None

    @staticmethod
    def of(views: Sequence[ViewScore]) -> Means:
        if not views:
            return Means()
        lpips = [v.lpips for v in views if v.lpips is not None]
        return Means(
            psnr_db=float(np.mean([v.psnr_db for v in views])),
            psnr_corrected_db=float(np.mean([v.psnr_corrected_db for v in views])),
            ssim=float(np.mean([v.ssim for v in views])),
            lpips=float(np.mean(lpips)) if lpips else None,
        )


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    held_out: views that training never saw; the only ones that say how the scene looks from a new place.
    train: a sample of the views that were trained on; never to be reported as quality.
    size_px: longer side of the pictures compared.
    """

    held_out: tuple[ViewScore, ...]
    train: tuple[ViewScore, ...]
    size_px: int
    splats: int
    seconds: float
    warnings: tuple[str, ...] = ()
    held_out_means: Means = field(init=False)
    train_means: Means = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "held_out_means", Means.of(self.held_out))
        object.__setattr__(self, "train_means", Means.of(self.train))

    @property
    def psnr_db(self) -> float | None:
        """Mean over held-out views; None when nothing was held out."""
        return self.held_out_means.psnr_db

    @property
    def ssim(self) -> float | None:
        """Mean over held-out views; None when nothing was held out."""
        return self.held_out_means.ssim

    @property
    def lpips(self) -> float | None:
        """Mean over held-out views; None when nothing was held out or the network is not there."""
        return self.held_out_means.lpips

    @property
    def gap_db(self) -> float | None:
        """How much better the training views are than the held-out ones, PSNR in dB."""
        held, train = self.held_out_means.psnr_db, self.train_means.psnr_db
        return None if held is None or train is None else train - held


def evaluate_splats(
    scene: PosedScene,
    splats: Splats,
    held_out: Sequence[str],
    config: EvaluateConfig | None = None,
    *,
    on_event: OnEvent = ignore,
) -> Evaluation:
    """Render the held-out views and a sample of the others, and compare them with their photos.

    held_out: names of frames that training did not see. The caller answers for that; nothing here can check it.
    Raises InputError when a held-out name is not a frame of the capture.
    """
    config = config or EvaluateConfig()
    began = time.perf_counter()
    warnings: list[str] = []

    def warn(message: str) -> None:
        warnings.append(message)
        on_event(Warned("evaluate", message))

    held, train = _choose(scene, held_out, config.train_views, warn)
    on_event(Started("evaluate", len(held) + len(train)))
    lpips_model = _lpips_model(config.models) if held else None
    if held and lpips_model is None:
        warn("LPIPS was not measured: its weights (lpips_alex) are not on this machine.")
    scores: dict[str, ViewScore] = {}
    for done, view in enumerate(_views(scene, [*held, *train], config), start=1):
        name, is_held = view.name, done <= len(held)
        score = _score_view(splats, view, config, lpips_model if is_held else None, is_held)
        if score is None:
            warn(f"{name} was not evaluated: its mask hides every pixel.")
        else:
            scores[name] = score
            metrics = {"psnr_db": score.psnr_db, "ssim": score.ssim}
            on_event(Evaluated("evaluate", done, metrics))
        on_event(Progressed("evaluate", done, len(held) + len(train), name))
    held_scores = _limit_pictures([scores[n] for n in held if n in scores], config.pictures)
    train_scores = tuple(scores[n] for n in train if n in scores)
    seconds = time.perf_counter() - began
    on_event(Finished("evaluate", seconds))
    return Evaluation(held_scores, train_scores, config.max_size_px, len(splats), seconds, tuple(warnings))


def _choose(scene: PosedScene, held_out: Sequence[str], train_views: int, warn: Any) -> tuple[list[str], list[str]]:
    """Names to render: held-out ones that have a camera, and training ones spread evenly over the capture."""
    known = {f.name for f in scene.capture.frames}
    registered = [f.name for f in scene.registered]
    for name in held_out:
        if name not in known:
            raise InputError(f"The held-out frame {name!r} is not in this capture; name one of its frames.")
    lost = [n for n in held_out if n not in scene.cam_from_world]
    if lost:
        warn(f"{len(lost)} held-out frames could not be compared, because their cameras are not known: {_few(lost)}.")
    chosen = set(held_out)
    held = [n for n in registered if n in chosen]
    if not held:
        warn(
            "Nothing was held out of training, so the quality from new viewpoints was not measured; "
            "the numbers of training views say only how well the photos were memorised."
        )
    rest = [n for n in registered if n not in chosen]
    count = min(len(rest), train_views)
    picks = np.unique(np.linspace(0, len(rest) - 1, count).round().astype(int)) if count else np.zeros(0, int)
    return held, [rest[i] for i in picks]


def _few(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _lpips_model(models: Path | None) -> Path | None:
    from diorama.render.models import find_model

    return find_model("lpips_alex", models)


def _views(scene: PosedScene, names: Sequence[str], config: EvaluateConfig) -> Iterator[TrainingView]:
    """The photos of the frames `names`, each decoded while others are compared; at most `_AHEAD` wait."""
    from .views import load_views

    def load(name: str) -> TrainingView:
        return load_views(scene, [name], config.max_size_px, config.lens)[0]

    waiting: deque[Future[TrainingView]] = deque()
    with ThreadPoolExecutor(max_workers=_AHEAD) as pool:
        try:
            for name in names:
                waiting.append(pool.submit(load, name))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _score_view(
    splats: Splats, view: TrainingView, config: EvaluateConfig, lpips_model: Path | None, pictures: bool
) -> ViewScore | None:
    from diorama.render.rasterize import rasterize

    rendering = rasterize(
        splats, view.camera, view.cam_from_world, background=config.background, backend=config.backend
    )
    truth = view.rgb.astype(np.float32) / np.float32(255)
    ours = np.clip(np.nan_to_num(rendering.rgb), 0, 1).astype(np.float32)
    mask = None if view.mask is None else view.mask > 0
    return score_pictures(
        view.name,
        truth,
        ours,
        mask,
        alpha=rendering.alpha,
        lpips_model=lpips_model,
        picture_px=config.picture_px * pictures,
    )


def score_pictures(
    name: str,
    truth: Floats,
    ours: Floats,
    mask: Bools | None = None,
    *,
    alpha: Floats | None = None,
    lpips_model: Path | None = None,
    picture_px: int = 0,
) -> ViewScore | None:
    """Compare two pictures (H, W, 3), sRGB in 0 to 1; None when the mask (H, W) keeps no pixel.

    alpha: (H, W) opacity of ours. picture_px: longer side of the JPEGs to keep, 0 for none.
    """
    from diorama.render.metrics import LPIPS_MIN_SIZE_PX, lpips, psnr, ssim

    keep = np.ones(truth.shape[:2], bool) if mask is None else mask
    if not keep.any():
        return None
    corrected = correct_colours(ours, truth, keep)
    perceptual: float | None = None
    if lpips_model is not None and min(truth.shape[:2]) >= LPIPS_MIN_SIZE_PX:
        # The network sees whole pictures: hidden pixels are made equal in both.
        perceptual = float(lpips(np.where(keep[..., None], ours, truth), truth, lpips_model))
    return ViewScore(
        name=name,
        psnr_db=min(float(psnr(ours, truth, mask)), PSNR_CAP_DB),
        psnr_corrected_db=min(float(psnr(corrected, truth, mask)), PSNR_CAP_DB),
        ssim=float(ssim(ours, truth, mask)),
        lpips=perceptual if perceptual is None or math.isfinite(perceptual) else None,
        empty=0.0 if alpha is None else float(np.mean(np.asarray(alpha)[keep] < 0.5)),
        valid=float(keep.mean()),
        pictures=make_pictures(truth, ours, keep, picture_px) if picture_px else None,
    )


def correct_colours(ours: Floats, truth: Floats, keep: Bools) -> Floats:
    """`ours` after the affine map of colours (3x3 and offset) that brings it nearest to `truth` in least squares.

    Pixels at the ends of either range are left out of the fit, as a clipped value says nothing about exposure (the
    evaluation of Mip-NeRF 360 does the same with a quadratic map). Unchanged where too few pixels are left.
    """
    inside = keep & (ours > 1 / 255).all(-1) & (ours < 254 / 255).all(-1)
    inside &= (truth > 1 / 255).all(-1) & (truth < 254 / 255).all(-1)
    x = ours[inside].astype(np.float64)
    y = truth[inside].astype(np.float64)
    if len(x) < 64:
        return ours
    stride = max(1, len(x) // 200_000)
    x, y = x[::stride], y[::stride]
    design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(design, y, rcond=1e-6)
    fitted: Floats = np.clip(ours.astype(np.float64) @ solution[:3] + solution[3], 0, 1).astype(np.float32)
    return fitted


def error_map(truth: Floats, ours: Floats, keep: Bools) -> npt.NDArray[np.uint8]:
    """Mean absolute difference over channels as colours (H, W, 3): dark is equal, bright is `ERROR_FULL_SCALE` or more,
    grey is masked."""
    error = np.abs(truth - ours).mean(-1) / ERROR_FULL_SCALE
    steps = np.linspace(0, 1, len(_INFERNO))
    colours = np.stack([np.interp(error, steps, _INFERNO[:, c]) for c in range(3)], axis=-1)
    result: npt.NDArray[np.uint8] = np.where(keep[..., None], colours, 128.0).astype(np.uint8)
    return result


def make_pictures(truth: Floats, ours: Floats, keep: Bools, size_px: int) -> Pictures:
    """The three JPEGs of one view, at most `size_px` on the longer side."""
    return Pictures(
        truth=_jpeg((truth * 255 + 0.5).astype(np.uint8), size_px),
        ours=_jpeg((ours * 255 + 0.5).astype(np.uint8), size_px),
        error=_jpeg(error_map(truth, ours, keep), size_px),
    )


def _jpeg(rgb: npt.NDArray[np.uint8], size_px: int) -> bytes:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(rgb), "RGB")
    picture.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def _limit_pictures(views: Sequence[ViewScore], most: int) -> tuple[ViewScore, ...]:
    """Keep pictures of the worst `most` views only; the report's file has a bound."""
    keep = {v.name for v in sorted(views, key=lambda v: v.psnr_db)[:most]}
    return tuple(v if v.name in keep else replace(v, pictures=None) for v in views)


def save_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write `evaluation.json` and the pictures into `folder`, so that a report can be made again later."""
    folder.mkdir(parents=True, exist_ok=True)
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "size_px": evaluation.size_px,
        "splats": evaluation.splats,
        "seconds": evaluation.seconds,
        "warnings": list(evaluation.warnings),
        "held_out": [_view_to_json(v) for v in evaluation.held_out],
        "train": [_view_to_json(v) for v in evaluation.train],
    }
    for index, view in enumerate(evaluation.held_out):
        if view.pictures is not None:
            value["held_out"][index]["pictures"] = index
            for kind in ("truth", "ours", "error"):
                _write_whole(folder / f"view_{index:04d}_{kind}.jpg", getattr(view.pictures, kind))
    _write_whole(folder / "evaluation.json", json.dumps(value, indent=1, allow_nan=False).encode())


def load_evaluation(folder: Path) -> Evaluation:
    """Read what `save_evaluation` wrote.

    Raises InputError when it is not there or not whole.
    """
    path = folder / "evaluation.json"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["schema"] != SCHEMA:
            raise InputError(f"{path} has schema {value['schema']}, not {SCHEMA}; run evaluate again.")
        return Evaluation(
            held_out=tuple(_view_from_json(v, folder) for v in value["held_out"]),
            train=tuple(_view_from_json(v, folder) for v in value["train"]),
            size_px=int(value["size_px"]),
            splats=int(value["splats"]),
            seconds=float(value["seconds"]),
            warnings=tuple(str(w) for w in value["warnings"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a whole evaluation ({error}); run evaluate again.") from error


def _view_to_json(view: ViewScore) -> dict[str, Any]:
    value = asdict(replace(view, pictures=None))
    del value["pictures"]
    return value


def _view_from_json(value: dict[str, Any], folder: Path) -> ViewScore:
    pictures = None
    if value.get("pictures") is not None:
        index = int(value["pictures"])
        kinds = [(folder / f"view_{index:04d}_{kind}.jpg").read_bytes() for kind in ("truth", "ours", "error")]
        pictures = Pictures(*kinds)
    lpips = value["lpips"]
    return ViewScore(
        name=str(value["name"]),
        psnr_db=float(value["psnr_db"]),
        psnr_corrected_db=float(value["psnr_corrected_db"]),
        ssim=float(value["ssim"]),
        lpips=None if lpips is None else float(lpips),
        empty=float(value["empty"]),
        valid=float(value["valid"]),
        pictures=pictures,
    )


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(data)
    beside.replace(path)
