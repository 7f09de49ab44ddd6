"""Few labels: exact counts, published lists, no leaks."""

from __future__ import annotations

import numpy as np
import pytest
from plain import blobs
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from halpgraph import registry
from halpgraph.contracts import Fold
from halpgraph.errors import UserError
from halpgraph.evaluators._shares import name_of
from halpgraph.evaluators.semi import semi
from halpgraph.few_labels import labelled
from halpgraph.folds import stratified

Y = np.repeat([0, 1, 2], [150, 45, 5])  # unequal classes
TRAIN = np.random.default_rng(0).permutation(200)[:160]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.2, 0.5])
def test_counts_are_exact(share):
    picked = labelled(TRAIN, Y, share, True, 0, 0)
    assert len(set(picked)) == len(picked)
    assert set(picked) <= set(TRAIN)
    for c in range(3):
        expected = max(round(share * (Y[TRAIN] == c).sum()), 1)
        assert (Y[picked] == c).sum() == expected
    uniform = labelled(TRAIN, Y, share, False, 0, 0)
    assert len(set(uniform)) == max(int(share * 160), 1)
    assert set(uniform) <= set(TRAIN)


@pytest.mark.parametrize("balanced", [True, False])
def test_draws_are_seeded_differ_and_grow(balanced):
    some = [labelled(TRAIN, Y, 0.2, balanced, s, d).tolist() for s, d in ((0, 0), (0, 1), (1, 0))]
    assert some[0] == labelled(TRAIN, Y, 0.2, balanced, 0, 0).tolist()
    assert len({tuple(one) for one in some}) == 3
    assert set(labelled(TRAIN, Y, 0.1, balanced, 0, 0)) < set(some[0])
    np.testing.assert_array_equal(labelled(TRAIN, Y, 1.0, balanced, 0, 0), np.sort(TRAIN))


def test_other_labels_decide_nothing():
    other = Y.copy()
    rest = np.setdiff1d(np.arange(200), TRAIN)
    other[rest] = (other[rest] + 1) % 3
    a, b = (labelled(TRAIN, y, 0.1, True, 0, 0) for y in (Y, other))
    np.testing.assert_array_equal(a, b)


def test_it_is_logistic_regression_on_the_published_lists():
    z, y = blobs(n=120, classes=3)
    folds = stratified(y, 3, 0)
    scores = semi(shares=[0.1, 0.3], repeats=2, inner=50, C=0.5)(z, y, folds, 4)
    for number, fold in enumerate(folds):
        told = scores.chosen[number]
        for share, many in (("10%", 3 * 3), ("30%", 3 * 8)):
            values = []
            for picked in told[share]["labelled"]:
                assert len(picked) == many
                assert set(picked) <= set(fold.train.tolist())
                scaler = StandardScaler().fit(z[picked])
                model = LogisticRegression(C=0.5, tol=1e-8, max_iter=10_000)
                model.fit(scaler.transform(z[picked]), y[picked])
                values.append(model.score(scaler.transform(z[fold.test]), y[fold.test]))
            assert scores.metrics[f"accuracy@{share}"][number] == pytest.approx(np.mean(values))
            assert told[share]["chosen"] == [{"C": 0.5}] * 2
    assert scores.metrics["accuracy"] == scores.metrics["accuracy@30%"]
    assert next(iter(scores.metrics)) == "accuracy"
    assert "labels shown: 10%, 30%" in scores.notes[0]


def test_c_is_chosen_among_the_labels_shown_alone():
    """With enough labels C is searched; nobody looks at the rest, nor at the validation part."""
    z, y = blobs(n=300, noise=3.0)
    fold = Fold(np.arange(200), np.arange(200, 250), np.arange(250, 300))
    found = semi(shares=[0.3], repeats=1)(z, y, [fold], 0)
    shown = found.chosen[0]["30%"]["labelled"][0]
    other = y.copy()
    rest = np.setdiff1d(np.arange(300), shown)
    rest = rest[rest >= 200]  # training labels decide how many of a class are shown
    other[rest] = 1 - other[rest]
    again = semi(shares=[0.3], repeats=1)(z, other, [fold], 0)
    assert again.chosen == found.chosen
    np.testing.assert_array_equal(again.predicted, found.predicted)
    assert found.chosen[0]["30%"]["chosen"][0]["C"] != 1.0


def test_names_and_settings():
    assert [name_of(s) for s in (0.01, 0.005, 0.1, 0.29, 1.0)] == [
        *("1%", "0.5%", "10%", "29%", "100%")
    ]
    for bad in ({"shares": []}, {"shares": [0.0]}, {"shares": [1.1]}, {"shares": [0.1, 0.1]}):
        with pytest.raises(UserError):
            registry.evaluators.build({"name": "semi", **bad}, "evaluators")
