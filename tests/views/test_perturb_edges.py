"""Edge perturbation: exact numbers, only absent pairs are added, every edge and pair as likely."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from toy import check_batch, pack, toy_batch, undirected

from halpgraph.views.perturb_edges import PerturbEdges


@given(seed=st.integers(0, 2**20), percent=st.integers(0, 100), add=st.booleans())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_exact_numbers(seed: int, percent: int, add: bool) -> None:
    batch = toy_batch(seed)
    out = PerturbEdges(percent / 100, add)(batch, torch.Generator().manual_seed(seed))
    check_batch(out)
    assert torch.equal(out.ptr, batch.ptr)
    assert torch.equal(out.x, batch.x)
    for graph in range(batch.num_graphs):
        size = int(batch.ptr.diff()[graph])
        old, new = undirected(batch, graph), undirected(out, graph)
        count = percent * len(old) // 100
        assert len(old - new) == count
        assert len(new - old) == (min(count, math.comb(size, 2) - len(old)) if add else 0)


def test_a_complete_graph_only_loses_edges() -> None:
    complete = set(itertools.combinations(range(8), 2))
    out = PerturbEdges(0.5)(pack([(8, complete)]), torch.Generator().manual_seed(0))
    assert len(undirected(out, 0)) == 14


CYCLE = {(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)}
SPARSE = {(0, 1), (3, 7), (2, 5)}
HUB = {(0, i) for i in range(1, 6)} | {(1, 2), (3, 4)}


@pytest.mark.parametrize(
    ("size", "edges", "ratio"), [(5, CYCLE, 0.4), (9, SPARSE, 0.34), (6, HUB, 0.3)]
)
def test_every_edge_and_every_absent_pair_is_as_likely(
    size: int, edges: set[tuple[int, int]], ratio: float
) -> None:
    copies = 2500
    batch = pack([(size, edges), (3, {(0, 2)})] * copies)
    out = PerturbEdges(ratio)(batch, torch.Generator().manual_seed(1))
    results = [undirected(out, 2 * i) for i in range(copies)]
    dropped = Counter(frozenset(edges - new) for new in results)
    added = Counter(frozenset(new - edges) for new in results)
    count = math.floor(ratio * len(edges))
    absent = math.comb(size, 2) - len(edges)
    for seen, sets in ((dropped, math.comb(len(edges), count)), (added, math.comb(absent, count))):
        cells = list(seen.values()) + [0] * (sets - len(seen))
        assert len(cells) == sets
        assert chisquare(cells).pvalue > 1e-3


def test_large_sparse_graphs_do_not_list_their_pairs() -> None:
    """A graph of 30000 nodes has 450 million pairs; listing them would take gigabytes."""
    size = 30_000
    path = pack([(size, {(i, i + 1) for i in range(size - 1)}), (4, {(0, 1)})])
    out = PerturbEdges(0.1)(path, torch.Generator().manual_seed(2))
    check_batch(out)
    assert len(undirected(out, 0)) == size - 1
