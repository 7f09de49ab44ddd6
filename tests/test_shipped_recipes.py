"""Every shipped recipe, made small, runs from raw files to a report on MUTAG."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halpgraph.recipe_files import read_recipe
from halpgraph.runner import run
from halpgraph.shipped import shipped

RECIPES = sorted(path.stem for path in shipped("recipes").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs_to_its_report(name: str, tmp_path: Path) -> None:
    content, _ = read_recipe(name)
    grid = {key: values[:2] for key, values in content.get("grid", {}).items()}
    grid = {"data.name": ["MUTAG"]} if "data.name" in grid else grid
    small = ["data.name=MUTAG", "seeds=[0]", "train.epochs=1", f"grid={grid}"]
    folder = run(name, overrides=small, runs=tmp_path, jobs=1, quiet=True)
    cells = folder.scores["cells"]
    assert len(cells) == max(len(values) for values in [*grid.values(), [0]])
    for cell in cells:
        rows = {row["row"]: row["metrics"]["accuracy"]["mean"] for row in cell["rows"]}
        assert {"halp", "graphcl", *content["floors"]} == set(rows)
        assert all(0.5 < mean <= 1 for mean in rows.values())
        pairs = {(d["treatment"], d["reference"]) for d in cell["differences"]}
        wanted = {("halp", other) for other in ("graphcl", *content["floors"])}
        wanted |= {("wl+embedding", "wl")} if "wl+embedding" in content["floors"] else set()
        assert pairs == wanted
    page = (folder.path / "report.html").read_text()
    for row in cells[0]["rows"]:
        assert row["label"] in page
        assert f"{100 * row['metrics']['accuracy']['mean']:.1f}" in page
    assert not re.search(r"\bnan\b|\bNone\b", re.sub(r"<[^>]*>", " ", page.split("<pre")[0]))
