"""Nearest neighbours against loops, and their ties."""

from __future__ import annotations

import numpy as np
import pytest
from plain import blobs
from sklearn.neighbors import KNeighborsClassifier

from halpgraph.evaluators.knn import cosine, knn, vote
from halpgraph.folds import stratified


def by_hand(similar, y, k, classes):
    """Return the winner of each row, in loops and in the words of the documentation."""
    winners = []
    for row in similar:
        bar = sorted(row, reverse=True)[min(k, len(row)) - 1]
        voters = [i for i, s in enumerate(row) if s >= bar - 1e-9]
        tally = [
            (sum(y[i] == c for i in voters), sum(row[i] for i in voters if y[i] == c), -c)
            for c in range(classes)
        ]
        winners.append(-max(tally)[2])
    return winners


@pytest.mark.parametrize("k", [1, 2, 3, 10, 500])
@pytest.mark.parametrize("classes", [2, 3])
def test_vote_is_the_documented_one(k, classes):
    z, y = blobs(classes=classes, n=80)
    near = cosine(z)[:30, 30:]
    share = vote(near, np.eye(classes)[y[30:]], [k])[0]
    assert share.argmax(1).tolist() == by_hand(near, y[30:], k, classes)


def test_odd_numbers_agree_with_scikit_learn():
    z, y = blobs(n=150)
    for k, share in zip([1, 3, 5], vote(cosine(z)[:50, 50:], np.eye(2)[y[50:]], [1, 3, 5])):  # noqa: B905
        model = KNeighborsClassifier(k, metric="cosine").fit(z[50:], y[50:])
        np.testing.assert_array_equal(share.argmax(1), model.predict(z[:50]))


def test_the_order_of_the_data_decides_nothing():
    z = np.repeat(np.eye(4), 6, axis=0)  # six copies of each of four graphs
    y = np.tile([0, 1, 1, 0, 1, 1], 4)
    order = np.random.default_rng(0).permutation(len(y))
    similar, moved = cosine(z), cosine(z[order])
    first = vote(similar, np.eye(2)[y], [1])[0]
    second = vote(moved, np.eye(2)[y[order]], [1])[0]
    np.testing.assert_allclose(first[order], second)
    assert (first.argmax(1) == 1).all()  # four of the six copies


def test_length_does_not_matter_and_zero_rows_are_allowed():
    z, y = blobs(n=100)
    z[:3] = 0.0
    folds = stratified(y, 5, 0)
    stretched = z * np.random.default_rng(0).uniform(0.1, 10, size=(100, 1))
    first, second = knn()(z, y, folds, 0), knn()(stretched, y, folds, 0)
    np.testing.assert_array_equal(first.predicted, second.predicted)


def test_the_number_of_neighbours_is_chosen_inside():
    z, y = blobs(n=200, noise=2.5)
    scores = knn(neighbours=[1, 20])(z, y, stratified(y, 5, 0), 0)
    assert all(choice["neighbours"] == 20 for choice in scores.chosen)
