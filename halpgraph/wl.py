"""The Weisfeiler-Lehman subtree kernel of a whole data set, all depths in one pass.

Every node starts with its label; in each round its colour becomes the name of the pair (colour,
multiset of the neighbours' colours). The kernel of depth h counts the colours two graphs share in
rounds 0 to h. Names are made for all nodes of all graphs at once by sorting, without hashing, so
that two colours are never confused.

Reference: Shervashidze et al., "Weisfeiler-Lehman graph kernels", JMLR 12, 2011, sec. 3.2.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from halpgraph.contracts import IntArray

Float32Array = NDArray[np.float32]
_FREQUENT = 32


def colours(labels: IntArray, rowptr: IntArray, target: IntArray, depth: int) -> list[IntArray]:
    """Return every node's colour in rounds 0 to ``depth``, each counted from 0.

    Args:
        labels: any whole numbers.
        rowptr: start of each node's edges.
        target: the neighbours.
        depth: number of rounds.

    Shapes: labels [N], rowptr [N + 1], target [E] -> depth + 1 times [N].
    """
    now = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    found = [now]
    source = np.repeat(np.arange(len(labels)), np.diff(rowptr))  # [E]
    for _ in range(depth):
        now = _refine(now, source, np.diff(rowptr), target)
        found.append(now)
    return found


def _refine(now: IntArray, source: IntArray, degree: IntArray, target: IntArray) -> IntArray:
    """Name each node's pair (own colour, sorted colours around), one degree at a time."""
    around = now[target]
    around = around[np.lexsort((around, source))]  # [E], sorted within each node
    start = np.cumsum(degree) - degree
    out, used = np.empty_like(now), 0
    for count in np.unique(degree):
        nodes = np.flatnonzero(degree == count)
        table = around[start[nodes, None] + np.arange(count)]  # [nodes, count]
        rows = np.column_stack([now[nodes], table])
        names = _name_rows(rows)
        out[nodes] = names + used
        used += int(names.max()) + 1
    return out


def _name_rows(rows: IntArray) -> IntArray:
    """Number the different rows from 0, column by column. Shapes: rows [m, k] -> [m]."""
    names = np.unique(rows[:, 0], return_inverse=True)[1].astype(np.int64)
    for column in rows.T[1:]:
        key = names * (int(column.max()) + 1) + column
        names = np.unique(key, return_inverse=True)[1].astype(np.int64)
    return names


def kernels(
    labels: IntArray,
    rowptr: IntArray,
    target: IntArray,
    ptr: IntArray,
    depth: int = 5,
    normalise: bool = True,
) -> list[Float32Array]:
    """Return the kernel of every depth from 0 to ``depth``.

    Args:
        labels: node labels.
        rowptr: start of each node's edges.
        target: the neighbours.
        ptr: start of each graph's nodes.
        depth: number of rounds.
        normalise: divide by the lengths, so that every graph has similarity 1 to itself.

    Shapes: labels [N], rowptr [N + 1], target [E], ptr [n + 1] -> depth + 1 times [n, n].
    """
    graph = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))  # [N]
    total = np.zeros((len(ptr) - 1, len(ptr) - 1))
    out = []
    for colour in colours(labels, rowptr, target, depth):
        ones = np.ones(len(colour), dtype=np.float64)
        shape = (len(ptr) - 1, int(colour.max(initial=0)) + 1)
        total += _gram(sp.csr_matrix((ones, (graph, colour)), shape=shape))
        length = np.sqrt(np.maximum(np.diagonal(total), 1e-300)) if normalise else np.ones(shape[0])
        out.append((total / length[:, None] / length).astype(np.float32))
    return out


def _gram(counts: sp.csr_matrix) -> NDArray[np.float64]:
    """Return ``counts counts'``: colours of many graphs as dense columns, rare ones sparse."""
    graphs = np.bincount(counts.indices, minlength=counts.shape[1])
    frequent = graphs * _FREQUENT > counts.shape[0]
    columns = counts.tocsc()
    dense, rare = columns[:, frequent].toarray(), columns[:, ~frequent & (graphs > 0)].tocsr()
    found = dense @ dense.T
    product = (rare @ rare.T).tocoo()
    found[product.row, product.col] += product.data
    return np.asarray(found)
