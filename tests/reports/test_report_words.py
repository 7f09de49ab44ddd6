"""Words, ticks, maps and the console: small parts by themselves."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from halpgraph.reports import svg, words
from halpgraph.reports.console import print_scores
from halpgraph.reports.maps import project
from halpgraph.reports.markdown import escape
from halpgraph.reports.source import Cell, Run
from halpgraph.reports.tables import overview
from halpgraph.reports.verdict import verdicts


def cell(mean: float, ci: tuple[float, float], p: float, metric: str = "accuracy") -> Cell:
    said = {"per_seed": [], "sd_seeds": 0.01, "sd_folds": 0.02, "ci": None}
    said |= {"n_seeds": 5, "n_folds": 10}
    rows = [
        ("wl", "WL kernel", "floor", 0.9),
        ("control", "GraphCL", "control", 0.8),
        ("halp", "HaLP", "treatment", 0.8 + mean),
    ]
    return Cell(
        name="MUTAG",
        data={},
        rows=[
            {
                "row": name,
                "label": label,
                "kind": kind,
                "evaluator": "svm",
                "metrics": {metric: {**said, "mean": value}},
            }
            for name, label, kind, value in rows
        ],
        differences=[
            {
                "treatment": "halp",
                "reference": "control",
                "evaluator": "svm",
                "metric": metric,
                "mean": mean,
                "ci": list(ci),
                "p": p,
            }
        ],
    )


@pytest.mark.parametrize(
    ("mean", "ci", "metric", "tone"),
    [
        (0.002, (-0.011, 0.015), "accuracy", "none"),
        (0.02, (0.01, 0.03), "accuracy", "better"),
        (-0.02, (-0.03, -0.01), "accuracy", "worse"),
        (0.02, (0.01, 0.03), "rmse", "worse"),
        (-0.02, (-0.03, -0.01), "rmse", "better"),
    ],
)
def test_tone_follows_the_interval(
    mean: float, ci: tuple[float, float], metric: str, tone: str
) -> None:
    (found,) = verdicts(cell(mean, ci, 0.5, metric))
    assert found.tone == tone


def test_the_sentence_of_the_issue() -> None:
    (found,) = verdicts(cell(0.002, (-0.011, 0.015), 0.74))
    said = " ".join(found.sentence.split()).replace("\N{MINUS SIGN}", "-").replace("\xa0", " ")
    assert said == (
        "MUTAG: no evidence of a difference between HaLP and GraphCL: +0.2 points, 95 % interval "
        "-1.1 to +1.5 (5 seeds \N{MULTIPLICATION SIGN} 10 folds). The strongest floor, WL kernel, "
        "reaches 90.0; HaLP, at 80.2, is below it."
    )


def test_classifiers_are_named_where_the_floor_has_another_one() -> None:
    two = cell(0.002, (-0.011, 0.015), 0.74)
    two.rows[0]["evaluator"] = "knn"
    (found,) = verdicts(two)
    said = found.floor.replace("\xa0", " ")
    assert said == (
        "The strongest floor, WL kernel, judged by knn, reaches 90.0; "
        "HaLP by svm, at 80.2, is below it."
    )


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.8888, False, "88.9"),
        (0.002, True, "+0.2"),
        (-0.0110, True, "\N{MINUS SIGN}1.1"),
        (-0.0001, True, "0.0"),
        (0.0, True, "0.0"),
        (1.0, False, "100.0"),
        (None, False, "not measured"),
        (float("nan"), False, "not measured"),
        (True, False, "not measured"),
    ],
)
def test_per_cent(value: object, signed: bool, text: str) -> None:
    assert words.show(value, "accuracy", signed) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.423, "0.42 s"), (59.7, "60 s"), (725, "12 min 05 s"), (7800, "2 h 10 min")],
)
def test_seconds(value: float, text: str) -> None:
    assert words.seconds(value) == text


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.integers(3, 8),
)
def test_ticks_lie_inside_and_are_few(low: float, span: float, count: int) -> None:
    high = low + span
    marks = svg.ticks(low, high, count)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert all(low - slack <= mark <= high + slack for mark in marks)
    assert len(marks) <= count + 1
    assert marks == sorted(marks)


@given(st.text())
def test_markdown_escape_leaves_no_bare_mark(text: str) -> None:
    escaped = escape(text)
    plain = escaped
    for mark in "\\`*_{}[]<>|~#":
        plain = plain.replace("\\" + mark, "")
    assert not set(plain) & set("`*_{}[]<>|~#\n")


@pytest.mark.parametrize("shape", [(5, 3), (12, 1), (12, 2), (30, 40), (40, 3)])
def test_projection_is_finite_and_repeatable(shape: tuple[int, int]) -> None:
    z = np.random.default_rng(0).normal(size=shape)
    where, _ = project(z)
    assert where.shape == (shape[0], 2)
    assert np.isfinite(where).all()
    np.testing.assert_array_equal(where, project(z)[0])


def test_projection_keeps_far_groups_apart() -> None:
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(0, 1, (30, 8)), rng.normal(20, 1, (30, 8))])
    where, _ = project(z)
    inner = max(np.ptp(where[:30], axis=0).max(), np.ptp(where[30:], axis=0).max())
    assert np.linalg.norm(where[:30].mean(0) - where[30:].mean(0)) > inner / 2
    nearest = np.linalg.norm(where[:, None] - where[None], axis=2) + 1e9 * np.eye(60)
    assert ((nearest.argmin(1) < 30) == (np.arange(60) < 30)).all()


@pytest.mark.parametrize("width", [80, 120])
def test_console_fits_and_says_it_all(two_cells: Path, width: int) -> None:
    scores = json.loads((two_cells / "scores.json").read_text())
    out = io.StringIO()
    print_scores(scores, Console(file=out, width=width, color_system=None))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in out.getvalue()
    for one in scores["cells"]:
        for row in one["rows"]:
            assert f"{100 * row['metrics']['accuracy']['mean']:.1f}" in out.getvalue()
    said = " ".join(out.getvalue().split())
    assert said.count("strongest floor") >= len(scores["cells"])


def test_console_without_scores_prints_nothing() -> None:
    out = io.StringIO()
    print_scores({"cells": []}, Console(file=out, width=80))
    assert out.getvalue().strip() == ""


def test_the_floor_is_told_by_the_evaluator_of_the_mean_beside_it() -> None:
    """A treatment has two evaluators, the floor its own: the sentence must not mix them."""
    both = cell(0.002, (-0.011, 0.015), 0.74)
    for row in both.rows[1:]:
        row["evaluator"] = "knn"
    both.differences.clear()
    for evaluator, mean in (("svm", 0.05), ("knn", -0.098)):
        found = {"treatment": "halp", "reference": "wl", "reference_evaluator": "svm", "p": 0.9}
        found |= {"evaluator": evaluator, "metric": "accuracy", "mean": mean, "ci": [-0.2, 0.1]}
        both.differences.append(found)
    (said,) = verdicts(both)
    assert f"{words.MINUS}9.8" in said.floor
    assert "+5.0" not in said.floor


def test_rows_of_several_evaluators_are_told_apart_in_the_overview() -> None:
    one = cell(0.002, (-0.011, 0.015), 0.74)
    again = [{**row, "evaluator": "knn", "evaluator_label": "kNN"} for row in one.rows]
    many = Cell(name="MUTAG", data={}, rows=[*one.rows, *again], differences=[])
    run = Run(Path(), {}, {}, "", [many, many])
    labels = [line.cells[0] for line in overview(run).lines[:-1]]
    assert len(set(labels)) == len(labels) == 6


def test_accuracy_with_few_labels_is_told_in_words() -> None:
    assert words.plain_name("accuracy@1%") == "Accuracy with 1\N{NO-BREAK SPACE}% of labels"
    assert words.metric_name("roc_auc@20%").endswith("% of labels, %")
    rows = [{"metrics": {"accuracy@1%": {}, "accuracy": {}, "accuracy@20%": {}}}]
    assert words.metrics_of(rows) == ["accuracy", "accuracy@1%", "accuracy@20%"]
