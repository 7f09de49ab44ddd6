"""The support vector machine on a given kernel, for every C of a grid at once.

One kernel matrix serves the whole grid, each C starts from the solution of the one before, and all
of them predict by one matrix product. The problem and the stopping rule are scikit-learn's ``SVC``
(LIBSVM): hinge loss, free intercept, one machine for each pair of classes, and a vote.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.svm import SVC

from halpgraph.contracts import FloatArray, IntArray
from halpgraph.evaluators import _native
from halpgraph.evaluators._certainty import of_pairs, softmax_of


@dataclass(frozen=True)
class Prediction:
    """Predicted classes and, in problems of two, the decision. Shapes: [m], [m].

    ``unsure`` marks what the solver's tolerance leaves open, None standing for nothing; ``settle``,
    where there is one, asks scikit-learn's own solver. ``shares`` returns every class's share of
    certainty, worked out only where it is asked for. Shapes: unsure [m], shares [m, classes].
    """

    predicted: IntArray
    decision: FloatArray | None
    unsure: NDArray[np.bool_] | None = None
    settle: Callable[[], Prediction] | None = None
    shares: Callable[[], FloatArray] | None = None


def predictions(
    kernel: FloatArray,
    check: FloatArray,
    y: IntArray,
    grid: Sequence[float],
    tol: float = 1e-3,
    classes: int = 2,
) -> list[Prediction]:
    """Learn with each C and predict.

    Args:
        kernel: the kernel among the graphs to learn from.
        check: the kernel of the graphs to predict with those.
        y: class positions of the graphs to learn from; not all classes need be there.
        grid: values of C, in any order.
        tol: LIBSVM's tolerance.
        classes: how many classes there are in all.

    Shapes: kernel [n, n], check [m, n], y [n].
    """
    there = np.unique(y)
    if len(there) == 1:
        return [constant(int(there[0]), len(check), classes)] * len(grid)
    pairs = list(itertools.combinations(there.tolist(), 2))
    decisions = np.empty((len(pairs), len(grid), len(check)))
    for row, (first, second) in enumerate(pairs):
        members = np.flatnonzero((y == first) | (y == second))
        whole = len(members) == len(y)
        block = kernel if whole else kernel[np.ix_(members, members)]
        signs = np.where(y[members] == second, 1.0, -1.0)
        b, intercept = duals(block, signs, grid, tol)
        near = check if whole else check[:, members]
        decisions[row] = b @ near.T + intercept[:, None]  # [grid, m]
    found = []
    for c, C in enumerate(grid):
        width = doubt(C, tol) if _native.library() is not None else 0.0
        unsure = np.any(np.abs(decisions[:, c]) < width, axis=0)
        vote = _vote(decisions[:, c], pairs, classes)
        found.append(replace(vote, unsure=unsure) if unsure.any() else vote)
    return found


def doubt(C: float, tol: float) -> float:
    """Return how far two solvers of one tolerance come apart at most, in decisions.

    Measured on embeddings of MUTAG, PROTEINS, DD and NCI1, where 1 in 100 differs by half of it.
    """
    return tol * (2.0 + 1.5 * max(0.0, math.log10(C)))


def by_libsvm(
    kernel: FloatArray, check: FloatArray, y: IntArray, C: float, tol: float, classes: int = 2
) -> Prediction:
    """Learn and predict by scikit-learn alone. Shapes: kernel [n, n], check [m, n], y [n]."""
    machine = _libsvm(kernel, y, C, tol)
    with config_context(assume_finite=True):
        decision = machine.decision_function(check)
        predicted = machine.predict(check)
    rows = np.asarray(decision)
    rows = np.stack([np.zeros(len(rows)), rows], axis=1) if rows.ndim == 1 else rows
    shares = partial(softmax_of, rows, machine.classes_, classes)
    return Prediction(predicted, decision if classes == 2 else None, shares=shares)


def _libsvm(kernel: FloatArray, y: Any, C: float, tol: float) -> SVC:
    megabytes = 4e-6 * kernel.size + 50.0
    machine = SVC(C=C, kernel="precomputed", tol=tol, cache_size=megabytes)
    with config_context(assume_finite=True):
        return machine.fit(kernel, y)


def constant(only: int, count: int, classes: int) -> Prediction:
    """Predict the only class there is to learn from."""
    shares = partial(softmax_of, np.zeros((count, 1)), np.array([only]), classes)
    decision = np.zeros(count) if classes == 2 else None
    return Prediction(np.full(count, only), decision, shares=shares)


def _vote(decisions: FloatArray, pairs: Sequence[tuple[int, int]], classes: int) -> Prediction:
    """Let the machines vote; ties go to the lower class. Shapes: decisions [pairs, m]."""
    votes = np.zeros((classes, decisions.shape[1]))
    for (first, second), decision in zip(pairs, decisions, strict=True):
        votes[first] += decision < 0
        votes[second] += decision >= 0
    shares = partial(of_pairs, decisions, votes, pairs, classes)
    return Prediction(votes.argmax(0), decisions[0] if classes == 2 else None, shares=shares)


def duals(
    kernel: FloatArray, signs: FloatArray, grid: Sequence[float], tol: float = 1e-3
) -> tuple[FloatArray, FloatArray]:
    """Return coefficients and intercepts of the two-class machine for each C.

    Where no coefficient reaches C, the bound did not matter: every larger C has the same solution.

    Shapes: kernel [n, n], signs [n] of -1 and 1 -> [grid, n], [grid].
    """
    b, intercept = np.empty((len(grid), len(signs))), np.empty(len(grid))
    solve = _solver(kernel, signs, tol)
    last: int | None = None
    for c in np.argsort(np.asarray(grid), kind="stable"):
        if last is not None and np.abs(b[last]).max() < grid[last]:
            b[c], intercept[c] = b[last], intercept[last]
            continue
        b[c], intercept[c] = solve(float(grid[c]))
        last = int(c)
    return b, intercept


class _solver:  # noqa: N801 - used like a function
    """Solve for one C after the other, each not smaller than the one before."""

    def __init__(self, kernel: FloatArray, signs: FloatArray, tol: float) -> None:
        self.signs, self.tol = signs, tol
        self.library = _native.library()
        if self.library is None:
            self.kernel = np.ascontiguousarray(kernel)
        else:
            self.single = np.ascontiguousarray(kernel, dtype=np.float32)
            self.b, self.g = np.zeros(len(signs)), -signs

    def __call__(self, C: float) -> tuple[FloatArray, float]:
        if self.library is None:
            return self._by_libsvm(C)
        intercept = _native.minimise(
            self.library, self.single, self.signs, C, self.tol, self.b, self.g
        )
        return self.b.copy(), intercept

    def _by_libsvm(self, C: float) -> tuple[FloatArray, float]:
        machine = _libsvm(self.kernel, self.signs, C, self.tol)
        b = np.zeros(len(self.signs))
        b[machine.support_] = machine.dual_coef_[0]
        return b, float(machine.intercept_[0])
