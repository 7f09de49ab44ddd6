"""Folds: scikit-learn's, seeded; official ones; clear refusals."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from halpgraph.errors import UserError
from halpgraph.folds import class_labels, make_folds, official, stratified


@given(st.lists(st.integers(0, 3), min_size=30, max_size=80), st.integers(2, 5), st.integers(0, 9))
def test_folds_are_those_of_scikit_learn(labels, folds, seed):
    y = np.array(labels)
    if np.unique(y, return_counts=True)[1].min() < folds:
        with pytest.raises(UserError, match="fold"):
            stratified(y, folds, seed)
        return
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    found = stratified(y, folds, seed)
    for fold, (train, test) in zip(found, splitter.split(y, y), strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
        assert fold.valid is None
    assert sorted(np.concatenate([f.test for f in found])) == list(range(len(y)))


def test_a_class_too_small_is_named_with_its_count_and_what_instead():
    y = np.array([0] * 20 + [4] * 7)
    with pytest.raises(UserError, match=r"class 4 has 7 members.*at most 7 folds"):
        stratified(y, 10)
    with pytest.raises(UserError, match=r"class 4 has 1 member.*leave the class out"):
        stratified(y[:21], 2)
    with pytest.raises(UserError, match="folds: 1"):
        stratified(y, 1)


def test_official_splits_are_one_fold():
    splits = {"train": [0, 1, 2], "val": [3], "test": [5, 4]}
    (fold,) = official(splits, 6)
    assert (fold.train.tolist(), fold.valid.tolist(), fold.test.tolist()) == (
        [0, 1, 2],
        [3],
        [5, 4],
    )
    data = SimpleNamespace(y=np.zeros(6, int), splits=splits)
    assert make_folds(data, 10, 0)[0].test.tolist() == [5, 4]
    masks = {"train": np.arange(6) < 4, "test": np.arange(6) >= 4}
    assert official(masks, 6)[0].test.tolist() == [4, 5]


def test_a_set_without_splits_is_stratified():
    y = np.arange(40) % 2
    data = SimpleNamespace(y=y, splits=None)
    np.testing.assert_array_equal(make_folds(data, 4, 1)[0].test, stratified(y, 4, 1)[0].test)


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        ({"train": [0, 1]}, "no test"),
        ({"train": [0, 1], "test": []}, "test"),
        ({"train": [0, 1], "test": [6]}, "count from 0 to 5"),
        ({"train": [0, 1], "test": [-1]}, "do not fit"),
        ({"train": [0, 1], "test": [1, 2]}, "two of train, test"),
        ({"train": [0, 0], "test": [1, 2]}, "twice"),
        ({"train": [0.5], "test": [1]}, "whole numbers"),
    ],
)
def test_broken_splits_are_refused(splits, says):
    with pytest.raises(UserError, match=says):
        official(splits, 6)


def test_labels_must_be_classes():
    assert class_labels(np.array([[1.0], [0.0]])).tolist() == [1, 0]
    for bad in (np.zeros((3, 2)), np.array([0.5, 1.0]), np.array([np.nan, 1.0]), np.array(["a"])):
        with pytest.raises(UserError, match="y:"):
            class_labels(bad)
