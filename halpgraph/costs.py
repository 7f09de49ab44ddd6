"""What a recipe will cost, roughly, before any of it is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from halpgraph.contracts import Evaluator
from halpgraph.data.cards import Card, card_of
from halpgraph.data.skeleton_sets import open_set
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.environment import available_cores
from halpgraph.errors import UserError
from halpgraph.recipe import Recipe
from halpgraph.registry import evaluators
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
    absent = _not_here(plan, data)
    if absent is not None:
        return _without_data(plan, *absent, jobs)
    cells = prepare(plan, data)
    spent = {cell.name: _training(cell) + _evaluating(cell) for cell in cells}
    seconds = START + sum(spent.values())
    side_by_side = min(jobs or available_cores(), available_cores())
    minutes = seconds / side_by_side / 60
    folder = run_folder(plan, cells, runs)
    return {
        "recipe": plan.name,
        "cells": [_describe(cell, spent[cell.name]) for cell in cells],
        "arms": list(plan.arms),
        "seeds": len(plan.seeds),
        "trainings": len(cells) * len(plan.arms) * len(plan.seeds),
        "cpu_seconds": seconds,
        "cores": side_by_side,
        "minutes": minutes,
        "minutes_text": in_words(60 * minutes),
        "memory_mb": max(_memory(cell) for cell in cells),
        "run": str(folder.path),
        "state": _state(folder),
    }


def _not_here(plan: Recipe, root: str | Path | None) -> tuple[Card, str] | None:
    """Return the card of a skeleton set that is not at hand, and how to get and prepare it."""
    card = card_of(plan.data.name)
    if card is None or card.source != "skeletons":
        return None
    try:
        open_set(card.name, root)
    except UserError as error:
        return card, str(error)
    return None


def _without_data(plan: Recipe, card: Card, how: str, jobs: int | None) -> dict[str, Any]:
    """Say what a recipe would cost, from its data set's card and a few made-up clips."""
    from halpgraph.step_costs import made_up_store, step_cost

    arms = [plan.arm(name) for name in plan.arms]
    store = made_up_store(card, plan)
    costs = [step_cost(store, arm) for arm in arms]
    split = plan.data.split or next(iter(card.statistics.splits), "")
    clips = card.statistics.splits.get(split, (card.statistics.graphs or 0, 0))[0]
    epochs = [arm.train.epochs for arm in arms]
    one = sum(c.seconds * n for c, n in zip(costs, epochs, strict=True)) * clips
    one += _tuning(plan, [c.seconds for c in costs], clips)
    seconds = one * len(plan.seeds)
    cores = min(jobs or available_cores(), available_cores())
    memory = max(c.activations + c.weights for c in costs) / 2**20 + 500
    return {
        "recipe": plan.name,
        "missing": how,
        "clips_to_train": clips or None,
        "arms": list(plan.arms),
        "seeds": len(plan.seeds),
        "trainings": len(arms) * len(plan.seeds),
        "cpu_seconds": seconds if clips else None,
        "cpu_seconds_a_clip": [c.seconds for c in costs],
        "cores": cores,
        "minutes_text": in_words(seconds / cores) if clips else "unknown (its size is not known)",
        "memory_mb": memory,
    }


def in_words(seconds: float) -> str:
    """Return a rough time: minutes, hours or days."""
    if seconds < 60:
        return "under a minute"
    for limit, unit, name in ((7200, 60, "minutes"), (172800, 3600, "hours")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} days"


def _state(folder: RunDir) -> str:
    if folder.finished:
        return "finished: run shows it at once"
    return "begun: run goes on with it" if folder.path.is_dir() else "new"


def _describe(cell: Cell, seconds: float) -> dict[str, Any]:
    info = cell.data.info
    return {
        "name": cell.name,
        "graphs": info["num_graphs"],
        "features": info["features"],
        "found_in": info["found_in"],
        "cpu_seconds": seconds,
    }


def _training(cell: Cell) -> float:
    """CPU seconds of all arms and seeds of a cell."""
    info, total = cell.data.info, 0.0
    if isinstance(cell.data.store, SkeletonStore):
        return _training_skeletons(cell)
    for arm in cell.recipe.arms:
        train = cell.recipe.arm(arm).train
        steps = -(-info["num_graphs"] // train.batch_size)
        epoch = steps * (PER_STEP + (HEAD_STEP if cell.recipe.arm(arm).head else 0.0))
        epoch += info["num_nodes"] * PER_NODE * _width(cell) + 2 * info["num_edges"] * PER_EDGE
        total += epoch * train.epochs
    return total * len(cell.recipe.seeds)


def _training_skeletons(cell: Cell) -> float:
    from halpgraph.step_costs import step_cost

    store: Any = cell.data.fit_store
    arms = [cell.recipe.arm(name) for name in cell.recipe.arms]
    costs = [step_cost(store, arm).seconds for arm in arms]
    for_all = sum(c * len(store) * a.train.epochs for c, a in zip(costs, arms, strict=True))
    for_all += _tuning(cell.recipe, costs, len(store))
    return for_all * len(cell.recipe.seeds)


def _tuning(recipe: Recipe, costs: Sequence[float], clips: int) -> float:
    """CPU seconds of fine-tuning every arm, and the untrained floor as the first, for one seed."""
    judges: list[Evaluator] = [evaluators.build(spec, "evaluators") for spec in recipe.evaluators]
    folds = 1 if recipe.data.split else recipe.folds
    train = clips if recipe.data.split else clips - clips // folds
    shown = folds * sum(judge.shown_clips(train) for judge in judges)
    return shown * (sum(costs) + costs[0] * ("untrained" in recipe.floors))


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
    if isinstance(cell.data.store, SkeletonStore):
        from halpgraph.step_costs import step_cost

        cost = step_cost(cell.data.fit_store, cell.recipe.arm(next(iter(cell.recipe.arms))))  # type: ignore[arg-type]
        return 500 + (cost.activations + cost.weights + 4 * cell.data.store.frames.numel()) / 2**20
    activations = min(info["num_nodes"], 1 << 17) * 32 * 4 * 60 * _width(cell)
    flat = info["num_nodes"] * 40 + info["num_edges"] * 32
    grams = 3 * 8 * info["num_graphs"] ** 2
    return float(450 + (activations + flat + grams) / 2**20)
