"""Growing a connected piece of every graph at once, breadth-first, ring after ring."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.views._rows import edges_of, where_true
from halpgraph.views._sample import subset


def grow(
    batch: Batch, ring: Tensor, taken: Tensor, room: Tensor, generator: Generator | None
) -> None:
    """Take whole rings of neighbours while they fit, and of the last ring a part drawn uniformly.

    Only the edges of taken nodes are looked at, each once. A graph whose piece has no neighbours
    left keeps the room that remains.

    Args:
        batch: the graphs.
        ring: nodes to begin with, all that have been taken of their graphs.
        taken: which nodes are taken, changed in place.
        room: how many more nodes each graph may take, changed in place.
        generator: source of the draws.

    Shapes: ring [n], taken bool [N], room [B].
    """
    targets, graph_of, degree = batch.edge_index[1], batch.batch, batch.rowptr.diff()
    stamp = torch.full_like(graph_of, torch.iinfo(torch.long).max)  # when a node was reached first
    stamp.index_fill_(0, ring, -1)
    clock, rings, room_left = 0, [ring], [torch.zeros_like(ring)]
    while ring.numel():
        reached = targets.index_select(0, edges_of(batch.rowptr, degree, ring))
        now = torch.arange(clock, clock + reached.numel(), device=ring.device)
        stamp.scatter_reduce_(0, reached, now, "amin")
        first = stamp.index_select(0, reached) == now
        ring = reached.index_select(0, where_true(first))
        clock += reached.numel()
        graph = graph_of.index_select(0, ring)
        room -= torch.bincount(graph, minlength=room.numel())
        left = room.index_select(0, graph)
        rings.append(ring)
        room_left.append(left)
        ring = ring.index_select(0, where_true(left > 0))
    every = torch.cat(rings)
    taken.index_fill_(0, every, True)
    _thin(
        every.index_select(0, where_true(torch.cat(room_left) < 0)),
        graph_of,
        taken,
        room,
        generator,
    )


def _thin(
    last: Tensor, graph_of: Tensor, taken: Tensor, room: Tensor, generator: Generator | None
) -> None:
    """Give back as many nodes of a graph's last ring as there was no room for."""
    if last.numel() == 0:
        return
    last = last.sort().values  # graph after graph
    sizes = torch.bincount(graph_of.index_select(0, last), minlength=room.numel())
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    back = where_true(subset(ptr, (-room).clamp_(min=0), generator))
    taken.index_fill_(0, last.index_select(0, back), False)
    room.clamp_(min=0)
