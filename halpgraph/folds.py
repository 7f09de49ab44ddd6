"""Splits into folds: stratified and seeded, or the official ones of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from sklearn.model_selection import StratifiedKFold

from halpgraph.contracts import Fold, IntArray
from halpgraph.errors import UserError


class Splittable(Protocol):
    """What ``make_folds`` reads of a data set: labels, and its official splits if it has any."""

    @property
    def y(self) -> Any:
        """Return the labels. Shapes: [n]."""

    @property
    def splits(self) -> Mapping[str, Any] | None:
        """Return positions by name of the split, or None."""

    @property
    def groups(self) -> Any:
        """Return the group of each position, or None. Shapes: [n]."""


def make_folds(data: Splittable, folds: int, seed: int) -> list[Fold]:
    """Return a data set's official split where it has one, stratified folds otherwise.

    Where a data set has groups, folds keep them together, and so do choices inside a fold.
    """
    splits, groups = getattr(data, "splits", None), getattr(data, "groups", None)
    if splits:
        return [replace(fold, groups=groups) for fold in official(splits, len(data.y))]
    return stratified(data.y, folds, seed) if groups is None else grouped(groups, folds, seed)


def grouped(groups: Any, folds: int, seed: int) -> list[Fold]:
    """Split positions into folds that keep groups (subjects) together; the seed shuffles groups.

    Shapes: groups [n].

    Raises:
        UserError: fewer groups than folds.
    """
    names = np.unique(groups)
    if len(names) < folds:
        raise UserError(
            f"folds: there are {len(names)} groups for {folds} folds; use at most {len(names)}"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    dealt = np.empty(len(names), np.int64)
    dealt[order] = np.arange(len(names)) % folds
    fold = dealt[np.searchsorted(names, groups)]  # [n]
    parts = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]
    return [Fold(train, test, groups=np.asarray(groups)) for train, test in parts]


def stratified(y: Any, folds: int = 10, seed: int = 0) -> list[Fold]:
    """Split positions into folds with the classes in equal shares.

    The folds are those of scikit-learn's ``StratifiedKFold(folds, shuffle=True,
    random_state=seed)``, so that others can repeat an evaluation on them.

    Shapes: y [n].

    Raises:
        UserError: labels that are no classes, or a class with fewer members than folds.
    """
    labels = class_labels(y)
    if folds < 2:
        raise UserError(f"folds: {folds} is too few; use 2 or more")
    for name, count in zip(*np.unique(labels, return_counts=True), strict=True):
        if count < folds:
            members = "1 member" if count == 1 else f"{count} members"
            instead = "" if count == 1 else f"use at most {count} folds, or "
            raise UserError(
                f"folds: class {name} has {members}, fewer than the {folds} folds; "
                f"{instead}leave the class out"
            )
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    pairs = splitter.split(np.zeros((len(labels), 1)), labels)
    return [Fold(train.astype(np.int64), test.astype(np.int64)) for train, test in pairs]


def official(splits: Mapping[str, Sequence[int] | IntArray], n: int) -> list[Fold]:
    """Return the one fold of named splits: ``train``, ``test`` and perhaps ``valid``, as positions.

    Args:
        splits: positions by name; ``val`` and ``validation`` also mean ``valid``.
        n: number of graphs.

    Raises:
        UserError: a split missing or empty, positions out of range, or in two splits at once.
    """
    named = {{"val": "valid", "validation": "valid"}.get(k, k): v for k, v in splits.items()}
    missing = [name for name in ("train", "test") if name not in named]
    if missing:
        raise UserError(
            f"splits: no {' and no '.join(missing)} among {', '.join(sorted(splits))}; "
            "name them train, test and (if there is one) valid"
        )
    parts = {name: _positions(name, named[name], n) for name in named}
    known = [name for name in ("train", "valid", "test") if name in parts]
    together = np.concatenate([parts[name] for name in known])
    if len(np.unique(together)) != len(together):
        raise UserError(f"splits: a position stands in two of {', '.join(known)}, or twice in one")
    return [Fold(parts["train"], parts["test"], parts.get("valid"))]


def _positions(name: str, values: Sequence[int] | IntArray, n: int) -> IntArray:
    found = np.asarray(values)
    if found.dtype == bool and found.shape == (n,):
        found = np.flatnonzero(found)
    if found.ndim != 1 or len(found) == 0 or not np.issubdtype(found.dtype, np.integer):
        raise UserError(f"splits.{name}: must be a list of positions (whole numbers), not empty")
    if found.min() < 0 or found.max() >= n:
        raise UserError(
            f"splits.{name}: positions {found.min()} to {found.max()} do not fit {n} graphs; "
            f"count from 0 to {n - 1}"
        )
    return found.astype(np.int64)


def class_labels(y: Any) -> IntArray:
    """Return labels as whole numbers. Shapes: y [n] or [n, 1] -> [n].

    Raises:
        UserError: several targets, missing labels, or numbers that are no classes.
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # [n]
    if labels.ndim != 1:
        raise UserError(f"y: one label a graph is needed, not the shape {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        numeric = np.issubdtype(labels.dtype, np.number) or labels.dtype == bool
        if not numeric or not np.isfinite(labels).all() or (labels != np.floor(labels)).any():
            raise UserError(
                "y: class labels must be whole numbers, one for every graph; number the classes"
            )
    return labels.astype(np.int64)
