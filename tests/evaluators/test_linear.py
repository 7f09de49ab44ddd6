"""Logistic regression against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from plain import GRID, blobs, plain_nesting
from sklearn.linear_model import LogisticRegression

from halpgraph.evaluators._logistic import logistic
from halpgraph.evaluators.linear import linear
from halpgraph.folds import stratified


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [6, 60])
def test_linear_is_plain_grid_search(classes, width):
    z, y = blobs(n=60, classes=classes, d=width, noise=3.0)
    folds, grid = stratified(y, 3, 2), GRID[:4]
    model = LogisticRegression(tol=1e-6, max_iter=10_000)
    predicted, chosen = plain_nesting(model, z, y, folds, 2, grid=grid)
    found = linear(grid=grid)(z, y, folds, 2)
    assert [c["C"] for c in found.chosen] == chosen
    np.testing.assert_array_equal(found.predicted, predicted)


@pytest.mark.parametrize("classes", [2, 4])
def test_newton_finds_the_weights_of_scikit_learn(classes):
    z, y = blobs(classes=classes, n=150)
    for C, w in zip(GRID, logistic(z, y, GRID), strict=True):
        model = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(z, y)
        np.testing.assert_allclose(w[:, :-1], model.coef_, atol=1e-4)
        logits = z @ w[:, :-1].T + w[:, -1]
        theirs = model.decision_function(z).reshape(logits.shape)
        spare = (logits - theirs).mean(axis=1, keepdims=True) if classes > 2 else 0.0
        np.testing.assert_allclose(logits - spare, theirs, atol=1e-3)


def test_separable_clouds_do_not_diverge():
    z, y = blobs(noise=0.01)
    (w,) = logistic(z, y, [1e6])
    assert np.isfinite(w).all()
    assert ((z @ w[0, :-1] + w[0, -1] > 0) == y).all()
