"""Subgraph: exact numbers, connected, uniform starts, whole components where need be."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from toy import check_batch, component_labels, origin, pack, toy_batch, undirected

from halpgraph.views.subgraph import Subgraph

ways = pytest.mark.parametrize("way", ["bfs", "walk"])
Way = Literal["bfs", "walk"]


@ways
@given(seed=st.integers(0, 2**20), percent=st.integers(1, 100))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_connected_and_exact(way: Way, seed: int, percent: int) -> None:
    batch = toy_batch(seed)
    out = Subgraph(percent / 100, way)(batch, torch.Generator().manual_seed(seed))
    check_batch(out)
    old, labels = origin(batch, out), component_labels(out)
    whole = component_labels(batch)
    for graph in range(batch.num_graphs):
        low, high = int(batch.ptr[graph]), int(batch.ptr[graph + 1])
        largest = int(torch.bincount(whole[low:high]).max())
        mine = slice(int(out.ptr[graph]), int(out.ptr[graph + 1]))
        kept = (old[mine] - low).tolist()
        assert len(kept) == min(largest, max(1, percent * (high - low) // 100))
        assert len(labels[mine].unique()) == 1, "not connected"
        number = {node: i for i, node in enumerate(kept)}
        edges = undirected(batch, graph)
        induced = {(number[u], number[v]) for u, v in edges if u in number and v in number}
        assert undirected(out, graph) == induced


def kept_in(batch: object, view: Subgraph, size: int, copies: int, seed: int) -> torch.Tensor:
    """Return which nodes are kept of every copy of a graph. Shapes: [copies, size]."""
    out = view(batch, torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    kept = torch.zeros(size * copies).index_fill_(0, origin(batch, out), 1.0)  # type: ignore[arg-type]
    return kept.view(copies, size)


@ways
def test_starts_are_uniform_among_nodes_of_large_enough_components(way: Way) -> None:
    """One node is kept: the start itself. With two kept, single nodes cannot be starts."""
    copies, edges = 4000, {(0, 1), (2, 3), (3, 4)}
    batch = pack([(7, edges)] * copies)
    alone = kept_in(batch, Subgraph(0.15, way), 7, copies, 0).sum(0)
    assert chisquare(alone.numpy()).pvalue > 1e-3
    pairs = kept_in(batch, Subgraph(0.3, way), 7, copies, 1)
    assert pairs[:, 5:].sum() == 0
    in_first = float(pairs[:, 0].sum())  # two of five starts
    assert chisquare([in_first, copies - in_first], [copies * 0.4, copies * 0.6]).pvalue > 1e-3


@ways
def test_without_a_large_enough_component_a_largest_is_kept_whole(way: Way) -> None:
    copies, edges = 2000, {(0, 1), (1, 2), (3, 4), (4, 5)}
    batch = pack([(8, edges)] * copies)
    kept = kept_in(batch, Subgraph(0.8, way), 8, copies, 2)
    assert torch.equal(kept[:, :3].amin(1), kept[:, :3].amax(1))
    assert torch.equal(kept[:, 3:6], 1 - kept[:, :3])
    first = float(kept[:, 0].sum())
    assert chisquare([first, copies - first]).pvalue > 1e-3


def test_breadth_first_takes_whole_rings_and_a_uniform_part_of_the_last() -> None:
    """A star around node 0: from a leaf the hub comes second, then any of the other leaves."""
    copies = 4000
    batch = pack([(5, {(0, i) for i in range(1, 5)})] * copies)
    kept = kept_in(batch, Subgraph(0.6), 5, copies, 3)  # three nodes: the hub and two leaves
    assert bool((kept[:, 0] == 1).all())
    counts = torch.unique(kept, dim=0, return_counts=True)[1]
    assert len(counts) == 6
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_a_walk_goes_on_from_where_it_is() -> None:
    """On a path, any walk keeps a run of neighbours; a walk may leave the first rings early."""
    copies, size = 500, 12
    batch = pack([(size, {(i, i + 1) for i in range(size - 1)})] * copies)
    kept = kept_in(batch, Subgraph(0.5, "walk"), size, copies, 4)
    assert bool((kept.sum(1) == 6).all())
    lopsided = kept_in(batch, Subgraph(0.5, "bfs"), size, copies, 4)
    starts = torch.unique(kept, dim=0, return_counts=True)[1]
    assert len(starts) == 7
    assert starts.min() > copies / 7 / 4
    assert not torch.equal(kept, lopsided)


def test_long_paths_and_deep_trees_end() -> None:
    size = 600
    path = {(i, i + 1) for i in range(size - 1)}
    tree = {((i - 1) // 2, i) for i in range(1, size)}
    batch = pack([(size, path), (size, tree), (size, set())])
    for way in ("bfs", "walk"):
        out = Subgraph(0.9, way)(batch, torch.Generator().manual_seed(5))  # type: ignore[arg-type]
        check_batch(out)
        assert out.ptr.diff().tolist() == [540, 540, 1]
