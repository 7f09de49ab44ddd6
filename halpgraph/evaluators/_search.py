"""The grid search inside each fold, over families of models that share work along their grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from halpgraph.contracts import Fold, IntArray, Scores
from halpgraph.evaluators._nested import Outcome, best, evaluate, inner_splits
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
    candidates = [(family, C) for family in families for C in grid]

    def judge(fold: Fold) -> Outcome:
        splits = inner_splits(y, fold, inner, seed) if len(candidates) > 1 else []
        place = (len(candidates) - 1) // 2
        if splits:
            place = best(np.array([_accuracies(families, grid, y, *s) for s in splits]).T)
        family, C = candidates[place]
        found = family.predict(fold.train, fold.test, y[fold.train], [C])[0]
        return Outcome(found.predicted, found.decision, {**family.name, "C": float(C)})

    return evaluate(y, names, folds, judge)


def _accuracies(
    families: Sequence[Family],
    grid: Sequence[float],
    y: IntArray,
    learn: IntArray,
    check: IntArray,
) -> list[float]:
    truth = y[check]
    return [
        float((found.predicted == truth).mean())
        for family in families
        for found in family.predict(learn, check, y[learn], grid)
    ]
