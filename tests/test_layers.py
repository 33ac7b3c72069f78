"""The layers go one way: `docs/conventions.md` states the table, this test holds the code to it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

MAY_IMPORT: dict[str, set[str]] = {
    "capture": set(),
    "kernels": set(),
    "render": {"capture", "kernels"},
    "reconstruct": {"capture", "kernels", "render"},
    "viewer": {"capture", "render", "reconstruct"},
    "studio": {"capture", "kernels", "render", "reconstruct", "viewer"},
}


def imported_folders(source: str, folder: str) -> list[tuple[int, str]]:
    """(line, folder) of every import of another of our folders, and of every import that breaks the house rules.

    Reads the syntax tree, so imports inside functions and under TYPE_CHECKING count. A bare `import render` or an
    absolute import of the own folder is returned as "bare:..." or "own:..."; no table row allows those.
    """
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"diorama.{alias.name}" for alias in node.names] if node.module == "diorama" else [node.module]
        elif (
            isinstance(node, ast.Call)
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
            and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
        ):
            names = [node.args[0].value]
        for name in names:
            parts = name.split(".")
            if parts[0] in MAY_IMPORT:
                found.append((node.lineno, f"bare:{parts[0]}"))
            elif parts[0] == "diorama" and len(parts) > 1:
                found.append((node.lineno, f"own:{folder}" if parts[1] == folder else parts[1]))
    return found


def violations(source: str, folder: str) -> list[str]:
    return [
        f"line {line}: {folder}/ may not import {target}"
        for line, target in imported_folders(source, folder)
        if target not in MAY_IMPORT[folder]
    ]


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_folder_imports_only_what_the_table_allows(folder: str) -> None:
    files = [p for p in (ROOT / folder).rglob("*.py") if "node_modules" not in p.parts]
    assert files, f"{folder}/ holds no Python file"
    wrong = [f"{p.relative_to(ROOT)} {v}" for p in files for v in violations(p.read_text(), folder)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("capture", "import diorama.render"),
        ("capture", "def f():\n    from diorama.kernels import x"),
        ("render", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import diorama.studio"),
        ("viewer", "from diorama import studio"),
        ("kernels", "import importlib\nimportlib.import_module('diorama.capture')"),
        ("render", "import capture"),
        ("render", "import diorama.render.splats"),
    ],
)
def test_the_guard_catches(folder: str, source: str) -> None:
    assert violations(source, folder)


def test_the_root_is_a_namespace_without_files() -> None:
    assert not (ROOT / "diorama").exists()
    assert not (ROOT / "__init__.py").exists()
