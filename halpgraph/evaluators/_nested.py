"""The nested protocol every evaluator shares: outer folds judge, inner folds choose."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.model_selection import GroupKFold, StratifiedKFold

from halpgraph.contracts import FloatArray, Fold, IntArray, Scores
from halpgraph.errors import UserError
from halpgraph.folds import class_labels


@dataclass(frozen=True)
class Outcome:
    """What was found on one fold's test positions; ``decision`` ranks them where classes are two.

    Shapes: predicted [m] class positions, decision [m] or None, probabilities [m, classes] or None.
    """

    predicted: IntArray
    decision: FloatArray | None
    chosen: dict[str, Any]
    probabilities: FloatArray | None = None


Judge = Callable[[Fold], Outcome]


def checked(z: Any, y: Any) -> tuple[FloatArray, IntArray, IntArray]:
    """Return embeddings, classes as positions 0, 1, ... and the class names.

    Shapes: z [n, D], y [n] -> [n, D], [n], [classes].

    Raises:
        UserError: wrong shapes, numbers that are not finite, fewer than two classes.
    """
    features, labels = np.ascontiguousarray(z, dtype=np.float64), class_labels(y)
    if features.ndim != 2 or features.shape[1] == 0:
        raise UserError(f"z: must be a table [graphs, width], not of shape {features.shape}")
    if len(features) != len(labels):
        raise UserError(f"z: {len(features)} rows for {len(labels)} labels; give one row a graph")
    bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(bad):
        raise UserError(
            f"z: {len(bad)} rows are not finite (the first is row {bad[0]}); "
            "leave those graphs out, or train with a smaller learning rate"
        )
    names, positions = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"y: only class {names[0]} there; an evaluation needs two classes or more")
    return features, positions.astype(np.int64), names


def evaluate(y: IntArray, names: IntArray, folds: Sequence[Fold], judge: Judge) -> Scores:
    """Judge every fold and gather the scores.

    Args:
        y: class positions.
        names: the labels behind the positions; predictions are given in these.
        folds: outer folds.
        judge: learns on a fold and says what it predicts there; never sees ``y[fold.test]``.

    Shapes: y [n], names [classes].
    """
    start = time.process_time()
    scores = Scores({}, np.full(len(y), -1, np.int64), np.full(len(y), -1, np.int64))
    for number, fold in enumerate(folds):
        found = judge(fold)
        scores.predicted[fold.test] = names[found.predicted]
        scores.fold[fold.test] = number
        scores.chosen.append(found.chosen)
        keep(scores, fold, found)
        for name, value in metrics(y[fold.test], found, len(names)).items():
            scores.metrics.setdefault(name, []).append(value)
    scores.seconds = time.process_time() - start
    return scores


def keep(scores: Scores, fold: Fold, found: Outcome) -> None:
    """Keep a fold's probabilities, if there are any."""
    if found.probabilities is None:
        return
    if scores.probabilities is None:
        scores.probabilities = np.full((len(scores.fold), found.probabilities.shape[1]), np.nan)
    scores.probabilities[fold.test] = found.probabilities


def metrics(truth: IntArray, found: Outcome, classes: int) -> dict[str, float]:
    """Return accuracy, the mean recall of the classes there, and ROC-AUC where there are two."""
    right = found.predicted == truth
    recalls = [right[truth == c].mean() for c in np.unique(truth)]
    out = {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}
    if classes == 2 and found.decision is not None:
        out["roc_auc"] = roc_auc(truth, found.decision)
    return out


def roc_auc(truth: IntArray, decision: FloatArray) -> float:
    """Return the chance that a graph of class 1 ranks above one of class 0; NaN without both."""
    ones = int((truth == 1).sum())
    zeros = len(truth) - ones
    if ones == 0 or zeros == 0:
        return float("nan")
    ranks = rankdata(decision)
    return float((ranks[truth == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def inner_splits(
    y: IntArray, fold: Fold, inner: int, seed: int
) -> list[tuple[IntArray, NDArray[Any]]]:
    """Return (learn, check) positions for choosing settings inside a fold.

    They are those of ``StratifiedKFold(inner, shuffle=True, random_state=seed)`` on the fold's
    training labels; the official validation split where there is one; or splits that keep the
    fold's groups (subjects, views) together where there are such. Classes too small for
    that make the splits fewer; without any, the list is empty and there is nothing to choose by.

    Shapes: y [n].
    """
    if fold.valid is not None:
        return [(fold.train, fold.valid)]
    if fold.groups is not None:
        return group_splits(fold.train, fold.groups[fold.train], inner)
    labels = y[fold.train]
    splits = min(inner, int(np.bincount(labels).max()))
    if splits < 2:
        return []
    splitter = StratifiedKFold(splits, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(labels[:, None], labels))
    return [(fold.train[learn], fold.train[check]) for learn, check in pairs]


def group_splits(
    train: IntArray, groups: IntArray, inner: int
) -> list[tuple[IntArray, NDArray[Any]]]:
    """Return (learn, check) positions that keep groups together: each is left out once.

    Where there are more groups than ``inner``, several are left out at a time, in the deal of
    scikit-learn's ``GroupKFold``. Of one group alone nothing can be left out.

    Shapes: train [m], groups [m].
    """
    count = min(inner, len(np.unique(groups)))
    if count < 2:
        return []
    pairs = GroupKFold(count).split(train[:, None], groups=groups)
    return [(train[learn], train[check]) for learn, check in pairs]


def best(scores: FloatArray) -> int:
    """Return the first candidate of the best mean, exactly as ``GridSearchCV`` picks it.

    Shapes: scores [candidates, splits].
    """
    return int(np.argmax(np.average(np.ascontiguousarray(scores), axis=1)))
