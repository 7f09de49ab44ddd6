"""Drawing node pairs that have no edge: an exact number for every graph, all graphs at once."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.views._rows import edges_of, find, where_true
from halpgraph.views._sample import one_of, subset


def absent_pairs(batch: Batch, counts: Tensor, generator: Generator | None) -> Tensor:
    """Draw ``counts[b]`` different pairs without an edge of each graph, or all where it has fewer.

    Every set of pairs is as likely. Pairs are drawn and drawn again where they hit an edge or each
    other; graphs in which more than half of the draws might miss have their absent pairs listed
    instead, which takes memory in proportion to their edges.

    Shapes: counts [B] -> [2, sum of counts], the lower node first.
    """
    sizes = batch.ptr.diff()
    edges = batch.rowptr.index_select(0, batch.ptr).diff() // 2
    pairs = sizes * (sizes - 1) // 2
    counts = torch.minimum(counts, pairs - edges)
    listed = ((edges + counts) * 2 > pairs) & (counts > 0)
    found = _by_rejection(batch, torch.where(listed, 0, counts), generator)
    if not bool(listed.any()):
        return found
    return torch.cat([found, _by_listing(batch, where_true(listed), counts, generator)], dim=1)


def _by_rejection(batch: Batch, counts: Tensor, generator: Generator | None) -> Tensor:
    start = torch.repeat_interleave(batch.ptr[:-1], counts)
    size = torch.repeat_interleave(batch.ptr.diff(), counts)
    seen = [start.new_empty(0)]
    num_nodes = batch.rowptr.numel() - 1
    while start.numel():
        u = one_of(start, size, generator)
        v = one_of(start, size - 1, generator)
        v = v + (v >= u)
        low, high = torch.minimum(u, v), torch.maximum(u, v)
        _, there = find(batch, low, high)
        fresh = ~there & _new_and_single(low * num_nodes + high, seen)
        won, lost = where_true(fresh), where_true(~fresh)
        seen.append((low * num_nodes + high).index_select(0, won).sort().values)
        start, size = start.index_select(0, lost), size.index_select(0, lost)
    keys = torch.cat(seen)
    return torch.stack([keys // max(num_nodes, 1), keys % max(num_nodes, 1)])


def _new_and_single(keys: Tensor, seen: list[Tensor]) -> Tensor:
    """Mark one occurrence of every key that is in none of the sorted lists. Shapes: [n] -> [n]."""
    ordered, order = keys.sort()
    fresh = torch.ones_like(keys, dtype=torch.bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    for known in seen:
        if known.numel():
            place = torch.searchsorted(known, ordered).clamp_(max=known.numel() - 1)
            fresh &= known.index_select(0, place) != ordered
    return torch.empty_like(fresh).index_copy_(0, order, fresh)


def _by_listing(
    batch: Batch, graphs: Tensor, counts: Tensor, generator: Generator | None
) -> Tensor:
    """Write out every cell of the graphs' adjacency matrices and draw among the empty ones."""
    start, size = batch.ptr.index_select(0, graphs), batch.ptr.diff().index_select(0, graphs)
    cells = torch.cat([size.new_zeros(1), (size * size).cumsum(0)])
    owner = torch.repeat_interleave(size * size)
    local = torch.arange(owner.numel(), device=size.device) - cells.index_select(0, owner)
    width = size.index_select(0, owner)
    row, column = local // width, local % width
    empty = row < column

    nodes = torch.repeat_interleave(start - cells_of(size), size)
    nodes = nodes + torch.arange(nodes.numel(), device=size.device)
    here = edges_of(batch.rowptr, batch.rowptr.diff(), nodes)
    source, target = batch.edge_index.index_select(1, here)
    place = torch.searchsorted(start, source, right=True) - 1
    first = start.index_select(0, place)
    taken = (source - first) * size.index_select(0, place) + target - first
    empty[cells.index_select(0, place) + taken] = False

    free = where_true(empty)
    many = torch.bincount(owner.index_select(0, free), minlength=graphs.numel())
    ptr = torch.cat([many.new_zeros(1), many.cumsum(0)])
    free = free[subset(ptr, counts.index_select(0, graphs), generator)]
    first = start.index_select(0, owner.index_select(0, free))
    return torch.stack([row.index_select(0, free) + first, column.index_select(0, free) + first])


def cells_of(size: Tensor) -> Tensor:
    """Return the exclusive running sum. Shapes: [n] -> [n]."""
    return size.cumsum(0) - size
