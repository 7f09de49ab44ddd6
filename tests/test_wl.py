"""The WL kernel against grakel and against names made in loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halpgraph import wl
from halpgraph.data.load import load
from halpgraph.floors import structure


def by_hand(labels, neighbours, depth):
    """Return each round's colours as nested tuples."""
    rounds = [[(label,) for label in labels]]
    for _ in range(depth):
        now = rounds[-1]
        rounds.append(
            [(now[v], tuple(sorted(now[u] for u in around))) for v, around in enumerate(neighbours)]
        )
    return rounds


@st.composite
def graphs(draw):
    n = draw(st.integers(1, 12))
    labels = draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n))
    pairs = draw(st.sets(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=25))
    neighbours = [sorted({b for a, b in pairs | {(b, a) for a, b in pairs} if a == v} - {v})
                  for v in range(n)]  # fmt: skip
    return np.array(labels), neighbours


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_colours_part_the_nodes_as_nested_multisets_do(graph):
    labels, neighbours = graph
    rowptr = np.cumsum([0, *map(len, neighbours)])
    target = np.array([u for around in neighbours for u in around], dtype=np.int64)
    for ours, theirs in zip(
        wl.colours(labels, rowptr, target, 3), by_hand(labels.tolist(), neighbours, 3), strict=True
    ):
        pairs = set(zip(ours.tolist(), theirs, strict=True))
        assert len(pairs) == len(set(ours.tolist())) == len(set(theirs))
        assert set(ours.tolist()) == set(range(ours.max() + 1))


@pytest.mark.parametrize("normalise", [True, False])
def test_kernels_are_those_of_grakel(normalise):
    grakel = pytest.importorskip("grakel")
    data = load("MUTAG")
    some = structure(data)
    listed = []
    for low, high in zip(some.ptr[:-1], some.ptr[1:], strict=True):
        edges = {
            (int(v), int(u))
            for v in range(low, high)
            for u in some.target[some.rowptr[v] : some.rowptr[v + 1]]
        }
        listed.append(
            grakel.Graph(edges, node_labels={v: int(some.colours[v]) for v in range(low, high)})
        )
    found = wl.kernels(some.colours, some.rowptr, some.target, some.ptr, 5, normalise)
    for depth in (1, 3, 5):
        kernel = grakel.WeisfeilerLehman(
            n_iter=depth, normalize=normalise, base_graph_kernel=grakel.VertexHistogram
        )
        np.testing.assert_allclose(found[depth], kernel.fit_transform(listed), rtol=1e-6)


def test_graphs_without_edges_compare_their_labels():
    labels, rowptr = np.array([0, 0, 1]), np.zeros(4, dtype=int)
    found = wl.kernels(labels, rowptr, np.empty(0, int), np.array([0, 2, 3]), 2)
    for kernel in found:
        np.testing.assert_allclose(kernel, np.eye(2), atol=1e-7)
