"""The registry of networks that Diorama runs but does not train: data, and nothing else.

How a picture is fed to a depth network and what comes back stands here (`DepthForm`), so that a new network is a new
entry and no new code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Triple = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Tiling:
    """How large pictures are cut for a network that sees more in a part than in the whole.

    tile_px: the shorter side of a part as it is fed; overlap: of neighbouring parts, a share of their size.
    """

    tile_px: int
    overlap: float = 0.25


@dataclass(frozen=True)
class DepthForm:
    """How a depth network is fed and what it says.

    says: `metres` (z, true scale), `depth` (z up to scale and shift), `disparity` (1 / z up to scale and shift).
    short_px: the shorter side of the picture it is fed, where the file leaves that open.
    multiple: both sides are multiples of this.
    fit: how a picture gets into the size that is fed: `aspect` (sides rounded to multiples), `letterbox` (kept in
        shape, padded with its mean colour), `stretch`. A file that fixes its size turns `aspect` into `letterbox`.
    value_range: what white is, before `mean` is taken off and the rest divided by `std`.
    outputs: names of the output to read, the first that is there; the file's first one when none is.
    z_channel: of an output that holds points (h, w, 3), the one that is depth.
    kept: (output, threshold) of what says where depth means anything, at least the threshold; `dropped`: the same for
        where it means nothing (sky).
    given: further inputs by name, whole numbers.
    tiling: None where parts of a picture say less than the whole.
    """

    says: Literal["metres", "depth", "disparity"]
    short_px: int
    multiple: int
    fit: Literal["aspect", "letterbox", "stretch"] = "aspect"
    value_range: float = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    outputs: tuple[str, ...] = ()
    z_channel: int | None = None
    kept: tuple[str, float] | None = None
    dropped: tuple[str, float] | None = None
    given: tuple[tuple[str, int], ...] = ()
    tiling: Tiling | None = None


@dataclass(frozen=True)
class Network:
    """A weight file that somebody else made.

    source: address it can be downloaded from, or None when it must be brought along.
    sha256: None where nobody here has seen the file: it is then never picked up by its name alone, only when a person
        names the file (`--network-file`), and what it was is recorded.
    size_bytes: with `sha256`, None without.
    input_form: what the network is fed, in words.
    depth: for networks that estimate depth.
    tested: whether the file was run by this project; entries that were not follow their publishers' documents.
    preference: of several networks at hand for one task, that with the least is taken unless one is named.
    """

    name: str
    task: str
    licence: str
    source: str | None
    sha256: str | None
    size_bytes: int | None
    file_name: str
    input_form: str
    depth: DepthForm | None = None
    tested: bool = True
    preference: int = 0


_DEPTH_ANYTHING_2 = DepthForm(
    says="disparity",
    short_px=518,
    multiple=14,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    outputs=("predicted_depth", "depth"),
)
_DEPTH_ANYTHING_3 = DepthForm(
    says="depth",
    short_px=378,
    multiple=14,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    outputs=("depth", "predicted_depth"),
)
_IMAGENET_WORDS = "float32 (1, 3, H, W), RGB 0 to 1 less ImageNet's mean, over its deviation, sides multiples of 14"

_ENTRIES = (
    Network(
        name="lpips_alex",
        task="perceptual distance of two pictures (LPIPS 0.1, AlexNet)",
        licence="BSD-2-Clause (linear heads), BSD-3-Clause (AlexNet)",
        source=None,
        sha256="2dd5ad25eae24bf16adf53038dc9246b72dbd67c8442f83e10c4d11c10760a0c",
        size_bytes=9_887_547,
        file_name="lpips_alex.onnx",
        input_form="img0, img1: float32 (N, 3, H, W), RGB in -1 to 1; output lpips (N, 1, 1, 1)",
    ),
    Network(
        name="tcmonodepth",
        task="relative depth of one picture (TCMonoDepth small, Li et al. 2021)",
        licence="MIT",
        source=None,
        sha256="cb6d13b6ca7b85051b5c2c88bddd0639fe68e359d94375267727ecb43c5058e7",
        size_bytes=792_261,
        file_name="tcmonodepth_small_dynamic.onnx",
        input_form="input: float32 (1, 3, H, W), RGB 0 to 255, sides multiples of 32; output disparity",
        depth=DepthForm(
            says="disparity",
            short_px=384,
            multiple=32,
            value_range=255.0,
            outputs=("disparity",),
            tiling=Tiling(384),
        ),
        preference=8,
    ),
    Network(
        name="fastdepth",
        task="depth indoors in metres (FastDepth, Wofk et al. 2019; NYU Depth v2)",
        licence="MIT",
        source=None,
        sha256="6275c23f467d476874d0eecea2a2c7059733ca6681de4f17bfbfe3fc3a52a71d",
        size_bytes=5_775_869,
        file_name="fastdepth_7.onnx",
        input_form="0: float32 (1, 3, 224, 224), RGB 0 to 1; output 350, metres",
        depth=DepthForm(says="metres", short_px=224, multiple=32, fit="letterbox", outputs=("350",)),
        preference=9,
    ),
    Network(
        name="depth_anything_v2_small",
        task="relative depth of one picture (Depth Anything V2 small, Yang et al. 2024)",
        licence="Apache-2.0",
        source="https://huggingface.co/onnx-community/depth-anything-v2-small/resolve/"
        "4472b7362082ad9968fee890ca0f1e5aca36b93d/onnx/model.onnx",
        sha256="afb6a5c28f3b6bf1618c6e43f02073ef9dfdc70e937502d51603e57b0a1df10c",
        size_bytes=99_060_839,
        file_name="depth_anything_v2_small.onnx",
        input_form=f"pixel_values: {_IMAGENET_WORDS}; output predicted_depth, disparity",
        depth=_DEPTH_ANYTHING_2,
        tested=False,
        preference=6,
    ),
    Network(
        name="depth_anything_v2_base",
        task="relative depth of one picture (Depth Anything V2 base, Yang et al. 2024)",
        licence="CC-BY-NC-4.0",
        source="https://huggingface.co/yuvraj108c/Depth-Anything-2-Onnx/resolve/"
        "2d309d93d4639d4a5b1adf95b2bf01db310c1d98/depth_anything_v2_vitb.onnx",
        sha256="83c9029c09d03d05ee3259405a8e09d7ade7bd663f29f2b7b8c0b06f5f09e554",
        size_bytes=391_328_137,
        file_name="depth_anything_v2_vitb.onnx",
        input_form=f"{_IMAGENET_WORDS}; one output, disparity",
        depth=_DEPTH_ANYTHING_2,
        tested=False,
        preference=4,
    ),
    Network(
        name="depth_anything_v2_large",
        task="relative depth of one picture (Depth Anything V2 large, Yang et al. 2024)",
        licence="CC-BY-NC-4.0",
        source="https://huggingface.co/yuvraj108c/Depth-Anything-2-Onnx/resolve/"
        "288ad59b2f714a7d30fceb8e3ba6e94919ed6ec4/depth_anything_v2_vitl.onnx",
        sha256="a8779462763a10c7fbfa9700a948a9d3664f39424e8a7d78fc924f529f72a505",
        size_bytes=1_341_282_174,
        file_name="depth_anything_v2_vitl.onnx",
        input_form=f"{_IMAGENET_WORDS}; one output, disparity",
        depth=_DEPTH_ANYTHING_2,
        tested=False,
        preference=1,
    ),
    Network(
        name="depth_anything_3_small",
        task="relative depth of one picture (Depth Anything 3 small, weights in 8 bit, Lin et al. 2025)",
        licence="Apache-2.0",
        source="https://huggingface.co/ohaiibuzzle/DA3-ONNX/resolve/main/da3_s_504x378_int8.onnx",
        sha256="9194a0d5602d71e6407aabeb50ebe5bde9fb25d0c35514b7ef868219034e14d7",
        size_bytes=37_027_601,
        file_name="da3_s_504x378_int8.onnx",
        input_form="image: float32 (1, 3, 378, 504), ImageNet-normalised RGB; output depth, far is large",
        depth=_DEPTH_ANYTHING_3,
        tested=False,
        preference=7,
    ),
    Network(
        name="depth_anything_3_large",
        task="relative depth of one picture (Depth Anything 3 mono large, Lin et al. 2025)",
        licence="Apache-2.0",
        source="https://huggingface.co/ohaiibuzzle/DA3-ONNX/resolve/main/da3mono_l_504x378.onnx",
        sha256="9b1b3f1495a9273adb4abcdc3e716416a28716b6bda4f13a29da462200e931ec",
        size_bytes=1_336_957_133,
        file_name="da3mono_l_504x378.onnx",
        input_form="image: float32 (1, 3, 378, 504), ImageNet-normalised RGB; outputs depth (far is large) and sky",
        depth=DepthForm(
            says="depth",
            short_px=378,
            multiple=14,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            outputs=("depth",),
            dropped=("sky", 0.3),
        ),
        tested=False,
        preference=2,
    ),
    Network(
        name="moge_2_small",
        task="points of one picture up to scale and shift (MoGe-2 small with normals, Wang et al. 2025)",
        licence="MIT",
        source="https://huggingface.co/Ruicheng/moge-2-vits-normal-onnx/resolve/"
        "e50ffda41565591092adea54c6ac83d6212e1e23/model.onnx",
        sha256="24eacb5dc7a2c54c7bc98f7de085ffbed79ad006ea5b664c2c2cdc02ff3a52f0",
        size_bytes=140_852_051,
        file_name="moge-2-vits-normal.onnx",
        input_form="image: float32 (1, 3, H, W), RGB 0 to 1; num_tokens; outputs points (1, H, W, 3), mask",
        depth=DepthForm(
            says="depth",
            short_px=476,
            multiple=14,
            outputs=("points",),
            z_channel=2,
            kept=("mask", 0.5),
            given=(("num_tokens", 1_564),),
        ),
        tested=False,
        preference=5,
    ),
    Network(
        name="depth_pro",
        task="depth of one picture in metres (Depth Pro, Bochkovskii et al. 2024)",
        licence="Apple Sample Code License",
        source=None,
        sha256=None,
        size_bytes=None,
        file_name="depth_pro.onnx",
        input_form="pixel_values: (1, 3, 1536, 1536), RGB -1 to 1; output predicted_depth, metres. Exports: "
        "huggingface.co/onnx-community/DepthPro-ONNX",
        depth=DepthForm(
            says="metres",
            short_px=1_536,
            multiple=1_536,
            fit="stretch",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            outputs=("predicted_depth", "depth"),
        ),
        tested=False,
        preference=3,
    ),
)

NETWORKS: Mapping[str, Network] = MappingProxyType({network.name: network for network in _ENTRIES})
