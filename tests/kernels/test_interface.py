"""What the kernels refuse, what they promise about imports and machines, and the block layout."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from diorama import kernels
from diorama.kernels import (
    Photo,
    SplatStatistics,
    StepConfig,
    pack,
    photo_loss,
    render,
    render_backward,
    rows_from_blocks,
    train_step,
    unpack,
    zero_blocks,
)

from .scenes import axis_view, camera, cloud


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_unpack_inverts_pack(count: int, degree: int) -> None:
    splats = cloud(count, sh_degree=degree)
    blocks = pack(*splats)
    assert blocks.shape == ((count + 15) // 16, 59, 16) and blocks.dtype == np.float32
    assert count == 0 or blocks.ctypes.data % 64 == 0
    for a, b in zip(unpack(blocks, count, degree), splats, strict=True):
        assert a.shape == b.shape and np.array_equal(a, b)


def test_the_layout_is_the_documented_one() -> None:
    splats = cloud(20)
    blocks = pack(*splats)
    assert blocks[1, 0, 3] == splats.means[19, 0]
    assert blocks[0, 6, 5] == splats.quats[5, 3]
    assert blocks[0, 10, 2] == splats.logit_opacities[2]
    assert blocks[0, 11 + 3 * 4 + 2, 7] == splats.sh[7, 4, 2]


def good_step() -> dict[str, object]:
    return {
        "blocks": pack(*cloud(20)),
        "exp_avg": zero_blocks(20),
        "exp_avg_sq": zero_blocks(20),
        "count": 20,
        "view": axis_view(20, 16),
        "photo": Photo(np.zeros((16, 20, 3), np.uint8)),
        "config": StepConfig(step=1),
    }


def read_only(blocks: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    blocks.flags.writeable = False
    return blocks


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("blocks", zero_blocks(20).astype(np.float64), TypeError, "blocks is float64"),
        ("blocks", [1, 2, 3], TypeError, "blocks is a list"),
        ("blocks", np.zeros((2, 58, 16), np.float32), ValueError, r"blocks is float32\(2, 58, 16\), expected"),
        ("blocks", np.zeros((2, 59), np.float32), ValueError, r"blocks is float32\(2, 59\), expected"),
        ("blocks", np.zeros((2, 16, 59), np.float32).swapaxes(1, 2), ValueError, "blocks is not C-contiguous"),
        ("blocks", read_only(zero_blocks(20)), ValueError, "read-only"),
        ("exp_avg", zero_blocks(40), ValueError, "exp_avg"),
        ("exp_avg_sq", None, TypeError, "exp_avg_sq is a NoneType"),
        ("count", 33, ValueError, "count is 33, but blocks hold 0 to 32"),
        ("count", -1, ValueError, "count is -1"),
        ("view", axis_view(16, 20), ValueError, "size"),
        ("config", StepConfig(step=1, sh_degree=4), ValueError, "sh_degree"),
        ("statistics", SplatStatistics.zeros(19), ValueError, "gradient_norms"),
    ],
)
def test_train_step_refuses(name: str, value: object, error: type[Exception], words: str) -> None:
    arguments = good_step() | {name: value}
    before = good_step()["blocks"]
    with pytest.raises(error, match=words):
        train_step(**arguments)  # type: ignore[arg-type]
    if name != "blocks":
        assert np.array_equal(arguments["blocks"], before), "nothing is changed"  # type: ignore[arg-type]


def test_other_functions_refuse() -> None:
    picture = render(pack(*cloud(20)), 20, axis_view(20, 16))
    with pytest.raises(ValueError, match="d_rgb"):
        render_backward(picture.context, np.zeros((16, 20), np.float32))
    with pytest.raises(TypeError, match="d_alpha is float64"):
        render_backward(picture.context, picture.rgb, np.zeros((16, 20)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="background has 2"):
        render(pack(*cloud(20)), 20, axis_view(20, 16), background=(0.0, 1.0))
    with pytest.raises(TypeError, match="rgb is float32"):
        Photo(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mask"):
        Photo(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8))
    with pytest.raises(ValueError, match="1 to 16000"):
        Photo(np.zeros((0, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="rgb"):
        photo_loss(np.zeros((4, 4, 3), np.float32), Photo(np.zeros((4, 5, 3), np.uint8)))
    for options in ({"step": 0}, {"step": 1, "ssim_weight": 1.5}, {"step": 1, "beta2": 1.0}):
        with pytest.raises(ValueError, match=r"step|ssim_weight|beta"):
            StepConfig(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="59"):
        rows_from_blocks(np.zeros((2, 3, 16), np.float32), 2)
    with pytest.raises(ValueError, match="sse9"):
        kernels.set_simd_level("sse9")
    with pytest.raises(ValueError, match="1 to 256"):
        kernels.set_thread_count(0)


def in_child(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_kernels_does_not_import_torch() -> None:
    assert in_child("import sys, diorama.kernels; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("name", kernels.simd_levels())
def test_environment_chooses_level_and_threads(name: str) -> None:
    code = "from diorama import kernels as k; print(k.simd_level(), k.thread_count())"
    assert in_child(code, DIORAMA_SIMD=name, DIORAMA_THREADS="3") == f"{name} 3"


def test_portable_is_always_there() -> None:
    assert kernels.simd_levels()[-1] == "portable" and set(kernels.simd_levels()) <= {"avx512", "avx2", "portable"}


def test_a_forked_child_can_draw() -> None:
    """Worker threads do not survive a fork; the child starts its own."""
    code = (
        "import os, numpy as np\n"
        "from diorama.kernels import View, render, zero_blocks\n"
        "view = View(64, 64, 9.0, 9.0, 4.0, 4.0, np.eye(3, 4))\n"
        "draw = lambda: render(zero_blocks(20), 20, view)\n"
        "draw()\n"
        "pid = os.fork()\n"
        "draw()\n"
        "if pid == 0: os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert in_child("import warnings; warnings.simplefilter('ignore')\n" + code, DIORAMA_THREADS="2") == "7"


def test_threads_of_the_caller_take_turns() -> None:
    """A viewer draws while training runs: both get what they would get alone."""
    blocks = pack(*cloud(200))
    expected = render(blocks, 200, camera()).rgb
    photo = Photo(np.zeros((83, 101, 3), np.uint8))
    trained = pack(*cloud(200))
    m, v = zero_blocks(200), zero_blocks(200)
    wrong: list[int] = []

    def draw() -> None:
        wrong.extend(k for k in range(20) if not np.array_equal(render(blocks, 200, camera()).rgb, expected))

    drawing = threading.Thread(target=draw)
    drawing.start()
    for step in range(1, 21):
        train_step(trained, m, v, 200, camera(), photo, StepConfig(step=step))
    drawing.join()
    assert not wrong


def test_a_picture_of_impossible_size_is_refused_before_memory_is_taken() -> None:
    blocks = pack(*cloud(20))
    with pytest.raises(ValueError, match="16000"):
        render(blocks, 20, axis_view(20001, 4))
