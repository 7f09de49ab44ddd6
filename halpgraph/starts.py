"""Where a training starts from, if not from fresh weights: a finished run, or one checkpoint.

``train.init_from`` names a run's folder: each seed takes over the checkpoint of the same seed, of
the cell of the same name (or the only one) and of the arm ``train.init_arm`` (by default the run's
control, or its only arm). Or it names one checkpoint file, which serves for every seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from halpgraph.errors import UserError, did_you_mean
from halpgraph.recipe import Recipe, TrainSettings
from halpgraph.rundir import RunDir


def find_start(train: TrainSettings, cell: str, seed: int) -> Path | None:
    """Return the checkpoint that a training starts from; None for fresh weights.

    Raises:
        UserError: there is no such run, cell, arm or seed, or the run is not finished.
    """
    if train.init_from is None:
        return None
    place = Path(train.init_from)
    if place.is_file():
        if train.init_arm is not None:
            raise UserError("train.init_arm: names an arm of a run, but init_from is one file")
        return place
    if not place.is_dir():
        raise UserError(f"train.init_from: {place}: no such run's folder or checkpoint file")
    run = _finished(place)
    arm = _arm(run, train.init_arm)
    found = run.job(_cell(run, arm, cell), arm, seed) / "checkpoint.pt"
    if not found.is_file():
        seeds = sorted(p.parent.name for p in found.parent.parent.glob("seed-*/checkpoint.pt"))
        known = ", ".join(seeds) or "no checkpoint at all"
        raise UserError(f"train.init_from: {place}: has no seed {seed} of arm {arm}, but {known}")
    return found


def _finished(place: Path) -> RunDir:
    try:
        run = RunDir.open(place)
    except UserError as error:
        raise UserError(f"train.init_from: {error}") from None
    if not run.finished:
        raise UserError(f"train.init_from: {place}: not finished; run its command again to go on")
    return run


def _arm(run: RunDir, name: str | None) -> str:
    recipe = run.recipe
    arms = list(recipe["arms"])
    if name is None and recipe["control"] is None and len(arms) > 1:
        raise UserError(
            f"train.init_arm: {run.path} has several arms and no control; use {', '.join(arms)}"
        )
    chosen = name or str(recipe["control"] or arms[0])
    if chosen not in arms:
        raise UserError(
            f"train.init_arm: {run.path} has no arm {chosen}{did_you_mean(chosen, arms)}"
        )
    return chosen


def _cell(run: RunDir, arm: str, name: str) -> str:
    cells = sorted(p.name for p in run.path.iterdir() if (p / arm).is_dir())
    if name in cells or len(cells) == 1:
        return name if name in cells else cells[0]
    raise UserError(
        f"train.init_from: {run.path} has no {name}, but {', '.join(cells) or 'no checkpoints'}; "
        "name one checkpoint file instead"
    )


def starts_of(cells: Mapping[str, Recipe]) -> list[str]:
    """Return a hash of every checkpoint that a run starts from, in the order of its trainings.

    Args:
        cells: the recipe of each cell, by its name.

    Raises:
        UserError: one of them cannot be found.
    """
    found = [
        find_start(recipe.arm(arm).train, cell, seed)
        for cell, recipe in cells.items()
        for arm in recipe.arms
        for seed in recipe.seeds
    ]
    known = {path: _hash(path) for path in found if path is not None}
    return [known[path] if path is not None else "" for path in found] if known else []


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                found.update(piece)
    except OSError as error:
        raise UserError(f"train.init_from: {path}: cannot be read: {error.strerror}") from None
    return found.hexdigest()
