"""Certainties against scikit-learn's decision values."""

from __future__ import annotations

import itertools

import numpy as np
from plain import blobs
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from halpgraph.contracts import Fold
from halpgraph.evaluators._certainty import of_pairs, softmax_of
from halpgraph.evaluators._svc import by_libsvm
from halpgraph.evaluators.linear import linear


def test_votes_of_pairs_are_those_of_scikit_learn():
    z, y = blobs(n=90, classes=4, noise=2.0)
    kernel = z @ z.T
    known, new = np.arange(60), np.arange(60, 90)
    machine = SVC(kernel="precomputed", decision_function_shape="ovo")
    machine.fit(kernel[np.ix_(known, known)], y[known])
    # scikit-learn's decisions are positive for the first class of a pair, ours for the second
    decisions = -machine.decision_function(kernel[np.ix_(new, known)]).T
    pairs = list(itertools.combinations(range(4), 2))
    votes = np.zeros((4, 30))
    for (a, b), decision in zip(pairs, decisions, strict=True):
        votes[a] += decision < 0
        votes[b] += decision >= 0
    machine.decision_function_shape = "ovr"
    expected = softmax(machine.decision_function(kernel[np.ix_(new, known)]), axis=1)
    np.testing.assert_allclose(of_pairs(decisions, votes, pairs, 4), expected)
    blocks = kernel[np.ix_(known, known)], kernel[np.ix_(new, known)]
    ours = by_libsvm(*blocks, y[known], 1.0, 1e-3, 4)
    np.testing.assert_allclose(ours.shares(), expected, atol=1e-6)


def test_a_class_that_was_never_there_is_impossible():
    found = softmax_of(np.array([[0.0, 1.0]]), np.array([0, 2]), 4)
    np.testing.assert_allclose(found, [[1 / (1 + np.e), 0, np.e / (1 + np.e), 0]])


def test_logistic_regression_tells_its_probabilities():
    z, y = blobs(n=90, classes=3)
    fold = Fold(np.arange(60), np.arange(60, 90))
    found = linear(grid=[1.0])(z, y, [fold], 0)
    scaler = StandardScaler().fit(z[:60])
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(scaler.transform(z[:60]), y[:60])
    expected = model.predict_proba(scaler.transform(z[60:]))
    np.testing.assert_allclose(found.probabilities[60:], expected, atol=1e-5)
