"""From the files of all jobs to ``scores.json`` and ``scores.csv``: rows, spreads, differences."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph import registry
from halpgraph.files import read_json, write_json, write_text
from halpgraph.judging import evaluator_keys
from halpgraph.protocol import protocol
from halpgraph.recipe import Recipe
from halpgraph.rundir import RunDir, read_metrics
from halpgraph.statistics import compare, summarise

Entry = dict[str, Any]
Cell = tuple[str, Recipe, Entry]

LOWER_IS_BETTER = ("rmse", "mae")
FLOORS = {  # what a floor is called, and by what it is evaluated
    "majority": ("Majority class", "none"),
    "labels": ("Node-label histogram", "SVM (linear)"),
    "labels+degree": ("Label + degree histogram, sizes", "SVM (linear)"),
    "wl": ("WL subtree kernel", "SVM (WL kernel)"),
    "pose": ("Raw pose, 200 components", ""),
    "bone": ("Raw bones, 200 components", ""),
    "motion": ("Raw motion, 200 components", ""),
    "distances": ("Joint distances, heights, speeds", ""),
    "untrained": ("Untrained encoder", ""),
    "calibrated": ("Untrained encoder, batch norm calibrated", ""),
    "wl+embedding": ("WL kernel + embedding", "SVM (sum of kernels)"),
}


def write_scores(folder: RunDir, recipe: Recipe, cells: Sequence[Cell]) -> None:
    """Collect every job's scores and write them; the run counts as finished from then on."""
    content = {
        "name": recipe.name,
        "title": recipe.title or recipe.name,
        "fingerprint": folder.path.name.rsplit("-", 1)[-1],
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "protocol": protocol(recipe, [info for _, _, info in cells]),
        "cells": [_cell(folder, *cell) for cell in cells],
    }
    write_text(folder.path / "scores.csv", _csv(folder, cells))
    write_json(folder.path / "scores.json", content)


def _cell(folder: RunDir, name: str, recipe: Recipe, info: Entry) -> Entry:
    rows, tables = [], {}
    for row in _rows(folder, name, recipe, info):
        paths = [where / f"{row['evaluator']}.json" for where in row.pop("folders")]
        if not all(path.is_file() for path in paths):
            continue
        files = [read_json(path) for path in paths]
        found = {m: [file["metrics"][m] for file in files] for m in files[0]["metrics"]}
        tables[row["row"], row["evaluator"]] = found
        row["metrics"] = {m: asdict(summarise(_floats(table))) for m, table in found.items()}
        row["eval_cpu_seconds"] = float(np.mean([file["seconds"] for file in files]))
        row["notes"] = sorted({note for file in files for note in file["notes"]})
        rows.append(row)
    return {
        "name": name,
        "data": info,
        "rows": rows,
        "differences": _differences(rows, tables),
    }


def _rows(folder: RunDir, cell: str, recipe: Recipe, info: Entry) -> Iterator[Entry]:
    """Yield every row of a cell, floors first, the treatment last, and where its files lie."""
    keys = evaluator_keys(recipe.evaluators)
    how = "official split" if info.get("metric") else f"nested {recipe.folds}-fold"
    labels = {key: evaluator_label(spec, how) for key, spec in keys.items()}
    for floor in recipe.floors:
        how_said = FLOORS[floor][1]  # nothing where the recipe's evaluators judge it
        own: dict[str, Any] = {"svm": None} if how_said else keys
        for key in own:
            yield {
                "row": floor,
                "label": FLOORS[floor][0],
                "kind": "floor",
                "evaluator": key,
                "evaluator_label": how_said or labels[key],
                "train_cpu_seconds": None,
                "folders": folder.floor_seeds(cell, floor, recipe.seeds, info),
            }
    for arm in sorted(recipe.arms, key=lambda a: a != recipe.control):
        for key in keys:
            folders = [folder.job(cell, arm, seed) for seed in recipe.seeds]
            yield {
                "row": arm,
                "label": recipe.arm_label(arm),
                "kind": _kind(recipe, arm),
                "evaluator": key,
                "evaluator_label": labels[key],
                "control": recipe.control_of(arm),
                "train_cpu_seconds": float(np.mean([_train_seconds(where) for where in folders])),
                "folders": folders,
            }


def _kind(recipe: Recipe, arm: str) -> str:
    if arm == recipe.control:
        return "control"
    return "arm" if recipe.control_of(arm) is None else "treatment"


def evaluator_label(spec: Entry, how: str) -> str:
    """Return how an evaluator is called in tables."""
    evaluator = registry.evaluators.build(spec, "evaluators")
    return f"{getattr(evaluator, 'label', spec['name'])}, {how}"


def _train_seconds(folder: Path) -> float:
    return float(sum(row["cpu_seconds"] for row in read_metrics(folder)))


def _differences(rows: Sequence[Entry], tables: dict[Any, Any]) -> list[Entry]:
    """Return every pair's difference in every metric, on the same seeds and folds."""
    out = []
    for treatment, other in _pairs(rows):
        ours = tables[treatment["row"], treatment["evaluator"]]
        theirs = tables[other["row"], other["evaluator"]]
        for metric in (m for m in ours if m in theirs):
            found = compare(
                _floats(ours[metric]),
                _floats(theirs[metric]),
                name=treatment["label"],
                higher_is_better=metric not in LOWER_IS_BETTER,
            )
            out.append(
                {
                    "treatment": treatment["row"],
                    "reference": other["row"],
                    "reference_label": other["label"],
                    "reference_evaluator": other["evaluator"],
                    "evaluator": treatment["evaluator"],
                    "metric": metric,
                    **asdict(found),
                }
            )
    return out


def _pairs(rows: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Yield what is compared: treatments with their control and floors, WL + embedding with WL."""
    known = {(row["row"], row["evaluator"]): row for row in rows}
    floors = [row for row in rows if row["kind"] == "floor"]
    for treatment in (row for row in rows if row["kind"] in ("treatment", "arm")):
        controls = [row for row in rows if row["row"] == treatment.get("control")]
        for other in [*controls, *floors]:
            same = other["evaluator"] == treatment["evaluator"]
            # A reference of another evaluator serves where it has none of this one: a floor.
            instead = other["kind"] == "floor"
            if same or (instead and (other["row"], treatment["evaluator"]) not in known):
                yield treatment, other
    pair = [known.get((row, "svm")) for row in ("wl+embedding", "wl")]
    if pair[0] is not None and pair[1] is not None:
        yield pair[0], pair[1]


def _floats(table: Sequence[Sequence[float | None]]) -> np.ndarray[Any, Any]:
    return np.asarray(
        [[np.nan if v is None else v for v in row] for row in table], dtype=np.float64
    )


def _csv(folder: RunDir, cells: Sequence[Cell]) -> str:
    """Return one line a cell, row, evaluator, seed, fold and metric."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["cell", "row", "kind", "evaluator", "metric", "seed", "fold", "value"])
    for name, recipe, info in cells:
        for row in _rows(folder, name, recipe, info):
            for seed, where in zip(recipe.seeds, row["folders"], strict=True):
                path = where / f"{row['evaluator']}.json"
                metrics = read_json(path)["metrics"] if path.is_file() else {}
                for metric, values in metrics.items():
                    for fold, value in enumerate(values):
                        head = [name, row["row"], row["kind"], row["evaluator"]]
                        table.writerow([*head, metric, seed, fold, value])
    return out.getvalue()
