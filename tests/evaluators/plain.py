"""Plain scikit-learn, the way a careful person would nest a grid search; slow on purpose."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GRID = [1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3]


def plain_nesting(model, z, y, folds, seed, grid=GRID, inner=5, scale=True):
    """Return predictions [n] and the C chosen in each fold."""
    steps = [StandardScaler(), model] if scale else [model]
    key = f"{type(model).__name__.lower()}__C"
    predicted, chosen = np.full(len(y), -1), []
    for fold in folds:
        split = StratifiedKFold(inner, shuffle=True, random_state=seed)
        search = GridSearchCV(make_pipeline(*steps), {key: grid}, cv=split)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(z[fold.train], y[fold.train])
        predicted[fold.test] = search.predict(z[fold.test])
        chosen.append(search.best_params_[key])
    return predicted, chosen


def blobs(n=90, d=6, classes=2, seed=0, noise=1.6):
    """Return overlapping clouds: no class is separable."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return rng.normal(size=(classes, d))[y] + noise * rng.normal(size=(n, d)), y
