"""Rules of the house: rooms do not import each other, files stay small, no machine is named."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("views", "encoders", "methods", "heads", "evaluators")
FILES = sorted((ROOT / "halpgraph").rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_do_not_import_each_other(room: str) -> None:
    others = {f"halpgraph.{other}" for other in ROOMS if other != room} | {
        "halpgraph.data",
        "halpgraph.engine",
        "halpgraph.runner",
        "halpgraph.reports",
    }
    for path in (ROOT / "halpgraph" / room).glob("*.py"):
        for module in imports(path):
            assert not any(module == o or module.startswith(f"{o}.") for o in others), (
                path.name,
                module,
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_no_machine_is_named() -> None:
    files = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    ).stdout.split()
    if not files:
        pytest.skip("not a git checkout")
    pattern = re.compile(r"(?<![\w.])/(work|farm|root)/|(?<!\w)/tmp/\w")
    for name in files:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".html", ".j2", ""):
            text = path.read_text(encoding="utf-8", errors="ignore")
            if path.name != "test_house.py":
                assert not pattern.search(text), name


def test_every_recipe_and_card_is_in_the_wheel() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'recipes = "halpgraph/_shipped/recipes"' in text
    assert 'datasets = "halpgraph/_shipped/datasets"' in text
