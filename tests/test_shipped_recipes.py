"""Every shipped recipe, made small, runs from data to a report: graphs on MUTAG, poses on toys."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest

from halpgraph import registry
from halpgraph.data.cards import card_of
from halpgraph.recipe import validate
from halpgraph.recipe_files import read_recipe
from halpgraph.rundir import RunDir
from halpgraph.runner import run
from halpgraph.shipped import shipped

RECIPES = {
    path.stem: read_recipe(path.stem)[0] for path in sorted(shipped("recipes").glob("*.yaml"))
}
SMALL = {
    "bigru": {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"},
    "stgcn": {"name": "stgcn", "channels": [[8, 1], [8, 2]], "dropout": 0},
}
KEPT = {"bigru": ("concatenate", "input_norm"), "stgcn": ("input_norm", "pool")}  # of a recipe's
SHORT = {"train.epochs": 3, "encoder.hidden": 6, "method.bank": 80}  # in place of an arm's own


def of_skeletons(content: dict[str, Any]) -> bool:
    card = card_of(content["data"]["name"])
    return card is None or card.source in ("skeletons", "toy")


GRAPHS = [name for name, content in RECIPES.items() if not of_skeletons(content)]
POSES = [name for name, content in RECIPES.items() if of_skeletons(content)]


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_recipe_runs_to_its_report(name: str, tmp_path: Path) -> None:
    content = RECIPES[name]
    grid = {key: values[:2] for key, values in content.get("grid", {}).items()}
    grid = {"data.name": ["MUTAG"]} if "data.name" in grid else grid
    small = ["data.name=MUTAG", "seeds=[0]", "train.epochs=1", f"grid={grid}"]
    folder = run(name, overrides=small, runs=tmp_path, jobs=1, quiet=True)
    cells = folder.scores["cells"]
    assert len(cells) == max(len(values) for values in [*grid.values(), [0]])
    for cell in cells:
        rows = {row["row"]: row["metrics"]["accuracy"]["mean"] for row in cell["rows"]}
        control = content["control"] or next(iter(content["arms"]))
        assert {*content["arms"], *content["floors"]} == set(rows)
        assert all(0.5 < mean <= 1 for mean in rows.values())
        pairs = {(d["treatment"], d["reference"]) for d in cell["differences"]}
        treated = [arm for arm in content["arms"] if arm != control] or [control]
        others = {*content["floors"], *([control] if control not in treated else [])}
        wanted = {(arm, other) for arm in treated for other in others}
        wanted |= {("wl+embedding", "wl")} if "wl+embedding" in content["floors"] else set()
        assert pairs == wanted
    check_page(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", POSES)
def test_skeleton_recipe_runs_to_its_report(name: str, tmp_path: Path) -> None:
    content = RECIPES[name]
    assert content["data"].get("split")
    folder = run(validate(made_small(name)), runs=tmp_path, jobs=1, quiet=True)
    for cell in folder.scores["cells"]:
        rows = {row["row"]: row["metrics"]["accuracy"]["mean"] for row in cell["rows"]}
        assert {*content["arms"], *content["floors"]} == set(rows)
        assert all(rows[row] > rows.get("majority", 0.0) for row in rows if row != "majority")
        pairs = {(d["treatment"], d["reference"]) for d in cell["differences"]}
        controls = {arm: (of or {}).get("control") for arm, of in content["arms"].items()}
        against = {(arm, own or content["control"]) for arm, own in controls.items()}
        assert {(arm, own) for arm, own in against if own not in (None, arm)} <= pairs
    assert "Nearest neighbours" in check_page(folder)


def made_small(name: str) -> dict[str, Any]:
    """Return a recipe of skeletons on toy motions, with small encoders and methods, 2 epochs."""
    content, _ = read_recipe(name)
    content["data"] |= {"name": "toy", "split": "xsub", "frames": 16, "scale": "torso"}
    content["train"] |= {"epochs": 2, "device": "cpu"}
    content["train"] |= {"milestones": [1]} if "milestones" in content["train"] else {}
    content["seeds"] = [0]
    content["grid"] = {key: values[:2] for key, values in content.get("grid", {}).items()}
    if "data.split" in content["grid"]:
        content["grid"]["data.split"] = ["inside:xsub:1", "inside:xsub:3"]
    for evaluator in content["evaluators"]:
        if evaluator["name"] == "finetune":
            evaluator |= {"epochs": 2, "drops": [1], "least_steps": 0}
    arms = [arm.get("set", {}) for arm in content["arms"].values()]
    for part in (content, *arms):
        part |= {key: value for key, value in SHORT.items() if key in part}
        if part.get("encoder"):
            known = part["encoder"]["name"]
            kept = {key: part["encoder"][key] for key in KEPT[known] if key in part["encoder"]}
            part["encoder"] = SMALL[known] | kept
        if part.get("method"):
            part["method"] = small_method(part["method"])
        if part.get("head"):
            part["head"] |= {"start": 1, "bank": 64}
    return content


def small_method(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a method's spec with late stages at once and everything narrow."""
    narrow = {"bank": 100, "decoder": 16, "judge": 16, "hidden": 32, "projection": 16}
    narrow |= {"start": 1, "mine_start": 1} if spec["name"] in ("crosclr", "aimclr") else {}
    known = registry.methods.schema(spec["name"]).model_fields
    small = spec | {key: value for key, value in narrow.items() if key in known}
    if "partners" in spec:
        small["partners"] = [SMALL[partner["name"]] for partner in spec["partners"]]
    return small


def check_page(folder: RunDir) -> str:
    """Look for every row of the first cell on the page, and for what should not be there."""
    page = (folder.path / "report.html").read_text()
    for row in folder.scores["cells"][0]["rows"]:
        assert row["label"] in html.unescape(page)
        assert f"{100 * row['metrics']['accuracy']['mean']:.1f}" in page
    assert not re.search(r"\bnan\b|\bNone\b", re.sub(r"<[^>]*>", " ", page.split("<pre")[0]))
    return page
