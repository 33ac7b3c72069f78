"""The kernels under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer, on every SIMD level.

`sanitize.cpp` runs them without Python, as sanitizers and an interpreter full of foreign threads do not mix.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from diorama import kernels

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "kernels" / "cpu"
SANITIZERS = {"address": "-fsanitize=address,undefined", "thread": "-fsanitize=thread"}
COMMON = "-std=c++17 -O1 -g -fno-sanitize-recover=all -fno-math-errno -fno-trapping-math -ffp-contract=fast"
LEVELS = {
    "portable": "-Wno-psabi",
    "avx2": "-DDIORAMA_AVX2 -march=x86-64-v3",
    "avx512": "-DDIORAMA_AVX512 -march=x86-64-v4 -mprefer-vector-width=512",
}
"""As in kernels/CMakeLists.txt."""


IS_X86 = platform.machine() in ("x86_64", "AMD64")
QUIET = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
"""Leaks are not looked for: that needs ptrace, which containers forbid; workers and caches live until the end."""


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(c) for c in command], check=False, env=os.environ | QUIET, capture_output=True, text=True, timeout=600
    )


def compiler() -> str:
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return name
    pytest.skip("no C++ compiler (set CXX)")


def flags(*more: str) -> list[str]:
    x86 = ["-DDIORAMA_X86_LEVELS"] if IS_X86 else []
    return shlex.split(COMMON) + [f"-I{SOURCES}", "-DDIORAMA_TIGHT_MEMORY", *x86, *more]


def compile_to(out: Path, *arguments: str | Path) -> Path:
    done = call(compiler(), *arguments, "-o", out)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module", params=SANITIZERS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, sanitizer = tmp_path_factory.mktemp(request.param), SANITIZERS[request.param]
    hello = folder / "hello.cpp"
    hello.write_text("int main() { return 0; }")
    if call(compiler(), sanitizer, hello, "-o", folder / "hello").returncode:
        pytest.skip(f"{compiler()} cannot build with {sanitizer}")
    if run(folder / "hello").returncode:
        pytest.skip(f"programs built with {sanitizer} do not start on this machine")
    common = [s for s in SOURCES.glob("*.cpp") if not s.stem.startswith("level")]
    objects = [compile_to(folder / f"{s.stem}.o", *flags(sanitizer, "-c"), s) for s in common]
    for level in LEVELS if IS_X86 else ["portable"]:
        more = flags(sanitizer, *shlex.split(LEVELS[level]), f"-DDIORAMA_LEVEL={level}", "-c")
        for part in SOURCES.glob("level*.cpp"):
            objects.append(compile_to(folder / f"{level}_{part.stem}.o", *more, part))
    return compile_to(folder / "sanitize", *flags(sanitizer, "-pthread"), HERE / "sanitize.cpp", *objects)


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Older ThreadSanitizers do not start where the system spreads addresses widely.
    steady = ["setarch", platform.machine(), "-R"]
    if not shutil.which("setarch") or call(*steady, "true").returncode:
        steady = []
    return call(*steady, program, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("level", kernels.simd_levels())
def test_nothing_is_reported(program: Path, level: str) -> None:
    done = run(program, level)
    assert done.returncode == 0, done.stderr[:4000]
    assert done.stdout == f"{level}: nothing found\n" and not done.stderr


@pytest.mark.slow
def test_mistakes_are_reported(program: Path) -> None:
    """The guard of this file: a build that finds nothing must be one that would."""
    mistakes = {"overflow": "heap-buffer-overflow", "undefined": "signed integer overflow"}
    if program.parent.name.startswith("thread"):
        mistakes = {"race": "data race"}
    for mistake, report in mistakes.items():
        done = run(program, mistake)
        assert done.returncode != 0 and report in done.stderr, f"{mistake}: {done.stderr[:2000]}"


def test_the_driver_fits_the_kernels() -> None:
    """Signatures change more often than `make test-slow` runs."""
    command = [compiler(), *flags("-fsyntax-only", "-Wall", "-Wextra", "-Werror"), str(HERE / "sanitize.cpp")]
    done = call(*command)
    assert done.returncode == 0, done.stderr[:4000]
