"""Node dropping: exact numbers, every node as likely, edges are those among the rest."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from toy import NUM_CODES, check_batch, origin, pack, toy_batch, undirected

from halpgraph.views.drop_nodes import DropNodes


@given(seed=st.integers(0, 2**20), percent=st.integers(0, 99))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_exact_numbers_and_induced_edges(seed: int, percent: int) -> None:
    batch = toy_batch(seed)
    out = DropNodes(percent / 100)(batch, torch.Generator().manual_seed(seed))
    check_batch(out)
    old = origin(batch, out)
    for graph in range(batch.num_graphs):
        low, size = int(batch.ptr[graph]), int(batch.ptr.diff()[graph])
        kept = (old[out.ptr[graph] : out.ptr[graph + 1]] - low).tolist()
        assert len(kept) == max(1, size - percent * size // 100)
        assert kept == sorted(set(kept))
        number = {node: i for i, node in enumerate(kept)}
        whole = undirected(batch, graph)
        induced = {(number[u], number[v]) for u, v in whole if u in number and v in number}
        assert undirected(out, graph) == induced
    assert torch.equal(out.codes[:, 0], old % NUM_CODES)


def test_binary_fractions_do_not_lose_a_node() -> None:
    batch = pack([(100, set()), (50, set())])
    for percent in range(100):
        out = DropNodes(percent / 100)(batch)
        assert out.ptr.diff().tolist() == [100 - percent, 50 - math.floor(percent * 50 / 100)]


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.8])
def test_every_pair_of_nodes_is_dropped_as_often(ratio: float) -> None:
    """A graph of five nodes, among others: which pairs go together is uniform as well."""
    size, copies = 5, 3000
    batch = pack([(size, {(0, 1), (1, 2)}), (1, set()), (9, set())] * copies)
    out = DropNodes(ratio)(batch, torch.Generator().manual_seed(0))
    kept = torch.zeros(batch.x.size(0)).index_fill_(0, origin(batch, out), 1.0)
    mine = torch.cat([torch.arange(int(p), int(p) + size) for p in batch.ptr[:-1:3]])
    rows = kept[mine].view(copies, size)  # [copies, 5]
    patterns = torch.unique(rows, dim=0, return_counts=True)
    assert len(patterns[1]) == math.comb(size, round(ratio * size))
    assert chisquare(patterns[1].numpy()).pvalue > 1e-3
