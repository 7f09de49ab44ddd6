"""Logistic regression by Newton's method: for every C of a grid, each from the one before.

The problem is scikit-learn's ``LogisticRegression``: ``C sum loss + 1/2 |W|^2`` with the intercepts
free; one vector of weights for two classes, one a class (softmax) for more.

Reference: Minka, "A comparison of numerical optimizers for logistic regression", 2003.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, log_softmax, logsumexp

from halpgraph.contracts import FloatArray, IntArray
from halpgraph.evaluators._certainty import softmax_of
from halpgraph.evaluators._kernels import scaled
from halpgraph.evaluators._squared_hinge import narrow, with_ones
from halpgraph.evaluators._svc import Prediction, constant

_STEPS, _LARGEST, _CG_STEPS = 100, 300, 500


class LogisticModels:
    """The family of logistic regressions along C, on embeddings scaled inside the fold."""

    name: dict[str, Any]

    def __init__(self, z: FloatArray, classes: int, scale: bool = True) -> None:
        self.name, self.z, self.classes, self.scale = {}, z, classes, scale

    def predict(
        self, learn: IntArray, check: IntArray, y: IntArray, grid: Sequence[float]
    ) -> list[Prediction]:
        """Learn with every C and predict."""
        there, position = np.unique(y, return_inverse=True)
        if len(there) == 1:
            return [constant(int(there[0]), len(check), self.classes)] * len(grid)
        known, new = narrow(*scaled(self.z, learn, check, self.scale))
        weights = logistic(known, position.astype(np.int64), grid)
        return [self._prediction(w, with_ones(new)[0], there) for w in weights]

    def _prediction(self, w: FloatArray, rows: FloatArray, there: IntArray) -> Prediction:
        logits = rows @ w.T  # [m, 1 or classes]
        if len(there) == 2:
            decision = logits[:, 0]
            predicted = np.where(decision > 0, there[1], there[0])
            rows = np.stack([np.zeros(len(decision)), decision], axis=1)  # [m, 2]
            shares = partial(softmax_of, rows, there, self.classes)
            return Prediction(predicted, decision if self.classes == 2 else None, shares=shares)
        shares = partial(softmax_of, logits, there, self.classes)
        return Prediction(there[logits.argmax(1)], None, shares=shares)


def logistic(x: FloatArray, y: IntArray, grid: Sequence[float]) -> list[FloatArray]:
    """Return weights, intercept last, for each C.

    Shapes: x [n, D], y [n] of 0 to k - 1 -> grid times [1 (two classes) or k, D + 1].
    """
    k = int(y.max()) + 1
    size = (1 if k == 2 else k, x.shape[1] + 1)
    rows = with_ones(x)[0]
    solve = _newton if size[0] * size[1] <= _LARGEST else _newton_cg
    out, w = [np.zeros(0)] * len(grid), np.zeros(size)
    for c in np.argsort(np.asarray(grid), kind="stable"):
        w = solve(rows, y, float(grid[c]), w)
        out[int(c)] = w
    return out


def _newton_cg(rows: FloatArray, y: IntArray, C: float, w: FloatArray) -> FloatArray:
    """Newton's method whose steps are found by conjugate gradients: no Hessian is written out."""
    truth, penalty = np.eye(w.shape[0])[y], np.ones(w.shape[1])
    penalty[-1] = 0.0
    logits, squares = rows @ w.T, rows**2  # [n, k], [n, D + 1]
    for _ in range(_STEPS):
        share = np.exp(log_softmax(logits, axis=1))
        slope = C * (share - truth).T @ rows + w * penalty

        def curve(v: FloatArray, share: FloatArray = share) -> FloatArray:
            along = rows @ v.T  # [n, k]
            along = share * (along - (share * along).sum(axis=1, keepdims=True))
            return np.asarray(C * along.T @ rows + v * (penalty + 1e-9 * C))

        diagonal = C * (share * (1.0 - share)).T @ squares + penalty + 1e-9 * C
        step = _conjugate(curve, -slope, diagonal)
        fall, now = float((step * slope).sum()), _loss(logits, y, C, w)
        change, length = rows @ step.T, 1.0
        while length > 1e-10 and not (
            _loss(logits + length * change, y, C, w + length * step)
            <= now + 1e-4 * length * fall + 1e-13 * abs(now)
        ):
            length /= 2.0
        w, logits = w + length * step, logits + length * change
        if -fall < 1e-11 * (1.0 + abs(now)):
            break
    return w


def _conjugate(
    curve: Callable[[FloatArray], FloatArray], b: FloatArray, diagonal: FloatArray
) -> FloatArray:
    """Solve ``curve(x) = b``, the more exactly the smaller ``b`` has become."""
    x, rest = np.zeros_like(b), b.copy()
    size = float(np.linalg.norm(b))
    wanted = min(0.1, float(np.sqrt(size))) * size
    eased = rest / diagonal
    way, power = eased, float((rest * eased).sum())
    for _ in range(_CG_STEPS):
        bent = curve(way)
        length = power / float((way * bent).sum())
        x, rest = x + length * way, rest - length * bent
        if float(np.linalg.norm(rest)) <= wanted:
            break
        eased = rest / diagonal
        power, before = float((rest * eased).sum()), power
        way = eased + power / before * way
    return x


def _newton(rows: FloatArray, y: IntArray, C: float, w: FloatArray) -> FloatArray:
    for _ in range(_STEPS):
        logits = rows @ w.T  # [n, 1 or k]
        slope, hessian = _derivatives(rows, y, C, w, logits)
        move = -cho_solve(cho_factor(hessian, check_finite=False), slope.ravel())
        fall = float(move @ slope.ravel())
        now = _loss(logits, y, C, w)
        step, change = move.reshape(w.shape), rows @ move.reshape(w.shape).T
        length = 1.0
        while length > 1e-10 and not (
            _loss(logits + length * change, y, C, w + length * step)
            <= now + 1e-4 * length * fall + 1e-13 * abs(now)
        ):
            length /= 2.0
        w = w + length * step
        if -fall < 1e-12 * (1.0 + abs(now)):
            break
    return w


def _loss(logits: FloatArray, y: IntArray, C: float, w: FloatArray) -> float:
    if logits.shape[1] == 1:
        losses = np.logaddexp(0.0, np.where(y == 1, -logits[:, 0], logits[:, 0]))
    else:
        losses = logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]
    return float(C * losses.sum() + 0.5 * (w[:, :-1] ** 2).sum())


def _derivatives(
    rows: FloatArray, y: IntArray, C: float, w: FloatArray, logits: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return gradient and Hessian. Shapes: [k, D + 1], [k (D + 1), k (D + 1)]."""
    k, d = w.shape
    if k == 1:
        share, truth = expit(logits), (y == 1).astype(np.float64)[:, None]
    else:
        share, truth = np.exp(log_softmax(logits, axis=1)), np.eye(k)[y]
    penalty = np.ones(d)
    penalty[-1] = 0.0  # the intercept
    slope = C * (share - truth).T @ rows + w * penalty
    hessian = np.zeros((k, d, k, d))
    for a in range(k):
        for b in range(a, k):
            weight = share[:, a] * ((a == b) - share[:, b])
            hessian[a, :, b] = C * (rows * weight[:, None]).T @ rows
            hessian[b, :, a] = hessian[a, :, b].T
    flat = hessian.reshape(k * d, k * d)
    # Adding one number to every softmax intercept changes nothing: keep the matrix regular.
    flat.flat[:: k * d + 1] += np.tile(penalty + 1e-9 * C, k)
    return slope, flat
