"""The linear support vector machine with squared hinge loss, by Newton's method in the primal.

The problem is scikit-learn's ``LinearSVC`` (LIBLINEAR): the intercept is one more weight, on a
column of ones, and is regularised with the others; several classes are told apart one against the
rest. The loss is piecewise quadratic, so that Newton's method ends after finitely many steps in the
exact solution, from which the next C starts.

Reference: Keerthi and DeCoste, "A modified finite Newton method for fast solution of large scale
linear SVMs", JMLR 6, 2005.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, qr

from halpgraph.contracts import FloatArray, IntArray
from halpgraph.evaluators._certainty import softmax_of
from halpgraph.evaluators._kernels import scaled
from halpgraph.evaluators._svc import Prediction, constant

_STEPS = 200


class LinearMachines:
    """The family of linear machines along C, on embeddings scaled inside the fold."""

    name: dict[str, Any]

    def __init__(self, z: FloatArray, classes: int, scale: bool = True) -> None:
        self.name, self.z, self.classes, self.scale = {"kernel": "linear"}, z, classes, scale

    def predict(
        self, learn: IntArray, check: IntArray, y: IntArray, grid: Sequence[float]
    ) -> list[Prediction]:
        """Learn with every C and predict."""
        there = np.unique(y)
        if len(there) == 1:
            return [constant(int(there[0]), len(check), self.classes)] * len(grid)
        known, new = narrow(*with_ones(*scaled(self.z, learn, check, self.scale)))
        targets = there[1:] if len(there) == 2 else there
        weights = [squared_hinge(known, np.where(y == c, 1.0, -1.0), grid) for c in targets]
        decisions = np.stack(weights, 1) @ new.T  # [grid, targets, m]
        return [self._prediction(decision, there) for decision in decisions]

    def _prediction(self, decision: FloatArray, there: IntArray) -> Prediction:
        if len(there) == 2:
            predicted = np.where(decision[0] > 0, there[1], there[0])
            rows = np.stack([np.zeros(len(decision[0])), decision[0]], axis=1)  # [m, 2]
            shares = partial(softmax_of, rows, there, self.classes)
            return Prediction(predicted, decision[0] if self.classes == 2 else None, shares=shares)
        shares = partial(softmax_of, decision.T, there, self.classes)
        return Prediction(there[decision.argmax(0)], None, shares=shares)


def with_ones(*tables: FloatArray) -> list[FloatArray]:
    """Return the tables with a column of ones. Shapes: [n, D] -> [n, D + 1]."""
    return [np.concatenate([t, np.ones((len(t), 1))], axis=1) for t in tables]


def narrow(known: FloatArray, new: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotate tables that are wider than high: solutions lie in the span of the known rows.

    Shapes: known [n, D], new [m, D] -> [n, min(n, D)], [m, min(n, D)].
    """
    if known.shape[1] <= known.shape[0]:
        return known, new
    turn, corner = qr(known.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(corner.T), np.asarray(new @ turn)


def squared_hinge(x: FloatArray, signs: FloatArray, grid: Sequence[float]) -> FloatArray:
    """Minimise ``1/2 |w|^2 + C sum max(0, 1 - y x'w)^2`` for each C.

    Shapes: x [n, D], signs [n] of -1 and 1 -> [grid, D].
    """
    out = np.empty((len(grid), x.shape[1]))
    rows = x * signs[:, None]  # [n, D]
    w = np.zeros(x.shape[1])
    curvature = _Curvature(rows)
    for c in np.argsort(np.asarray(grid), kind="stable"):
        w = _newton(rows, float(grid[c]), w, curvature)
        out[c] = w
    return out


class _Curvature:
    """``sum over active rows of x x'``, brought up to date by the rows that changed."""

    def __init__(self, rows: FloatArray) -> None:
        self.rows = rows
        self.active = np.zeros(len(rows), dtype=bool)
        self.value = np.zeros((rows.shape[1], rows.shape[1]))

    def __call__(self, active: Any) -> FloatArray:
        changed = active != self.active
        if 2 * changed.sum() >= active.sum():
            some = self.rows[active]
            self.value = some.T @ some
        else:
            come, go = self.rows[changed & active], self.rows[changed & ~active]
            self.value = self.value + (come.T @ come - go.T @ go)
        self.active = active
        return self.value


def _newton(rows: FloatArray, C: float, w: FloatArray, curvature: _Curvature) -> FloatArray:
    margin = 1.0 - rows @ w  # [n]
    for _ in range(_STEPS):
        active = margin > 0
        hessian = 2.0 * C * curvature(active)
        hessian.flat[:: len(w) + 1] += 1.0
        slope = w - 2.0 * C * (margin[active] @ rows[active])
        move = -cho_solve(cho_factor(hessian, check_finite=False), slope, check_finite=False)
        gain = rows @ move
        length = _length(w, move, margin, gain, C, float(slope @ move))
        w, margin = w + length * move, margin - length * gain
        if length == 1.0 and np.array_equal(margin > 0, active):
            break
    return w


def _length(
    w: FloatArray, move: FloatArray, margin: FloatArray, gain: FloatArray, C: float, slope: float
) -> float:
    """Halve the step until the loss falls enough (Armijo)."""
    start, length = _loss(w, margin, C), 1.0
    while length > 1e-10:
        value = _loss(w + length * move, margin - length * gain, C)
        if value <= start + 1e-4 * length * slope + 1e-12 * abs(start):
            break
        length /= 2.0
    return length


def _loss(w: FloatArray, margin: FloatArray, C: float) -> float:
    left = np.maximum(margin, 0.0)
    return float(0.5 * (w @ w) + C * (left @ left))
