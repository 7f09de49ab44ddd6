"""The grid search inside each fold, over families of models that share work along their grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np

from halpgraph.contracts import Fold, IntArray, Scores
from halpgraph.evaluators._nested import Judge, Outcome, evaluate, inner_splits
from halpgraph.evaluators._svc import Prediction


class Family(Protocol):
    """Models that differ in one number only. ``name`` is what the report calls the choice."""

    name: dict[str, Any]

    def predict(
        self, learn: IntArray, check: IntArray, y: IntArray, grid: Sequence[float]
    ) -> list[Prediction]:
        """Learn on some positions with every value of the grid and predict others.

        ``y`` holds the classes of the positions to learn from. Shapes: learn [n], check [m], y [n].
        """


def scalings(scale: bool | Literal["both"]) -> list[tuple[bool, dict[str, Any]]]:
    """Return whether to standardise, and how the choice is called where there is one."""
    if scale == "both":
        return [(True, {"scale": True}), (False, {"scale": False})]
    return [(scale, {})]


def nested(
    families: Sequence[Family],
    grid: Sequence[float],
    y: IntArray,
    names: IntArray,
    folds: Sequence[Fold],
    seed: int,
    inner: int = 5,
) -> Scores:
    """Judge every fold with the family and C that did best inside it.

    Candidates are tried family by family, C by C, and the first of the best mean accuracy wins, as
    in ``GridSearchCV``. With an official validation split the choice is made on that split, and the
    final model learns from the training split alone.

    Shapes: y [n] class positions, names [classes].
    """
    return evaluate(y, names, folds, chosen_inside(families, grid, y, seed, inner))


def chosen_inside(
    families: Sequence[Family], grid: Sequence[float], y: IntArray, seed: int, inner: int
) -> Judge:
    """Return what judges one fold as ``nested`` judges every one. Shapes: y [n]."""
    candidates = [(family, C) for family in families for C in grid]

    def judge(fold: Fold) -> Outcome:
        splits = inner_splits(y, fold, inner, seed) if len(candidates) > 1 else []
        place = (len(candidates) - 1) // 2
        if splits:
            tables = [_tried(families, grid, y, *split) for split in splits]
            place = choose([list(row) for row in zip(*tables, strict=True)])
        family, C = candidates[place]
        found = family.predict(fold.train, fold.test, y[fold.train], [C])[0]
        if found.settle is not None:
            found = found.settle()
        shares = None if found.shares is None else found.shares()
        return Outcome(found.predicted, found.decision, {**family.name, "C": float(C)}, shares)

    return judge


class Trial:
    """One candidate on one inner split: its accuracy, and between what bounds it surely lies."""

    def __init__(self, found: Prediction, truth: IntArray) -> None:
        self.found, self.truth = found, truth

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the least and greatest accuracy that what is unsure allows."""
        right = self.found.predicted == self.truth
        if self.found.unsure is None:
            return float(right.mean()), float(right.mean())
        low, high = right & ~self.found.unsure, right | self.found.unsure
        return float(low.mean()), float(high.mean())

    def settle(self) -> None:
        """Ask scikit-learn's solver, so that nothing is unsure any more."""
        if self.found.settle is not None:
            self.found = self.found.settle()


def choose(trials: Sequence[Sequence[Trial]]) -> int:
    """Return the best candidate, settling only what could change the choice.

    Two solvers of one tolerance differ in predictions next to the boundary. Most candidates lose
    however those turn out; the others are settled by scikit-learn's solver, cheapest first.

    Shapes: trials [candidates, splits].
    """
    while True:
        bounds = np.array([[t.bounds for t in row] for row in trials])  # [candidates, splits, 2]
        low, high = (np.average(np.ascontiguousarray(bounds[..., s]), axis=1) for s in (0, 1))
        contested = np.flatnonzero(high >= low.max() - 1e-12).tolist()
        open_ = [t for c in contested for t in trials[c] if t.bounds[0] < t.bounds[1]]
        if len(contested) == 1 or not open_:
            break
        open_[0].settle()
    return int(contested[int(np.argmax(low[contested]))])


def _tried(
    families: Sequence[Family],
    grid: Sequence[float],
    y: IntArray,
    learn: IntArray,
    check: IntArray,
) -> list[Trial]:
    found = [p for family in families for p in family.predict(learn, check, y[learn], grid)]
    return [Trial(prediction, y[check]) for prediction in found]
