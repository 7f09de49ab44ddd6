"""What a recipe will cost, roughly, before any of it is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from halpgraph.environment import available_cores
from halpgraph.rundir import RunDir
from halpgraph.runner import Cell, prepare, read_and_validate, run_folder

# CPU seconds on one core, fitted to benchmarks/epoch.py and nested_svm.py: a rough guide.
PER_STEP = 4e-3
PER_NODE = 2.6e-6
PER_EDGE = 3.0e-7
HEAD_STEP = 2e-3
SVM_PER_CUBE = 1.0e-9
START = 10.0


def check(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    runs: str | Path = "runs",
    jobs: int | None = None,
    data: str | Path | None = None,
) -> dict[str, Any]:
    """Validate a recipe and its data without training, and estimate time and memory.

    Args:
        recipe: file or name of a shipped recipe.
        overrides: ``KEY=VALUE``, as after ``--set``.
        runs: where the run's folder would be.
        jobs: processes side by side; None: as many as there are cores.
        data: where data sets are looked for first.

    Raises:
        UserError: what is wrong, and what instead.
    """
    plan = read_and_validate(recipe, overrides)
    cells = prepare(plan, data)
    seconds = START + sum(_training(c) + _evaluating(c) for c in cells)
    side_by_side = min(jobs or available_cores(), available_cores())
    minutes = seconds / side_by_side / 60
    folder = run_folder(plan, cells, runs)
    return {
        "recipe": plan.name,
        "cells": [_describe(cell) for cell in cells],
        "arms": list(plan.arms),
        "seeds": len(plan.seeds),
        "trainings": len(cells) * len(plan.arms) * len(plan.seeds),
        "cpu_seconds": seconds,
        "cores": side_by_side,
        "minutes": minutes,
        "minutes_text": "under a minute" if minutes < 1 else f"{minutes:.0f} minutes",
        "memory_mb": max(_memory(cell) for cell in cells),
        "run": str(folder.path),
        "state": _state(folder),
    }


def _state(folder: RunDir) -> str:
    if folder.finished:
        return "finished: run shows it at once"
    return "begun: run goes on with it" if folder.path.is_dir() else "new"


def _describe(cell: Cell) -> dict[str, Any]:
    info = cell.data.info
    return {
        "name": cell.name,
        "graphs": info["num_graphs"],
        "features": info["features"],
        "found_in": info["found_in"],
        "cpu_seconds": _training(cell) + _evaluating(cell),
    }


def _training(cell: Cell) -> float:
    """CPU seconds of all arms and seeds of a cell."""
    info, total = cell.data.info, 0.0
    for arm in cell.recipe.arms:
        train = cell.recipe.arm(arm).train
        steps = -(-info["num_graphs"] // train.batch_size)
        epoch = steps * (PER_STEP + (HEAD_STEP if cell.recipe.arm(arm).head else 0.0))
        epoch += info["num_nodes"] * PER_NODE * _width(cell) + 2 * info["num_edges"] * PER_EDGE
        total += epoch * train.epochs
    return total * len(cell.recipe.seeds)


def _width(cell: Cell) -> float:
    """Size of the encoder beside the published one of 3 layers of 32, where it can be told."""
    encoder = cell.recipe.encoder
    spec: dict[str, Any] = encoder if isinstance(encoder, dict) else {}
    return float(spec.get("layers", 3)) / 3 * max(float(spec.get("hidden", 32)) / 32, 1.0)


def _evaluating(cell: Cell) -> float:
    """CPU seconds of all evaluations of a cell: nested kernel machines grow with n cubed."""
    embeddings = len(cell.recipe.arms) + len(cell.recipe.floors)
    one = 0.5 + SVM_PER_CUBE * cell.data.info["num_graphs"] ** 3
    return float(one * embeddings * len(cell.recipe.evaluators) * len(cell.recipe.seeds))


def _memory(cell: Cell) -> float:
    """MB of one process: packages, the data, a few batches of activations, two Gram matrices."""
    info = cell.data.info
    activations = min(info["num_nodes"], 1 << 17) * 32 * 4 * 60 * _width(cell)
    flat = info["num_nodes"] * 40 + info["num_edges"] * 32
    grams = 3 * 8 * info["num_graphs"] ** 2
    return float(450 + (activations + flat + grams) / 2**20)
