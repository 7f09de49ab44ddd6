"""Floors on MUTAG against what is known of them, and on sets without labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from halpgraph.data.load import from_list, load
from halpgraph.errors import UserError
from halpgraph.floors import floor_scores, structure
from halpgraph.folds import stratified


@pytest.fixture(scope="module")
def mutag():
    return load("MUTAG")


def accuracy(data, kind, seeds, z=None):
    found = [floor_scores(kind, data, stratified(data.y, 10, s), s, z) for s in range(seeds)]
    return float(np.mean([scores.metrics["accuracy"] for scores in found]))


@pytest.mark.parametrize(
    ("kind", "known", "within"),
    [("majority", 66.5, 0.1), ("labels", 84.5, 1.5), ("labels+degree", 89.0, 1.5), ("wl", 86.6, 2)],
)
def test_floors_of_mutag_are_the_measured_ones(mutag, kind, known, within):
    assert 100 * accuracy(mutag, kind, 2) == pytest.approx(known, abs=within)


def test_wl_with_a_telling_embedding_is_better_than_wl_and_a_blank_one_no_worse(mutag):
    telling = np.asarray(mutag.y)[:, None] + np.random.default_rng(0).normal(0, 0.2, (188, 4))
    alone = accuracy(mutag, "wl", 1)
    assert accuracy(mutag, "wl+embedding", 1, telling) > alone + 0.05
    assert accuracy(mutag, "wl+embedding", 1, np.zeros((188, 2))) > alone - 0.04


def test_test_labels_are_never_seen(mutag):
    folds = stratified(mutag.y, 10, 0)[:2]
    for kind in ("majority", "labels", "wl"):
        before = floor_scores(kind, mutag, folds, 0)
        other = load("MUTAG")
        other.y = other.y.copy()
        other.y[folds[0].test] = 1 - other.y[folds[0].test]
        after = floor_scores(kind, other, folds[:1], 0)
        np.testing.assert_array_equal(
            before.predicted[folds[0].test], after.predicted[folds[0].test]
        )


def ring(n, y):
    edges = torch.tensor([[i, (i + 1) % n] for i in range(n)]).T
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=n, y=torch.tensor([y]))


def path(n, y):
    edges = torch.tensor([[i, i + 1] for i in range(n - 1)]).T
    return Data(edge_index=torch.cat([edges, edges.flip(0)], 1), num_nodes=n, y=torch.tensor([y]))


def test_sets_without_labels_use_degrees_and_say_so():
    data = from_list(
        [ring(3 + i % 4, 0) for i in range(20)] + [path(3 + i % 4, 1) for i in range(20)]
    )
    assert structure(data).labels is None
    for kind in ("labels", "wl"):
        scores = floor_scores(kind, data, stratified(data.y, 5, 0), 0)
        assert np.mean(scores.metrics["accuracy"]) == 1.0
        assert "no node labels among the features: degrees in their place" in scores.notes


def test_labels_are_found_beside_degrees():
    alone = structure(load("MUTAG", features=["labels"])).labels
    beside = structure(load("MUTAG", features=["degree", "labels"])).labels
    np.testing.assert_array_equal(alone, beside)
    assert structure(load("MUTAG", features=["degree"])).labels is None


def test_unknown_floors_and_missing_embeddings_are_refused(mutag):
    with pytest.raises(UserError, match="unknown"):
        floor_scores("nosuch", mutag, [], 0)
    with pytest.raises(UserError, match="needs embeddings"):
        floor_scores("wl+embedding", mutag, [], 0)
