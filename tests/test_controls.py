"""Arms with controls of their own: who is compared with whom, in scores, words and tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import small_data, small_recipe

from halpgraph.errors import UserError
from halpgraph.recipe import Recipe
from halpgraph.reports.source import Cell, read_run
from halpgraph.reports.tables import results
from halpgraph.reports.verdict import verdicts
from halpgraph.reports.words import HARD
from halpgraph.runner import run


def family(**changes: str) -> Recipe:
    official = {"method.variant": "official"}
    arms = {
        "graphcl": {"label": "GraphCL", "set": {"head": None}},
        "halp": {"label": "GraphCL + HaLP"},
        "official": {"label": "Official", "set": {"head": None, **official}},
        "official_halp": {"label": "Official + HaLP", "control": "official", "set": official},
    }
    arms["official_halp"] |= changes
    return small_recipe(arms=arms, control="graphcl", train__epochs=1, seeds=[0, 1])


def test_each_arm_is_compared_with_its_own_control(tmp_path: Path) -> None:
    finished = run(family(), runs=tmp_path, dataset=small_data(), quiet=True, jobs=1)
    cell = read_run(finished.path).cells[0]
    pairs = {(d["treatment"], d["reference"]) for d in cell.differences}
    assert pairs == {
        ("halp", "graphcl"),
        ("official", "graphcl"),
        ("official_halp", "official"),
    }
    found = verdicts(cell)
    assert len(found) == 3
    said = " ".join(v.text for v in found)
    assert "Official + HaLP and Official:" in said or "than Official:" in said
    lines = {line.cells[0]: line.cells[-1] for line in results(cell).lines}
    assert lines["Official + HaLP"].endswith("to Official")
    assert lines["Official"].endswith("to GraphCL")
    assert results(cell).header[-1] == "minus its control"


@pytest.mark.parametrize("name", ["nobody", "official_halp"])
def test_a_control_must_be_another_arm(name: str) -> None:
    with pytest.raises(UserError, match=r"arms\.official_halp\.control: no other arm is called"):
        family(control=name)


def test_an_arm_like_its_own_control_is_refused(tmp_path: Path) -> None:
    recipe = family()
    twin = recipe.arms["official_halp"].model_copy(
        update={"set": {"head": None, "method.variant": "official"}}
    )
    recipe = recipe.model_copy(update={"arms": {**recipe.arms, "official_halp": twin}})
    with pytest.raises(UserError, match="official_halp: the same as its control official"):
        run(recipe, runs=tmp_path, dataset=small_data(), quiet=True, jobs=1)


def test_of_many_treatments_the_floor_is_told_once() -> None:
    def row(name: str, kind: str, mean: float) -> dict[str, object]:
        said = {"mean": mean, "n_seeds": 3, "n_folds": 1}
        return {
            "row": name,
            "label": name.upper(),
            "kind": kind,
            "evaluator": "knn",
            "control": "plain" if kind == "treatment" else None,
            "metrics": {"accuracy": said},
        }

    def gap(name: str, **tested: object) -> dict[str, object]:
        same = {"reference": "plain", "evaluator": "knn", "metric": "accuracy"}
        return {"treatment": name, "mean": 0.02, **same, **tested}

    rows = [row("raw", "floor", 0.5), row("plain", "control", 0.4)]
    rows += [row(f"t{i}", "treatment", 0.3 + 0.1 * i) for i in range(4)]
    tested = [gap(f"t{i}", ci=[-0.01, 0.05], p=0.3) for i in range(4)]
    found = verdicts(Cell("set", {}, rows, tested))
    assert [v.tone for v in found] == ["unknown", "none"]
    assert (
        "the strongest floor, RAW, judged by knn, reaches 50.0; above it: T3 (60.0), 1 of 4"
        in found[0].text
    )
    assert all(v.floor == "" for v in found)
    assert len(verdicts(Cell("set", {}, rows[:5], tested))) == 3
    together = found[1].sentence.replace(HARD, " ")
    opening = "set: no evidence of a difference (3 seeds × 1 fold); 95 % intervals: "  # noqa: RUF001
    each = [f"T{i} minus PLAIN: +2.0 points, −1.0 to +5.0" for i in range(4)]  # noqa: RUF001
    assert together == opening + "; ".join(each) + "."

    better = [gap("t0", ci=[0.01, 0.03], p=0.01), *tested[1:]]
    tones = [v.tone for v in verdicts(Cell("set", {}, rows, better))]
    assert tones == ["unknown", "better", "none", "none", "none"]

    some = [*tested[:2], gap("t2", ci=None, p=None), gap("t3", ci=None, p=None)]
    found = verdicts(Cell("set", {}, rows, some))
    assert [v.tone for v in found] == ["unknown", "none", "none", "unknown"]
    wanted = "differences measured, not tested (3 seeds × 1 fold), to PLAIN: "  # noqa: RUF001
    assert found[-1].text.replace(HARD, " ") == wanted + "T2 +2.0 points, T3 +2.0 points."
