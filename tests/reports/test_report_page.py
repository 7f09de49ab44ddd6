"""The page: whole, self-contained, true to scores.json, and unharmed by what is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_run import FakeRun
from page_parser import Page

from halpgraph.errors import UserError
from halpgraph.reports.page import write_report

NASTY = '<script>alert("x")</script>|`&amp;'


def load(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def main_tables(run: Path) -> list[list[list[str]]]:
    start = ["Row", "Evaluator", "Accuracy, %"]
    return [table for table in load(run).tables if table[0][:3] == start]


def small(folder: Path, **settings: object) -> Path:
    wanted = {"graphs": 12, "seeds": 2, "folds": 3, "epochs": 3} | settings
    return FakeRun(**wanted).write(folder / "run")  # type: ignore[arg-type]


def test_is_balanced_and_loads_nothing(two_cells: Path) -> None:
    page = load(two_cells)
    assert page.faults == []
    assert page.open == []
    assert page.loads == []
    assert "script" not in page.tags
    text = (two_cells / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import", text)
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.targets) <= set(page.ids)
    assert (two_cells / "report.html").stat().st_size < 5e6


def test_tables_say_what_scores_say(two_cells: Path) -> None:
    scores = json.loads((two_cells / "scores.json").read_text())
    tables = main_tables(two_cells)
    assert len(tables) == len(scores["cells"])
    for table, cell in zip(tables, scores["cells"], strict=True):
        shown = {(line[0].split(" strongest")[0], line[1]): line[2:] for line in table[1:]}
        assert len(shown) == len(cell["rows"])
        for row in cell["rows"]:
            line = shown[row["label"], row["evaluator_label"]]
            said = row["metrics"]["accuracy"]
            assert line[0] == f"{100 * said['mean']:.1f}"
            assert line[1] == f"{100 * said['ci'][0]:.1f} to {100 * said['ci'][1]:.1f}"
            spread = "one seed" if said["n_seeds"] == 1 else f"{100 * said['sd_seeds']:.1f}"
            assert line[2:4] == [spread, f"{100 * said['sd_folds']:.1f}"]
            assert line[4] == f"{100 * row['metrics']['balanced_accuracy']['mean']:.1f}"


def test_difference_column_is_that_of_the_row(two_cells: Path) -> None:
    cell = json.loads((two_cells / "scores.json").read_text())["cells"][0]
    table = next(t for t in load(two_cells).tables if t and t[0][:2] == ["Row", "Evaluator"])
    for found in cell["differences"]:
        if found["evaluator"] != "svm" and found["reference"] != "control":
            continue
        evaluator = {"svm": "SVM (rbf), nested 10-fold", "knn": "k nearest, cosine"}
        line = next(
            line
            for line in table
            if line[0].startswith(found["reference_label"])
            and line[1] == evaluator[found["evaluator"]]
        )
        wanted = f"{100 * found['mean']:+.1f}".replace("-", "\N{MINUS SIGN}")
        assert line[-1].split(" (")[0] == wanted.replace("+0.0", "0.0")


def test_strongest_floor_is_marked_once_a_cell(two_cells: Path) -> None:
    scores = json.loads((two_cells / "scores.json").read_text())
    for table, cell in zip(main_tables(two_cells), scores["cells"], strict=True):
        marked = [line[0] for line in table if "strongest floor" in line[0]]
        floors = [row for row in cell["rows"] if row["kind"] == "floor"]
        best = max(floors, key=lambda row: row["metrics"]["accuracy"]["mean"])
        assert [name.split(" strongest")[0] for name in marked] == [best["label"]]


def test_confusion_counts_every_tested_graph(tmp_path: Path) -> None:
    run = small(tmp_path)
    for seed in (0, 1):
        file = run / "MUTAG" / "halp" / f"seed-{seed}" / "svm.json"
        found = json.loads(file.read_text())
        found["y"], found["predicted"] = [0] * 8 + [1] * 4, [0] * 6 + [1] * 2 + [1] * 3 + [-1]
        file.write_text(json.dumps(found))
    write_report(run)
    table = next(t for t in load(run).tables if t[0][0] == "true \\ predicted")
    cells = [[re.findall(r"[\d.]+", cell) for cell in line[1:]] for line in table[1:]]
    assert cells == [[["75.0", "12"], ["25.0", "4"]], [["0.0", "0"], ["100.0", "6"]]]


def test_names_are_escaped(tmp_path: Path) -> None:
    run = small(tmp_path, title=NASTY)
    scores = json.loads((run / "scores.json").read_text())
    cell = scores["cells"][0]
    cell["name"] = cell["data"]["citation"] = cell["rows"][-1]["label"] = NASTY
    cell["data"]["class_names"] = [NASTY, "b"]
    scores["protocol"] = [NASTY]
    (run / "scores.json").write_text(json.dumps(scores))
    (run / "recipe.yaml").write_text(f"name: '{NASTY}'\n")
    write_report(run)
    page = load(run)
    assert page.faults == []
    assert "script" not in page.tags
    assert NASTY in page.text
    outside = re.sub(r"(?s)```.*?```", "", (run / "report.md").read_text())
    assert "<script>" not in outside.replace("\\<script\\>", "")


@pytest.mark.parametrize("way", ["../../outside", "/etc", "..", "."])
def test_a_cell_cannot_point_out_of_the_run(tmp_path: Path, way: str) -> None:
    run = small(tmp_path)
    shutil.copytree(run / "MUTAG", tmp_path / "outside")
    scores = json.loads((run / "scores.json").read_text())
    scores["cells"][0]["name"] = way
    (run / "scores.json").write_text(json.dumps(scores))
    write_report(run)
    assert "Map: not measured" in load(run).text


def remove(pattern: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        found = list(run.glob(pattern))
        assert found
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def edit(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def edited(run: Path) -> None:
        scores = json.loads((run / "scores.json").read_text())
        change(scores)
        (run / "scores.json").write_text(json.dumps(scores))

    return edited


def without_labels(run: Path) -> None:
    for file in run.glob("MUTAG/*/seed-*/embeddings.npz"):
        z = np.load(file)["z"]
        np.savez(file, z=z)


def one_value(run: Path) -> None:
    for file in run.glob("MUTAG/*/seed-*/embeddings.npz"):
        np.savez(file, z=np.ones((12, 4), dtype=np.float32), y=np.zeros(12, dtype=np.int64))


def bad_values(run: Path) -> None:
    for file in run.glob("MUTAG/*/seed-*/embeddings.npz"):
        z = np.random.default_rng(0).normal(size=(12, 4))
        z[::2] = np.nan
        np.savez(file, z=z, y=np.zeros(12, dtype=np.int64))


FAULTS = {
    "no embeddings": (remove("MUTAG/*/seed-*/embeddings.npz"), "Map: not measured"),
    "no metrics": (remove("MUTAG/*/seed-*/metrics.jsonl"), "Loss: not measured"),
    "no evaluations": (remove("MUTAG/*/seed-*/svm.json"), "Confusion: not measured"),
    "no cell folder": (remove("MUTAG"), "Loss: not measured"),
    "no environment": (remove("environment.json"), "Wall timenot measured"),
    "no recipe": (remove("recipe.yaml"), "Recipe: not measured"),
    "no protocol": (edit(lambda s: s.pop("protocol")), "Protocol: not measured"),
    "no cells": (edit(lambda s: s.update(cells=[])), "Findings: not measured"),
    "no rows": (edit(lambda s: s["cells"][0].update(rows=[])), "no arm was trained"),
    "no data": (edit(lambda s: s["cells"][0].pop("data")), "MUTAG"),
    "no differences": (
        edit(lambda s: s["cells"][0].update(differences=[])),
        "no difference was measured",
    ),
    "row without metrics": (
        edit(lambda s: s["cells"][0]["rows"][0].pop("metrics")),
        "Majority class SVM (rbf), nested 10-fold not measured",
    ),
    "no test possible": (
        edit(lambda s: [d.update(ci=None, p=None) for d in s["cells"][0]["differences"]]),
        "was measured, not tested",
    ),
    "null values": (
        edit(lambda s: s["cells"][0]["rows"][-1]["metrics"]["accuracy"].update(mean=None, ci=None)),
        "not measured",
    ),
    "no class labels": (without_labels, "Classes were not measured"),
    "one embedding for all": (one_value, "no spread"),
    "NaN embeddings": (bad_values, "6 graphs"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_missing_pieces_are_said(tmp_path: Path, fault: str) -> None:
    run = small(tmp_path)
    change, said = FAULTS[fault]
    change(run)
    write_report(run)
    page = load(run)
    assert page.faults == []
    assert said in page.text
    assert "nan" not in re.findall(r"[a-z]+", page.text)
    assert not re.search(r"\bNone\b", page.text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arms": ("control",)}, "no treatment was run"),
        ({"arms": ("own",)}, "no control to compare it with"),
        ({"floors": ()}, "No floor was measured"),
        ({"seeds": 1}, "one seed"),
        ({"head": False}, "Diagnostics of a head: not measured"),
        ({"epochs": 1}, "epoch"),
        ({"classes": 14, "graphs": 60}, "and 2 more"),
    ],
)
def test_smaller_runs(tmp_path: Path, settings: dict, said: str) -> None:
    run = small(tmp_path, **settings)
    write_report(run)
    page = load(run)
    assert page.faults == []
    assert said in page.text


def test_regression_is_not_shown_in_per_cent(tmp_path: Path) -> None:
    run = small(tmp_path)
    text = (run / "scores.json").read_text().replace('"accuracy"', '"rmse"')
    (run / "scores.json").write_text(text)
    write_report(run)
    table = next(t for t in load(run).tables if t[0][:2] == ["Row", "Evaluator"])
    row = json.loads(text)["cells"][0]["rows"][0]
    shown = next(line for line in table if line[0].startswith(row["label"]))
    assert shown[table[0].index("RMSE")] == f"{row['metrics']['rmse']['mean']:.3f}"


def test_unfinished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"scores\.json is missing"):
        write_report(tmp_path)


def test_damaged_scores_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(UserError, match=r"scores\.json.*JSON"):
        write_report(tmp_path)


def test_markdown_tables_have_even_columns(two_cells: Path) -> None:
    text = (two_cells / "report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    assert len(blocks) >= 8
    for block in blocks:
        lines = block.strip().split("\n")
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
        assert len(columns) == 1
        assert re.fullmatch(r"\|( (:--|--:) \|)+", lines[1])
    assert "http" not in text
    scores = json.loads((two_cells / "scores.json").read_text())
    for cell in scores["cells"]:
        assert f"{100 * cell['rows'][-1]['metrics']['accuracy']['mean']:.1f}" in text


def test_same_run_same_page(tmp_path: Path) -> None:
    run = small(tmp_path)
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
