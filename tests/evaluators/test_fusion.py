"""Late fusion inside an embedding: by hand, weights by name, a search that cannot see tests."""

from __future__ import annotations

import numpy as np
import pytest

from halpgraph import registry
from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray
from halpgraph.errors import UserError
from halpgraph.folds import stratified

PARTS = {"joint": 4, "motion": 3, "bone": 5}
LINEAR = {"name": "linear", "grid": [0.1, 10.0]}


def streams(n: int = 90) -> tuple[FloatArray, IntArray]:
    """Three streams: one tells the classes well, one a little, one not at all."""
    random = np.random.default_rng(0)
    y = np.arange(n) % 3
    blocks = [
        random.normal(size=(n, width)) + strength * np.eye(3)[y][:, [0, 1, 2, 0, 1][:width]]
        for strength, width in ((2.5, 4), (1.0, 3), (0.0, 5))
    ]
    return np.hstack(blocks), y


def build(parts: dict[str, int] | None = PARTS, **settings: object) -> Evaluator:
    evaluator: Evaluator = registry.evaluators.build({"name": "ensemble", "of": LINEAR, **settings})
    evaluator.parts = parts or {}
    return evaluator


def tables(z: FloatArray, y: IntArray, folds: list[Fold]) -> list[FloatArray]:
    ends = np.cumsum(list(PARTS.values()))[:-1]
    found = []
    for block in np.split(z, ends, axis=1):
        table = registry.evaluators.build(LINEAR)(block, y, folds, 0).probabilities
        found.append(table)
    return found


@pytest.mark.parametrize(
    ("weights", "shares"),
    [("equal", [1 / 3] * 3), ({"joint": 0.6, "motion": 0.4, "bone": 0.6}, [0.375, 0.25, 0.375])],
)
def test_certainties_are_added_with_the_weights(weights: object, shares: list[float]) -> None:
    z, y = streams()
    folds = stratified(y, 3, 0)
    found = build(weights=weights)(z, y, folds, 0)
    expected = sum(w * t for w, t in zip(shares, tables(z, y, folds), strict=True))
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, expected)
    np.testing.assert_array_equal(found.predicted, np.argmax(expected, axis=1))


def test_one_stream_and_none_are_the_evaluator_itself() -> None:
    z, y = streams()
    folds = stratified(y, 3, 0)
    plain = registry.evaluators.build(LINEAR)(z[:, 4:7], y, folds, 0)
    alone = build(streams=["motion"])(z, y, folds, 0)
    unnamed = build(None)(z[:, 4:7], y, folds, 0)
    for found in (alone, unnamed):
        np.testing.assert_array_equal(found.predicted, plain.predicted)
        np.testing.assert_allclose(found.probabilities, plain.probabilities)  # type: ignore[arg-type]


def test_a_search_prefers_what_helps_and_never_sees_the_test_labels() -> None:
    z, y = streams()
    fold = stratified(y, 3, 0)[0]
    found = build(weights="search")(z, y, [fold], 0)
    weights = found.chosen[0]["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["joint"] > weights["bone"]
    flipped = y.copy()
    flipped[fold.test] = (y[fold.test] + 1) % 3
    assert build(weights="search")(z, flipped, [fold], 0).chosen == found.chosen


def test_groups_are_kept_together_in_the_search() -> None:
    z, y = streams()
    groups = np.arange(90) // 30
    fold = Fold(np.arange(60), np.arange(60, 90), None, groups)
    weights = build(weights="search")(z, y, [fold], 0).chosen[0]["weights"]
    assert set(weights) == set(PARTS)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"streams": ["joint", "face"]}, "face missing from this embedding; it has joint, motion"),
        ({"weights": {"joint": 1.0}}, "give each of them one weight"),
        ({"weights": {"joint": 0.0, "motion": 0.0, "bone": 0.0}}, "not all of them 0"),
    ],
)
def test_streams_and_weights_that_do_not_fit_are_named(
    settings: dict[str, object], why: str
) -> None:
    z, y = streams()
    with pytest.raises(UserError, match=why):
        build(PARTS, **settings)(z, y, stratified(y, 3, 0), 0)


def test_widths_must_cover_the_embedding() -> None:
    z, y = streams()
    with pytest.raises(UserError, match=r"has 11 columns, its streams .* have 12"):
        build()(z[:, 1:], y, stratified(y, 3, 0), 0)


@pytest.mark.parametrize("of", ["ensemble", "finetune", "lineer"])
def test_only_evaluators_of_embeddings_can_be_fused(of: str) -> None:
    with pytest.raises(UserError, match=r"evaluators\.ensemble\.of"):
        build(of=of)
