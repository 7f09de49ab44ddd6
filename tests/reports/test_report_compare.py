"""Comparison of runs: pairing against a calculation by hand, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_run import FakeRun
from scipy import stats

from halpgraph.errors import UserError
from halpgraph.reports.compare import compare_runs, comparison_markdown, comparison_text


def run(folder: Path, **settings: object) -> Path:
    wanted = {"graphs": 20, "seeds": 3, "folds": 5, "epochs": 1, "evaluators": ("svm",)} | settings
    return FakeRun(**wanted).write(folder)  # type: ignore[arg-type]


def fold_scores(path: Path, arm: str, seeds: tuple[int, ...]) -> np.ndarray:
    files = [path / "MUTAG" / arm / f"seed-{seed}" / "svm.json" for seed in seeds]
    return np.array([json.loads(file.read_text())["metrics"]["accuracy"] for file in files])


def by_hand(gaps: np.ndarray) -> tuple[float, float, float, float]:
    """Nadeau and Bengio's corrected interval, written out value by value."""
    seeds, folds = gaps.shape
    count = seeds * folds
    mean = sum(gap for row in gaps for gap in row) / count
    variance = sum((gap - mean) ** 2 for row in gaps for gap in row) / (count - 1)
    error = (variance * (1 / count + 1 / (folds - 1))) ** 0.5
    half = stats.t.ppf(0.975, count - 1) * error
    return mean, mean - half, mean + half, 2 * stats.t.sf(abs(mean) / error, count - 1)


def accuracy(rows: list[dict], **wanted: str) -> dict:
    (row,) = (
        r for r in rows if r["metric"] == "accuracy" and all(r[k] == v for k, v in wanted.items())
    )
    return row


def test_two_runs_are_paired_over_shared_seeds(tmp_path: Path) -> None:
    one = run(tmp_path / "one", seed=1)
    two = run(tmp_path / "two", seed=2, seeds=5)
    found = accuracy(compare_runs([one, two]), arm="halp")
    seeds = (0, 1, 2)
    gaps = fold_scores(two, "halp", seeds) - fold_scores(one, "halp", seeds)
    mean, low, high, p = by_hand(gaps)
    assert found["reference_arm"] == "halp"
    assert (found["run"], found["reference_run"]) == ("two", "one")
    assert found["seeds"] == [0, 1, 2]
    assert found["mean"] == pytest.approx(mean, abs=1e-12)
    assert found["ci"] == pytest.approx((low, high), abs=1e-12)
    assert found["p"] == pytest.approx(p, abs=1e-12)
    assert found["n_folds"] == 5


def test_one_run_compares_its_arms_with_the_control(tmp_path: Path) -> None:
    one = run(tmp_path / "one")
    rows = compare_runs([one])
    found = accuracy(rows)
    gaps = fold_scores(one, "halp", (0, 1, 2)) - fold_scores(one, "control", (0, 1, 2))
    assert (found["arm"], found["reference_arm"]) == ("halp", "control")
    assert found["mean"] == pytest.approx(gaps.mean(), abs=1e-12)


def test_seeds_are_matched_by_number_not_by_place(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one", seed=1), run(tmp_path / "two", seed=2)
    for file in (two / "MUTAG" / "halp" / "seed-0").iterdir():
        file.unlink()
    found = accuracy(compare_runs([one, two]), arm="halp")
    gaps = fold_scores(two, "halp", (1, 2)) - fold_scores(one, "halp", (1, 2))
    assert found["seeds"] == [1, 2]
    assert found["mean"] == pytest.approx(gaps.mean(), abs=1e-12)


def test_arms_without_a_shared_name_are_all_compared(tmp_path: Path) -> None:
    one = run(tmp_path / "one", arms=("graphcl",))
    two = run(tmp_path / "two", arms=("halp", "other"))
    pairs = {(row["arm"], row["reference_arm"]) for row in compare_runs([one, two])}
    assert pairs == {("halp", "graphcl"), ("other", "graphcl")}


def test_other_data_is_refused(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    scores = json.loads((two / "scores.json").read_text())
    scores["cells"][0]["data"]["fingerprint"] = "another"
    (two / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(UserError, match=r"MUTAG is not the same data.*another"):
        compare_runs([one, two])


def test_other_folds_are_refused_and_named(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    file = two / "MUTAG" / "halp" / "seed-1" / "svm.json"
    found = json.loads(file.read_text())
    found["fold"][3], found["fold"][4] = 7, 8
    file.write_text(json.dumps(found))
    with pytest.raises(UserError, match="seed 1, svm: 2 of 20 graphs are in other test folds"):
        compare_runs([one, two])


def test_evaluators_of_one_name_that_are_not_one_are_refused(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    scores = json.loads((two / "scores.json").read_text())
    for row in scores["cells"][0]["rows"]:
        row["evaluator_label"] = "SVM (linear), nested 5-fold"
    (two / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(UserError, match=r"svm is SVM \(linear\) in .*two and "):
        compare_runs([one, two])


def test_same_folds_in_another_order_of_graphs_are_the_same(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two")
    for file in two.glob("MUTAG/halp/seed-*/svm.json"):
        found = json.loads(file.read_text())
        found["id"], found["fold"] = found["id"][::-1], found["fold"][::-1]
        file.write_text(json.dumps(found))
    assert compare_runs([one, two])


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    one, two = run(tmp_path / "one"), run(tmp_path / "two", cells=("DD",))
    with pytest.raises(UserError, match="no cell, evaluator and seed in common"):
        compare_runs([one, two])
    with pytest.raises(UserError, match="no runs"):
        compare_runs([])


def test_folds_that_could_not_be_scored_are_left_out(tmp_path: Path) -> None:
    one = run(tmp_path / "one")
    file = one / "MUTAG" / "halp" / "seed-0" / "svm.json"
    found = json.loads(file.read_text())
    found["metrics"]["accuracy"][2] = None
    file.write_text(json.dumps(found))
    row = accuracy(compare_runs([one]))
    ours = fold_scores(one, "halp", (0, 1, 2)).astype(float)
    gaps = ours - fold_scores(one, "control", (0, 1, 2))
    assert row["mean"] == pytest.approx(np.nanmean(gaps), abs=1e-12)


def test_text_and_markdown_show_every_row(tmp_path: Path) -> None:
    rows = compare_runs([run(tmp_path / "one", seed=1), run(tmp_path / "two", seed=2)])
    text = comparison_text(rows)
    assert text.count("MUTAG svm") == len(rows)
    assert all(len(line) <= 100 for line in text.splitlines())
    lines = comparison_markdown(rows).strip().splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.count("|") for line in lines}) == 1
