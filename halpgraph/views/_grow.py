"""Growing a connected piece of every graph at once, breadth-first, ring after ring."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.views._rows import edges_of, where_true
from halpgraph.views._sample import first_of_its_kind, subset


def grow(
    batch: Batch, ring: Tensor, taken: Tensor, room: Tensor, generator: Generator | None
) -> None:
    """Take whole rings of neighbours while they fit, and of the last ring a part drawn uniformly.

    Only the edges of taken nodes are looked at, each once. A graph whose piece has no neighbours
    left keeps the room that remains.

    Args:
        batch: the graphs.
        ring: nodes to begin with; they are taken already.
        taken: which nodes are taken, changed in place.
        room: how many more nodes each graph may take, changed in place.
        generator: source of the draws.

    Shapes: ring [n], taken bool [N], room [B].
    """
    targets, graph_of = batch.edge_index[1], batch.batch
    unseen = ~taken
    scratch = torch.empty_like(graph_of)
    too_many = []
    while ring.numel():
        reached = targets.index_select(0, edges_of(batch.rowptr, ring))
        reached = reached.index_select(0, where_true(unseen.index_select(0, reached)))
        ring = reached.index_select(0, where_true(first_of_its_kind(reached, scratch)))
        unseen.index_fill_(0, ring, False)
        taken.index_fill_(0, ring, True)
        graph = graph_of.index_select(0, ring)
        left = room - torch.bincount(graph, minlength=room.numel())
        torch.where(left < 0, room, left, out=room)
        left = left.index_select(0, graph)
        too_many.append(ring.index_select(0, where_true(left < 0)))
        ring = ring.index_select(0, where_true(left > 0))
    _thin(torch.cat([ring, *too_many]), graph_of, taken, room, generator)


def _thin(
    last: Tensor, graph_of: Tensor, taken: Tensor, room: Tensor, generator: Generator | None
) -> None:
    """Of each graph's last ring keep as many nodes as there is room for."""
    last = last.sort().values  # graph after graph, and the same on every device
    sizes = torch.bincount(graph_of.index_select(0, last), minlength=room.numel())
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    fit = torch.where(sizes > 0, room, 0)
    out = where_true(~subset(ptr, fit, generator))
    taken.index_fill_(0, last.index_select(0, out), False)
    room -= fit
