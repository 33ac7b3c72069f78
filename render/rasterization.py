"""gsplat's `rasterization` on the CPU: the same names, shapes and results, drawn and differentiated by native code.

    from diorama.render import rasterization   # instead of: from gsplat import rasterization

What is drawn is `diorama.kernels.twin.rasterize`'s picture. It differs from gsplat 1.5.3's where a pixel is all but
covered: gsplat leaves out the splat that would take the light that is left below 1e-4, here it is the last one blended.

Gradients come from `kernels.render_backward`. `meta["means2d"]` is a part of the graph, as densification needs it: the
gradient of the means is divided into what moves the centre in the picture and what turns and stretches the ellipse.
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
FLAT_LOG_SCALE = -40.0


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

    Differentiable by means, quats, scales, opacities, colors and backgrounds, once. All tensors are float32 on the CPU.

    Args:
        means: (N, 3) in the world. quats: (N, 4) wxyz, any length but zero. scales: (N, 3) standard deviations.
        opacities: (N,), at most 1.
        colors: with `sh_degree` None RGB values (N, 3) or (C, N, 3), not clamped; else SH coefficients (N, K, 3) or
            (C, N, K, 3), of which 0.5 + their sum, clamped below at 0, is the colour.
        viewmats: (C, 4, 4) rigid camera_from_world, OpenCV axes. Ks: (C, 3, 3) in pixels, first pixel's centre 0.5.
        width, height: of the pictures in pixels.
        near_plane, far_plane: depths outside of these are not drawn; near_plane is at least 0.01.
        radius_clip: splats whose radii in the picture (see below) are both at most this are not drawn.
        sh_degree: 0 to 3, None for RGB values.
        packed: shapes of `meta`; the picture is the same.
        backgrounds: (C, 3) or None for black. Depth has none.
        render_mode: RGB; D, accumulated depth, the sum of weight times z; ED, expected depth, D over alpha; RGB+D;
            RGB+ED.
        tile_size, channel_chunk, segmented: tuning of gsplat's CUDA code; they change nothing here, as they change no
            picture there.

    The others are taken at their defaults only.

    Returns:
        render_colors (C, height, width, X) with X = 3, 1 or 4 by mode, depth last; render_alphas (C, height, width, 1);
        and meta, a dictionary. In it, with M splats visible over all cameras, shapes are (M, ...) where packed, else
        (C, N, ...) with zeros for what a camera does not see:

        - `means2d` (..., 2) centres in pixels and `depths` (...) along the optical axis, differentiable. The
          pictures' gradient by `means2d` is worked out when it is asked for before the backward pass, by
          `meta["means2d"].retain_grad()` or a hook; it costs about one more forward and backward pass.
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
        absgrad=(absgrad, False),
        rasterize_mode=(rasterize_mode, "classic"),
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
    _check_backgrounds(backgrounds, len(viewmats))
    if render_mode not in RENDER_MODES:
        raise ValueError(f"render_mode is {render_mode!r}, expected one of {', '.join(RENDER_MODES)}")
    if near_plane < twin.NEAR:
        raise NotImplementedError(f"near_plane is {near_plane}; nothing nearer than {twin.NEAR} can be drawn")
    views = _views(viewmats, Ks, width, height)

    harmonics, lift = _harmonics(colors, sh_degree)
    log_scales = scales.abs().clamp(min=MIN_SCALE).log()
    held = opacities + (opacities.clamp(1e-7, MAX_OPACITY) - opacities).detach()  # the gradient goes past the clamp
    splats = (means, quats, log_scales, torch.logit(held), harmonics)
    drawn = _draw(splats, views, sh_degree or 0, (near_plane, far_plane, radius_clip))

    meta, ids = _meta(splats, views, drawn, packed)
    rgb, alpha, depth = _Pictures.apply(drawn, views, ids, weakref.ref(meta["means2d"]), meta["means2d"], *splats)  # type: ignore[no-untyped-call]
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
        if colors.shape[-1] != 3:
            raise NotImplementedError(f"colors have {colors.shape[-1]} channels; only 3 can be drawn")
        return
    if sh_degree not in (0, 1, 2, 3):
        raise NotImplementedError(f"sh_degree is {sh_degree}; only 0 to 3 and None can be drawn")
    _check_tensor(colors, "colors", (count, -1, 3), (cameras, count, -1, 3))
    if colors.shape[-2] < (sh_degree + 1) ** 2:
        raise ValueError(
            f"colors hold {colors.shape[-2]} SH coefficients, but sh_degree {sh_degree} needs {(sh_degree + 1) ** 2}"
        )


def _check_backgrounds(backgrounds: Tensor | None, cameras: int) -> None:
    if backgrounds is not None:
        _check_tensor(backgrounds, "backgrounds", (cameras, 3))


def _views(viewmats: Tensor, Ks: Tensor, width: int, height: int) -> list[View]:
    _check_tensor(viewmats, "viewmats", (-1, 4, 4))
    _check_tensor(Ks, "Ks", (len(viewmats), 3, 3))
    for value, name in ((viewmats, "viewmats"), (Ks, "Ks")):
        if value.requires_grad:
            raise NotImplementedError(f"{name} requires a gradient, but there is none by cameras; detach it")
    if not len(viewmats):
        raise ValueError("viewmats holds no camera")
    turns = viewmats[:, :3, :3].double()
    if not bool(((turns @ turns.mT - torch.eye(3, dtype=torch.float64)).abs() < 1e-3).all()):
        raise ValueError("viewmats must be rigid: the upper left 3x3 of one is not a rotation")
    views = []
    for viewmat, k in zip(viewmats, Ks, strict=True):
        fx, fy, cx, cy = k[0, 0].item(), k[1, 1].item(), k[0, 2].item(), k[1, 2].item()
        views.append(View(width, height, fx, fy, cx, cy, viewmat[:3].numpy()))
    return views


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
    splats: Splats, views: Sequence[View], sh_degree: int, limits: tuple[float, float, float]
) -> list[kernels.Rendered]:
    """Each camera's picture over black. limits: near plane, far plane, largest radius that is not drawn."""
    means, quats, log_scales, logits, sh = (t.detach() for t in splats)
    blocks = _pack(means, quats, log_scales, logits, sh) if sh.dim() == 3 else None
    drawn = []
    for camera, view in enumerate(views):
        mine = _pack(means, quats, log_scales, logits, sh[camera]) if blocks is None else blocks
        hidden = _hidden((means, quats, log_scales, logits, sh), view, limits)
        if len(hidden):
            mine = _hide(mine, hidden)
        drawn.append(kernels.render(mine, len(means), view, sh_degree=sh_degree))
    return drawn


def _pack(means: Tensor, quats: Tensor, log_scales: Tensor, logits: Tensor, sh: Tensor) -> Floats:
    return kernels.pack(means.numpy(), quats.numpy(), log_scales.numpy(), logits.numpy(), sh.numpy())


def _hidden(splats: Splats, view: View, limits: tuple[float, float, float]) -> Indices:
    """Indices (int64 array) of the splats that the limits, not the kernels, keep out of the picture."""
    near, far, clip = limits
    means, quats, log_scales, logits, _ = splats
    points = _in_camera(means, view)
    depths = points[:, 2]
    out = (depths > twin.NEAR) & ((depths < near) | (depths > far))
    if clip > 0.0:
        index = torch.nonzero((depths > twin.NEAR) & ~out).squeeze(-1)
        radii = _radii(points[index], quats[index], log_scales[index], logits[index], view)
        out[index[(radii <= clip).all(-1)]] = True
    return torch.nonzero(out).squeeze(-1).numpy()


def _hide(blocks: Floats, index: Indices) -> Floats:
    """A copy of blocks in which the splats of `index` are too transparent to be seen."""
    copy = kernels.zero_blocks(len(blocks) * kernels.LANES)
    copy[:] = blocks
    copy[index // kernels.LANES, kernels.LOGIT_OPACITY, index % kernels.LANES] = HIDDEN_LOGIT
    return copy


def _in_camera(means: Tensor, view: View) -> Tensor:
    matrix = torch.from_numpy(view.cam_from_world)
    return means @ matrix[:, :3].T + matrix[:, 3]


def _flattened(points: Tensor, quats: Tensor, log_scales: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """The splats' three axes as their ellipses have them: x (N, 3) and y (N, 3) in the plane at the centre's depth.

    Times focal length over depth, and with the low-pass, their products are the covariance in pixels (see
    `twin.project`).
    """
    turn = torch.from_numpy(view.cam_from_world[:, :3])
    margin_x, margin_y = twin.MARGIN * 0.5 * view.width / view.fx, twin.MARGIN * 0.5 * view.height / view.fy
    u = (points[:, 0] / points[:, 2]).clamp(-view.cx / view.fx - margin_x, (view.width - view.cx) / view.fx + margin_x)
    v = (points[:, 1] / points[:, 2]).clamp(-view.cy / view.fy - margin_y, (view.height - view.cy) / view.fy + margin_y)
    axes = twin.rotations(quats)
    scales = log_scales.exp()
    x = ((turn[0] - u[:, None] * turn[2])[:, :, None] * axes).sum(1) * scales
    y = ((turn[1] - v[:, None] * turn[2])[:, :, None] * axes).sum(1) * scales
    return x, y


def _radii(points: Tensor, quats: Tensor, log_scales: Tensor, logits: Tensor, view: View) -> Tensor:
    """(N, 2) int32 half sizes in pixels of the boxes outside of which alpha is below 1/255, rounded up."""
    flat = _flattened(points, quats, log_scales, view)
    focal = torch.tensor([view.fx, view.fy]) / points[:, 2:]
    variance = torch.stack([(axis * axis).sum(-1) for axis in flat], -1) * focal * focal + twin.LOW_PASS_PX2
    reach = 2.0 * torch.log((torch.sigmoid(logits) / twin.MIN_ALPHA).clamp(min=1.0))
    sizes = torch.ceil(torch.sqrt(reach[:, None] * variance))
    return torch.nan_to_num(sizes).clamp(max=2.0**30).to(torch.int32)


def _meta(
    splats: Splats, views: Sequence[View], drawn: Sequence[kernels.Rendered], packed: bool
) -> tuple[dict[str, Any], list[Tensor]]:
    """gsplat's record of the pass, and for each camera the indices of the splats that it sees."""
    means, quats, log_scales, logits, _ = splats
    ids = [torch.from_numpy(np.flatnonzero(d.context.visible)) for d in drawn]
    columns: dict[str, list[Tensor]] = {"radii": [], "means2d": [], "depths": []}
    for seen, view in zip(ids, views, strict=True):
        points = _in_camera(means[seen], view)
        still = [t.detach()[seen] for t in (quats, log_scales, logits)]
        focal, centre = torch.tensor([view.fx, view.fy]), torch.tensor([view.cx, view.cy])
        columns["means2d"].append(points[:, :2] / points[:, 2:] * focal + centre)
        columns["depths"].append(points[:, 2])
        columns["radii"].append(_radii(points.detach(), still[0], still[1], still[2], view).clamp(min=1))
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
    """What the way back needs: each camera, its picture's context and the splats that it sees."""

    views: list[View]
    contexts: list[kernels.Context]
    ids: list[Tensor]


_alive: weakref.WeakSet[_Passes] = weakref.WeakSet()


@atexit.register
def _let_go() -> None:
    """Torch does not free what graphs hold when Python ends, and nanobind would report the contexts as leaked."""
    for passes in _alive:
        passes.contexts.clear()


class _Pictures(torch.autograd.Function):
    """rgb (C, H, W, 3), alpha and depth (C, H, W, 1) of pictures that are already drawn, and their way back."""

    @staticmethod
    def forward(
        ctx: Any,
        drawn: list[kernels.Rendered],
        views: list[View],
        ids: list[Tensor],
        centres: weakref.ref[Tensor],
        means2d: Tensor,
        *splats: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.passes, ctx.centres = _Passes(views, [d.context for d in drawn], ids), centres
        _alive.add(ctx.passes)
        ctx.packed, ctx.sh_per_camera = means2d.dim() == 2, splats[-1].dim() == 4
        ctx.sh_degree = math.isqrt(splats[-1].shape[-2]) - 1
        rgb, alpha, depth = (
            torch.from_numpy(np.stack([getattr(d, name) for d in drawn])) for name in ("rgb", "alpha", "depth")
        )
        return rgb, alpha[..., None], depth[..., None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_rgb: Tensor, d_alpha: Tensor, d_depth: Tensor) -> tuple[Any, ...]:
        pictures = [np.ascontiguousarray(t.numpy()) for t in (d_rgb, d_alpha[..., 0], d_depth[..., 0])]
        wanted = _is_watched(ctx.centres())
        total: Any = None
        by_camera, pulls = [], []
        passes: _Passes = ctx.passes
        count = passes.contexts[0].count
        pulled = torch.zeros(count, 3)
        for c, (context, view, seen) in enumerate(zip(passes.contexts, passes.views, passes.ids, strict=True)):
            d_picture = [p[c] for p in pictures]
            d_blocks = kernels.render_backward(context, *d_picture)
            if ctx.sh_per_camera:
                by_camera.append(torch.from_numpy(kernels.unpack(d_blocks, count, ctx.sh_degree).sh))
            if wanted:
                pull, share = _centre_gradient(context, view, seen, ctx.sh_degree, d_picture)
                pulls.append(pull if ctx.packed else pull.new_zeros(count, 2).index_copy(0, seen, pull))
                pulled.index_add_(0, seen, share)
            total = d_blocks if total is None else total + d_blocks
        d_splats = [torch.from_numpy(a) for a in kernels.unpack(total, count, ctx.sh_degree)]
        d_splats[0] = d_splats[0] - pulled  # that part comes back through means2d
        if ctx.sh_per_camera:
            d_splats[4] = torch.stack(by_camera)
        d_means2d = (torch.cat(pulls) if ctx.packed else torch.stack(pulls)) if wanted else None
        return None, None, None, None, d_means2d, *d_splats


def _is_watched(means2d: Tensor | None) -> bool:
    """Whether anybody can see the gradient by means2d: it is not worked out otherwise."""
    return means2d is not None and (means2d.retains_grad or bool(means2d._backward_hooks))


def _centre_gradient(
    context: kernels.Context, view: View, seen: Tensor, sh_degree: int, d_picture: list[Any]
) -> tuple[Tensor, Tensor]:
    """The loss's gradient by the centres in the picture (M, 2), and what of it the means (M, 3) feel.

    `render_backward` gives it by the means alone, where the ellipse's change is mixed in. So the same picture is drawn
    once more by splats that lie flat in planes parallel to it: moving one aside moves its ellipse, unchanged.
    """
    arrays = kernels.unpack(context.blocks, context.count, sh_degree)
    means, quats, log_scales, logits, sh = (torch.from_numpy(a)[seen] for a in arrays)
    points = _in_camera(means, view)
    turn = torch.from_numpy(view.cam_from_world[:, :3])
    directions = torch.nn.functional.normalize(points @ turn, dim=-1)
    colors = (torch.einsum("nk,nkc->nc", twin.sh_basis(directions, sh_degree), sh) + 0.5).clamp(min=0.0)
    flat_quats, flat_log_scales = _flat_ellipses(*_flattened(points, quats, log_scales, view))
    flat_sh = ((colors - 0.5) / twin.C0)[:, None, :]
    blocks = _pack(points, flat_quats, flat_log_scales, logits, flat_sh)
    still = View(view.width, view.height, view.fx, view.fy, view.cx, view.cy, np.eye(3, 4, dtype=np.float32))
    flat = kernels.render(blocks, len(points), still, sh_degree=0)
    d_points = torch.from_numpy(kernels.unpack(kernels.render_backward(flat.context, *d_picture), len(points), 0).means)

    pull = d_points[:, :2] * points[:, 2:] / torch.tensor([view.fx, view.fy])
    away = -(d_points[:, :2] * points[:, :2]).sum(-1, keepdim=True) / points[:, 2:]
    return pull, torch.cat([d_points[:, :2], away], -1) @ turn


def _flat_ellipses(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Quaternions (M, 4) and log scales (M, 3) of flat splats with the ellipses whose covariance x and y span."""
    xx, xy, yy = (x * x).sum(-1), (x * y).sum(-1), (y * y).sum(-1)
    longer = 0.5 * (xx + yy) + torch.hypot(0.5 * (xx - yy), xy)
    cross = torch.linalg.cross(x, y)  # |x|^2 |y|^2 - (x y)^2 would lose a needle's digits
    shorter = (cross * cross).sum(-1) / longer.clamp(min=1e-30)
    half = 0.25 * torch.atan2(2.0 * xy, xx - yy)  # half of the angle of the longer axis
    zero = torch.zeros_like(half)
    log_axes = [0.5 * torch.log(v.clamp(min=1e-34)) for v in (longer, shorter)]
    quats = torch.stack([half.cos(), zero, zero, half.sin()], -1)
    return quats, torch.stack([*log_axes, torch.full_like(half, FLAT_LOG_SCALE)], -1)


class _CallableModule(ModuleType):
    """Importing this file first would leave the module under the function's name in `diorama.render`."""

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
        return rasterization(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
