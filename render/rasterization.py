"""gsplat's `rasterization` on the CPU: the same names, shapes and results, drawn and differentiated by native code.

    from diorama.render import rasterization   # instead of: from gsplat import rasterization

What is drawn is `diorama.kernels.twin.rasterize`'s picture. It differs from gsplat 1.5.3's where a pixel is all but
covered: gsplat leaves out the splat that would take the light that is left below 1e-4, here it is the last one blended.

Gradients come from `kernels.render_backward`. `meta["means2d"]` is a part of the graph, as densification needs it: the
gradient of the means is divided into what moves the centre in the picture and what turns and stretches the ellipse.
Colours of other than three channels are blended by `kernels.render_features`, over a picture that has none.
"""

from __future__ import annotations

import atexit
import math
import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from diorama import kernels
from diorama.kernels import View, twin

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

RENDER_MODES = ("RGB", "D", "ED", "RGB+D", "RGB+ED")
MIN_SCALE = 1e-18
"""Scales of 0 become this: far below a pixel, and its square is still a float."""
MAX_OPACITY = 1.0 - 2.0**-17
"""Opacities up to 1 are drawn as this at most: the logit of 1 is infinite, and 1 - opacity keeps its digits."""
HIDDEN_LOGIT = -50.0


def rasterization(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    packed: bool = True,
    tile_size: int = 16,
    backgrounds: Tensor | None = None,
    render_mode: str = "RGB",
    sparse_grad: bool = False,
    absgrad: bool = False,
    rasterize_mode: str = "classic",
    channel_chunk: int = 32,
    distributed: bool = False,
    camera_model: str = "pinhole",
    segmented: bool = False,
    covars: Tensor | None = None,
    with_ut: bool = False,
    with_eval3d: bool = False,
    radial_coeffs: Tensor | None = None,
    tangential_coeffs: Tensor | None = None,
    thin_prism_coeffs: Tensor | None = None,
    ftheta_coeffs: Any = None,
    rolling_shutter: Any = None,
    viewmats_rs: Tensor | None = None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Pictures of N Gaussians by C cameras, with the signature of gsplat 1.5.3's function of that name.

    Differentiable by means, quats, scales, opacities, colors, backgrounds and viewmats, once. All tensors are float32
    on the CPU. The gradient by viewmats is that of rigid motions: right for whatever parameters keep them rigid.

    Args:
        means: (N, 3) in the world. quats: (N, 4) wxyz, any length but zero. scales: (N, 3) standard deviations.
        opacities: (N,), at most 1.
        colors: with `sh_degree` None values of any number D of channels, (N, D) or (C, N, D), not clamped; else SH
            coefficients (N, K, 3) or (C, N, K, 3), of which 0.5 + their sum, clamped below at 0, is the colour.
        viewmats: (C, 4, 4) rigid camera_from_world, OpenCV axes. Ks: (C, 3, 3) in pixels, first pixel's centre 0.5.
        width, height: of the pictures in pixels.
        near_plane, far_plane: depths outside of these are not drawn; near_plane is at least 0.01.
        radius_clip: splats whose radii in the picture (see below) are both at most this are not drawn.
        sh_degree: 0 to 3, None for plain values.
        packed: shapes of `meta`; the picture is the same.
        backgrounds: (C, D) or None for black; D is 3 with `sh_degree`. Depth has none.
        render_mode: RGB; D, accumulated depth, the sum of weight times z; ED, expected depth, D over alpha; RGB+D;
            RGB+ED.
        absgrad: after the backward pass `meta["means2d"].absgrad` holds the sums over pixels of the absolute gradients
            by the centres, shaped like it (AbsGS, Ye et al. 2024); three channels only.
        rasterize_mode: classic, or antialiased: opacities fall as the low-pass widens an ellipse (Yu et al. 2024).
        tile_size, channel_chunk, segmented: tuning of gsplat's CUDA code; they change nothing here, as they change no
            picture there.

    The others are taken at their defaults only.

    Returns:
        render_colors (C, height, width, X) with X = D, 1 or D + 1 by mode, depth last; render_alphas (C, height,
        width, 1); and meta, a dictionary. In it, with M splats visible over all cameras, shapes are (M, ...) where
        packed, else (C, N, ...) with zeros for what a camera does not see:

        - `means2d` (..., 2) centres in pixels and `depths` (...) along the optical axis, differentiable; the
          pictures' gradient by `means2d` is there after `meta["means2d"].retain_grad()`.
        - `radii` (..., 2) int32, half sizes of the box outside of which alpha is below 1/255, rounded up; 0 if unseen.
        - `camera_ids`, `gaussian_ids` (M,) where packed, else None.
        - `width`, `height`, `n_cameras`, `n_batches` (1).

        gsplat's `conics`, `opacities` and what it knows of tiles are not there.

    Raises:
        NotImplementedError: an argument asks for what gsplat can and this cannot; the message names it.
        ValueError: an argument has a wrong dtype, shape or value; the message names it.
    """
    _refuse_others(
        eps2d=(eps2d, 0.3),
        sparse_grad=(sparse_grad, False),
        distributed=(distributed, False),
        camera_model=(camera_model, "pinhole"),
        covars=(covars, None),
        with_ut=(with_ut, False),
        with_eval3d=(with_eval3d, False),
        radial_coeffs=(radial_coeffs, None),
        tangential_coeffs=(tangential_coeffs, None),
        thin_prism_coeffs=(thin_prism_coeffs, None),
        ftheta_coeffs=(ftheta_coeffs, None),
        rolling_shutter=(None if getattr(rolling_shutter, "name", "") == "GLOBAL" else rolling_shutter, None),
        viewmats_rs=(viewmats_rs, None),
    )
    _check_splats(means, quats, scales, opacities)
    _check_colors(colors, len(means), len(viewmats), sh_degree)
    channels = 3 if sh_degree is not None else colors.shape[-1]
    if backgrounds is not None:
        _check_tensor(backgrounds, "backgrounds", (len(viewmats), channels))
    if rasterize_mode not in ("classic", "antialiased"):
        raise ValueError(f"rasterize_mode is {rasterize_mode!r}, expected classic or antialiased")
    if absgrad and channels != 3:
        raise NotImplementedError(f"absgrad is True, but with {channels} channels it is not worked out, only with 3")
    if render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode is {render_mode!r}, expected one of {', '.join(RENDER_MODES)}")
    if near_plane < twin.NEAR:
        raise NotImplementedError(f"near_plane is {near_plane}; nothing nearer than {twin.NEAR} can be drawn")
    views = _views(viewmats, Ks, width, height)

    features = colors if channels != 3 else None
    harmonics, lift = _harmonics(colors if features is None else _black(colors), sh_degree)
    log_scales = scales.abs().clamp(min=MIN_SCALE).log()
    held = opacities + (opacities.clamp(1e-7, MAX_OPACITY) - opacities).detach()  # the gradient goes past the clamp
    splats = (means, quats, log_scales, torch.logit(held), harmonics)
    limits = (near_plane, far_plane, radius_clip)
    drawn = _draw(splats, views, sh_degree or 0, limits, antialiased=rasterize_mode == "antialiased")

    meta, ids = _meta(splats, views, drawn, packed)
    passes = _Passes(views, [d.context for d in drawn], ids, weakref.ref(meta["means2d"]) if absgrad else None)
    rgb, alpha, depth = _Pictures.apply(drawn, passes, viewmats, meta["means2d"], features, *splats)  # type: ignore[no-untyped-call]
    if lift:
        rgb = rgb - lift * alpha
    if backgrounds is not None:
        rgb = rgb + (1.0 - alpha) * backgrounds[:, None, None, :]
    if render_mode.endswith("ED"):
        depth = depth / alpha.clamp(min=1e-10)
    parts = {"RGB": [rgb], "D": [depth], "ED": [depth]}.get(render_mode, [rgb, depth])
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1), alpha, meta


# Arguments


def _refuse_others(**arguments: tuple[Any, Any]) -> None:
    """Raises NotImplementedError for the first argument (given, supported) that is not what is supported."""
    for name, (given, supported) in arguments.items():
        same = given is None if supported is None else not isinstance(given, Tensor) and given == supported
        if not same:
            what = "a tensor" if isinstance(given, Tensor) else repr(given)
            raise NotImplementedError(
                f"{name} is {what}, but the CPU rasterization takes {supported!r} only; gsplat on a GPU has the rest"
            )


def _check_tensor(value: Any, name: str, *shapes: tuple[int, ...]) -> None:
    """Raises where `value` is not float32 on the CPU in one of `shapes`; -1 stands for any size."""
    if not isinstance(value, Tensor):
        raise ValueError(f"{name} is a {type(value).__name__}, expected a tensor")
    if value.device.type != "cpu":
        raise NotImplementedError(f"{name} is on {value.device}; this rasterization runs on the CPU, gsplat on CUDA")
    if value.dtype != torch.float32:
        raise ValueError(f"{name} is {value.dtype}, expected torch.float32")
    for shape in shapes:
        if value.dim() == len(shape) and all(e in (-1, a) for a, e in zip(value.shape, shape, strict=True)):
            return
    wanted = " or ".join(str(shape).replace("-1", "any") for shape in shapes)
    if value.dim() > max(len(shape) for shape in shapes):
        raise NotImplementedError(
            f"{name} has shape {tuple(value.shape)}; batches are not supported, expected {wanted}"
        )
    raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {wanted}")


def _check_splats(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor) -> None:
    _check_tensor(means, "means", (-1, 3))
    count = len(means)
    _check_tensor(quats, "quats", (count, 4))
    _check_tensor(scales, "scales", (count, 3))
    _check_tensor(opacities, "opacities", (count,))
    if bool((opacities > 1.0).any()):
        raise ValueError(f"opacities go up to {float(opacities.max())}, expected at most 1")


def _check_colors(colors: Tensor, count: int, cameras: int, sh_degree: int | None) -> None:
    if sh_degree is None:
        _check_tensor(colors, "colors", (count, -1), (cameras, count, -1))
        return
    if sh_degree not in (0, 1, 2, 3):
        raise NotImplementedError(f"sh_degree is {sh_degree}; only 0 to 3 and None can be drawn")
    _check_tensor(colors, "colors", (count, -1, 3), (cameras, count, -1, 3))
    if colors.shape[-2] < (sh_degree + 1) ** 2:
        raise ValueError(
            f"colors hold {colors.shape[-2]} SH coefficients, but sh_degree {sh_degree} needs {(sh_degree + 1) ** 2}"
        )


def _views(viewmats: Tensor, Ks: Tensor, width: int, height: int) -> list[View]:
    _check_tensor(viewmats, "viewmats", (-1, 4, 4))
    _check_tensor(Ks, "Ks", (len(viewmats), 3, 3))
    if Ks.requires_grad:
        raise NotImplementedError("Ks requires a gradient, but there is none by intrinsics; detach it")
    if not len(viewmats):
        raise ValueError("viewmats holds no camera")
    viewmats = viewmats.detach()
    turns = viewmats[:, :3, :3].double()
    if not bool(((turns @ turns.mT - torch.eye(3, dtype=torch.float64)).abs() < 1e-3).all()):
        raise ValueError("viewmats must be rigid: the upper left 3x3 of one is not a rotation")
    views = []
    for viewmat, k in zip(viewmats, Ks, strict=True):
        fx, fy, cx, cy = k[0, 0].item(), k[1, 1].item(), k[0, 2].item(), k[1, 2].item()
        views.append(View(width, height, fx, fy, cx, cy, viewmat[:3].numpy()))
    return views


def _black(colors: Tensor) -> Tensor:
    """RGB values (..., 3) in the place of features (..., D): what the picture shows is drawn apart."""
    return torch.full((*colors.shape[:-1], 3), 0.5)


def _harmonics(colors: Tensor, sh_degree: int | None) -> tuple[Tensor, float]:
    """SH coefficients (..., (sh_degree + 1)^2, 3) and what the colours were lifted by.

    Kernels clamp colours at 0 and drop the gradient there. RGB values are not clamped in gsplat, so where some are
    negative or black all of them are lifted above 0; the picture is then too bright by the lift times alpha.
    """
    if sh_degree is not None:
        return colors[..., : (sh_degree + 1) ** 2, :], 0.0
    values = colors.detach()
    lowest = float(torch.where(values.isfinite(), values, 1.0).min()) if values.numel() else 1.0
    lift = 0.5 - lowest if lowest < 1e-3 else 0.0
    return ((colors + (lift - 0.5)) / twin.C0)[..., None, :], lift


# Drawing

Splats = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""means, quats, log_scales, logit_opacities (N, ...) and SH coefficients (N, K, 3) or (C, N, K, 3)."""


def _draw(
    splats: Splats, views: Sequence[View], sh_degree: int, limits: tuple[float, float, float], *, antialiased: bool
) -> list[kernels.Rendered]:
    """Each camera's picture over black. limits: near plane, far plane, largest radius that is not drawn."""
    means, quats, log_scales, logits, sh = (t.detach() for t in splats)
    near, far, clip = limits
    blocks = _pack(means, quats, log_scales, logits, sh) if sh.dim() == 3 else None
    drawn = []
    for camera, view in enumerate(views):
        mine = _pack(means, quats, log_scales, logits, sh[camera]) if blocks is None else blocks
        depths = _in_camera(means, view)[:, 2]
        hidden = torch.nonzero((depths > twin.NEAR) & ((depths < near) | (depths > far))).squeeze(-1).numpy()
        if len(hidden):
            mine = _hide(mine, hidden)
        picture = kernels.render(mine, len(means), view, sh_degree=sh_degree, antialiased=antialiased)
        if clip > 0.0:
            small = np.flatnonzero(picture.context.visible & (_radii(picture.context) <= clip).all(-1))
            mine = _hide(mine, small)
            picture = kernels.render(mine, len(means), view, sh_degree=sh_degree, antialiased=antialiased)
        drawn.append(picture)
    return drawn


def _pack(means: Tensor, quats: Tensor, log_scales: Tensor, logits: Tensor, sh: Tensor) -> Floats:
    return kernels.pack(means.numpy(), quats.numpy(), log_scales.numpy(), logits.numpy(), sh.numpy())


def _hide(blocks: Floats, index: Indices) -> Floats:
    """A copy of blocks in which the splats of `index` are too transparent to be seen."""
    copy = kernels.zero_blocks(len(blocks) * kernels.LANES)
    copy[:] = blocks
    copy[index // kernels.LANES, kernels.LOGIT_OPACITY, index % kernels.LANES] = HIDDEN_LOGIT
    return copy


def _in_camera(means: Tensor, view: View) -> Tensor:
    matrix = torch.from_numpy(view.cam_from_world)
    return means @ matrix[:, :3].T + matrix[:, 3]


def _radii(context: kernels.Context) -> npt.NDArray[np.int32]:
    """(N, 2) half sizes in pixels of the boxes outside of which alpha is below 1/255, rounded up; 0 out of sight."""
    sizes = np.ceil(context.ellipses()[1] / np.float32(1.0001))  # the kernels' are that much wider
    radii: npt.NDArray[np.int32] = np.minimum(sizes, 2.0**30).astype(np.int32)
    return radii


def _meta(
    splats: Splats, views: Sequence[View], drawn: Sequence[kernels.Rendered], packed: bool
) -> tuple[dict[str, Any], list[Tensor]]:
    """gsplat's record of the pass, and for each camera the indices of the splats that it sees."""
    means = splats[0]
    ids = [torch.from_numpy(np.flatnonzero(d.context.visible)) for d in drawn]
    columns: dict[str, list[Tensor]] = {"radii": [], "means2d": [], "depths": []}
    for seen, view, picture in zip(ids, views, drawn, strict=True):
        points = _in_camera(means[seen], view)
        focal, centre = torch.tensor([view.fx, view.fy]), torch.tensor([view.cx, view.cy])
        columns["means2d"].append(points[:, :2] / points[:, 2:] * focal + centre)
        columns["depths"].append(points[:, 2])
        columns["radii"].append(torch.from_numpy(_radii(picture.context))[seen].clamp(min=1))
    meta: dict[str, Any] = {"camera_ids": None, "gaussian_ids": None}
    for name, parts in columns.items():
        if packed:
            meta[name] = torch.cat(parts)
        else:
            whole = (p.new_zeros((len(means), *p.shape[1:])) for p in parts)
            meta[name] = torch.stack([w.index_copy(0, i, p) for w, i, p in zip(whole, ids, parts, strict=True)])
    if packed:
        meta["camera_ids"] = torch.cat([torch.full_like(seen, c) for c, seen in enumerate(ids)])
        meta["gaussian_ids"] = torch.cat(ids)
    meta |= {"width": views[0].width, "height": views[0].height, "n_cameras": len(views), "n_batches": 1}
    return meta, ids


# Gradients


@dataclass(eq=False)
class _Passes:
    """What the way back needs: each camera, its picture's context and the splats that it sees; and, with absgrad, the
    tensor that is told of it."""

    views: list[View]
    contexts: list[kernels.Context]
    ids: list[Tensor]
    centres: weakref.ref[Tensor] | None


_alive: weakref.WeakSet[_Passes] = weakref.WeakSet()


@atexit.register
def _let_go() -> None:
    """Torch does not free what graphs hold when Python ends, and nanobind would report the contexts as leaked."""
    for passes in _alive:
        passes.contexts.clear()


class _Pictures(torch.autograd.Function):
    """Colours (C, H, W, D), alpha and depth (C, H, W, 1) of pictures that are already drawn, and their way back."""

    @staticmethod
    def forward(
        ctx: Any,
        drawn: list[kernels.Rendered],
        passes: _Passes,
        viewmats: Tensor,
        means2d: Tensor,
        features: Tensor | None,
        *splats: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.passes, ctx.viewmats = passes, viewmats.detach()
        _alive.add(passes)
        ctx.packed, ctx.sh_per_camera = means2d.dim() == 2, splats[-1].dim() == 4
        ctx.sh_degree = math.isqrt(splats[-1].shape[-2]) - 1
        ctx.features = None if features is None else features.detach()
        pictures = [d.rgb for d in drawn]
        if ctx.features is not None:
            values = ctx.features.expand(len(drawn), -1, -1)
            pictures = [kernels.render_features(d.context, _array(v)) for d, v in zip(drawn, values, strict=True)]
        alpha, depth = (torch.from_numpy(np.stack([getattr(d, name) for d in drawn])) for name in ("alpha", "depth"))
        return torch.from_numpy(np.stack(pictures)), alpha[..., None], depth[..., None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_colors: Tensor, d_alpha: Tensor, d_depth: Tensor) -> tuple[Any, ...]:
        passes: _Passes = ctx.passes
        count = passes.contexts[0].count
        found = [
            _one_backward(ctx, c, d_colors[c], d_alpha[c, ..., 0], d_depth[c, ..., 0]) for c in range(len(d_alpha))
        ]
        d_splats = [
            torch.from_numpy(a) for a in kernels.unpack(np.sum([f.blocks for f in found], axis=0), count, ctx.sh_degree)
        ]
        for f, view, seen in zip(found, passes.views, passes.ids, strict=True):
            # what moves the centre comes back through means2d
            means = torch.from_numpy(kernels.unpack(passes.contexts[0].blocks, count, 0).means)[seen]
            d_splats[0][seen] -= _by_means(f.centres[seen], means, view)
        if ctx.sh_per_camera:
            d_splats[4] = torch.stack(
                [torch.from_numpy(kernels.unpack(f.blocks, count, ctx.sh_degree).sh) for f in found]
            )
        d_means2d = _as_means2d([f.centres for f in found], passes.ids, packed=ctx.packed)
        told = passes.centres() if passes.centres is not None else None
        if told is not None:
            told.absgrad = _as_means2d([f.abs_centres for f in found], passes.ids, packed=ctx.packed)  # type: ignore[attr-defined]
        d_features = None
        if ctx.features is not None:
            d_features = torch.stack([f.features for f in found])
            d_features = d_features.sum(0) if ctx.features.dim() == 2 else d_features
        d_viewmats = torch.stack([_by_matrix(f.camera, m) for f, m in zip(found, ctx.viewmats, strict=True)])
        return None, None, d_viewmats, d_means2d, d_features, *d_splats


@dataclass(frozen=True, eq=False)
class _Found:
    """Gradients by one picture: blocks (B, 59, 16), centres and abs_centres (N, 2) in pixels, features (N, D) or none,
    camera (6,)."""

    blocks: Floats
    centres: Tensor
    abs_centres: Tensor
    features: Tensor
    camera: Floats


def _one_backward(ctx: Any, camera: int, d_colors: Tensor, d_alpha: Tensor, d_depth: Tensor) -> _Found:
    context: kernels.Context = ctx.passes.contexts[camera]
    centres, absolute, d_features = (np.zeros((context.count, 2), np.float32) for _ in range(3))
    d_rgb = _array(d_colors) if ctx.features is None else np.zeros((*context.size, 3), np.float32)
    wanted = {} if ctx.passes.centres is None else {"abs_d_centres": absolute}
    blocks = kernels.render_backward(context, d_rgb, _array(d_alpha), _array(d_depth), d_centres=centres, **wanted)
    d_camera = context.d_camera.copy()
    if ctx.features is not None:
        values = ctx.features if ctx.features.dim() == 2 else ctx.features[camera]
        more = np.zeros_like(centres)
        d_features, d_blocks = kernels.render_features_backward(
            context, _array(values), _array(d_colors), d_centres=more
        )
        blocks, centres, d_camera = blocks + d_blocks, centres + more, d_camera + context.d_camera
    return _Found(blocks, torch.from_numpy(centres), torch.from_numpy(absolute), torch.from_numpy(d_features), d_camera)


def _array(tensor: Tensor) -> Floats:
    return np.ascontiguousarray(tensor.numpy())


def _as_means2d(values: Sequence[Tensor], ids: Sequence[Tensor], *, packed: bool) -> Tensor:
    """(M, 2) or (C, N, 2) like `meta["means2d"]`, from (N, 2) per camera with zeros for what it does not see."""
    return torch.cat([v[i] for v, i in zip(values, ids, strict=True)]) if packed else torch.stack(list(values))


def _by_means(pull: Tensor, means: Tensor, view: View) -> Tensor:
    """(M, 3): the gradient by means (M, 3) of what moves their centres, from the gradient (M, 2) by those."""
    points = _in_camera(means, view)
    aside = pull * torch.tensor([view.fx, view.fy]) / points[:, 2:]
    away = -(aside * points[:, :2]).sum(-1, keepdim=True) / points[:, 2:]
    return torch.cat([aside, away], -1) @ torch.from_numpy(view.cam_from_world[:, :3])


def _by_matrix(twist: Floats, viewmat: Tensor) -> Tensor:
    """A gradient (4, 4) by a rigid `viewmat` that gives every rigid motion the slope that the twist's (6,) gives it.

    A motion (v, w) changes the translation t by v + w x t and the rotation R by [w]x R. With G_t = g_v and
    G_R = [h]x R / 2, h = g_w - t x g_v, the products with these sum to g_v v + g_w w.
    """
    v, w = torch.from_numpy(twist[:3].copy()), torch.from_numpy(twist[3:].copy())
    x, y, z = (w - torch.linalg.cross(viewmat[:3, 3], v)).tolist()
    gradient = torch.zeros(4, 4)
    gradient[:3, :3] = 0.5 * torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ viewmat[:3, :3]
    gradient[:3, 3] = v
    return gradient


class _CallableModule(ModuleType):
    """Importing this file first would leave the module under the function's name in `diorama.render`."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
        return rasterization(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
