"""What ``data.split`` of a skeleton set can ask for, by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from halpgraph.data.clips import Ints, Prepared, Split
from halpgraph.errors import UserError, did_you_mean

FOLDS_OVER = "folds:"  # "folds:subject": k folds that keep the subjects together
INSIDE = "inside:"  # "inside:xview:2": of xview's training part, view 2 to test on


@dataclass(frozen=True)
class ChosenSplit:
    """What is trained and tested on, and what choices keep together.

    Attributes:
        name: as the recipe wrote it.
        positions: of the clips of each part; None where folds are drawn. Clips may be in no part.
        groups: the group of every clip, for choices and folds; None where clips stand alone.
        inner: the field that choices inside a training part leave groups out of.
    """

    name: str
    positions: dict[str, Ints] | None = None
    groups: Ints | None = None
    inner: str | None = None


def choose_split(found: Prepared, split: str) -> ChosenSplit:
    """Return a split of a prepared set: a named one, ``folds:``, ``inside:`` or ``none``.

    Raises:
        UserError: no such split, field or group; the message names those there are.
    """
    if split == "none":
        return ChosenSplit(split)
    if split.startswith(FOLDS_OVER):
        return ChosenSplit(split, groups=_field(found, split.removeprefix(FOLDS_OVER)))
    if split.startswith(INSIDE):
        return _inside(found, split, *split.removeprefix(INSIDE).partition(":")[::2])
    chosen = _named(found, split)
    groups = _field(found, chosen.inner) if chosen.inner else None
    return ChosenSplit(split, chosen.positions(), groups, chosen.inner)


def _inside(found: Prepared, split: str, outer: str, group: str) -> ChosenSplit:
    """Return the training part of the split ``outer``, one of its groups being the test part.

    Where two groups were there, one is left to train on, and choices have nothing to leave out.
    """
    chosen = _named(found, outer)
    if chosen.inner is None:
        raise UserError(
            f"data.split: {split}: {outer} of {found.name} has no groups to leave out inside its "
            f"training part; use {FOLDS_OVER}FIELD or none"
        )
    groups, train = _field(found, chosen.inner), chosen.positions()["train"]
    there = [str(value) for value in np.unique(groups[train])]
    if group not in there or len(there) < 2:
        listed = ", ".join(there) if len(there) > 1 else "none, for there is only one"
        raise UserError(
            f"data.split: {split}: give one {chosen.inner} of {outer}'s training part, as in "
            f"{INSIDE}{outer}:{there[0]}; there are: {listed}"
        )
    out = groups[train] == int(group)
    kept = groups if len(there) > 2 else None
    parts = {"train": train[~out], "test": train[out]}
    return ChosenSplit(split, parts, kept, None if kept is None else chosen.inner)


def _named(found: Prepared, split: str) -> Split:
    if split not in found.splits:
        known = [*found.splits, *(f"{FOLDS_OVER}{field}" for field in found.fields), "none"]
        raise UserError(
            f"data.split: {found.name} has no split {split}{did_you_mean(split, known)}"
        )
    return found.splits[split]


def _field(found: Prepared, field: str) -> Ints:
    if field not in found.fields:
        raise UserError(
            f"data.split: {found.name} has no field {field}{did_you_mean(field, found.fields)}"
        )
    return found.fields[field]
