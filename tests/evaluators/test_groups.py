"""Choices inside a fold keep groups (subjects, views) together, as plain scikit-learn does it."""

from __future__ import annotations

import numpy as np
import pytest
from plain import blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from halpgraph.contracts import Fold
from halpgraph.evaluators.knn import knn
from halpgraph.evaluators.linear import linear
from halpgraph.evaluators.svm import svm

GRID = [1e-2, 1.0, 1e2]


def problem(groups: int, seed: int = 0):
    """Return clouds with a shift of each group so large that mixing groups looks too good."""
    z, y = blobs(n=96, d=6, classes=2, seed=seed, noise=1.5)
    group = np.arange(96) // 2 % groups
    z = z + np.random.default_rng(seed).normal(size=(groups, 6))[group] * (2 * y - 1)[:, None]
    train = np.arange(96) < 70
    return z, y, Fold(np.flatnonzero(train), np.flatnonzero(~train), groups=group)


def plain(model, grid, z, y, fold, inner):
    """Return what GridSearchCV over groups predicts and chooses."""
    groups = fold.groups[fold.train]
    split = GroupKFold(min(inner, len(np.unique(groups))))
    search = GridSearchCV(model, grid, cv=split)
    search.fit(z[fold.train], y[fold.train], groups=groups)
    return search.predict(z[fold.test]), next(iter(search.best_params_.values()))


@pytest.mark.parametrize("groups", [2, 3, 7])  # 7 are more than ``inner``
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_settings_are_chosen_by_groups(groups, seed):
    z, y, fold = problem(groups, seed)
    logistic = LogisticRegression(tol=1e-8, max_iter=10_000)
    cases = [
        (linear(grid=GRID, inner=4), logistic, {"logisticregression__C": GRID}, "C", True),
        (svm(grid=GRID, inner=4), SVC(), {"svc__C": GRID}, "C", True),
        (
            knn(neighbours=[1, 5, 15], inner=4),
            KNeighborsClassifier(metric="cosine"),
            {"kneighborsclassifier__n_neighbors": [1, 5, 15]},
            "neighbours",
            False,
        ),
    ]
    for ours, model, grid, key, scale in cases:
        model = make_pipeline(*([StandardScaler()] if scale else []), model)
        predicted, chosen = plain(model, grid, z, y, fold, 4)
        found = ours(z, y, [fold], 0)
        assert found.chosen[0][key] == chosen, type(ours).__name__
        np.testing.assert_array_equal(found.predicted[fold.test], predicted)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: linear(grid=GRID), "C"),
        (lambda: svm(grid=GRID), "C"),
        (lambda: knn(neighbours=[1, 9]), "neighbours"),
    ],
)
def test_groups_change_the_choice_and_one_alone_gives_none(build, key):
    choices = set()
    for seed in range(6):
        z, y, fold = problem(3, seed)
        mixed = Fold(fold.train, fold.test)
        pair = [build()(z, y, [f], 0).chosen[0][key] for f in (fold, mixed)]
        choices.add(pair[0] == pair[1])
    assert False in choices  # somewhere it matters
    z, y, fold = problem(3)
    alone = Fold(fold.train, fold.test, groups=np.zeros(96, np.int64))
    found = build()(z, y, [alone], 0)
    assert found.chosen[0][key] == (1.0 if key == "C" else 1)  # the middle, or the first
    assert (found.predicted[fold.test] >= 0).all()


def test_one_neighbour_is_plain_retrieval():
    z, y, fold = problem(3)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    nearest = (unit[fold.test] @ unit[fold.train].T).argmax(1)
    found = knn(neighbours=[1])(z, y, [fold], 0)
    np.testing.assert_array_equal(found.predicted[fold.test], y[fold.train][nearest])
    assert found.chosen == [{"neighbours": 1}]
