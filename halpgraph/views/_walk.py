"""Growing a connected piece of every graph at once by a random walk."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.views._grow import grow
from halpgraph.views._rows import where_true
from halpgraph.views._sample import uniform

_STRIDE = 64  # steps between two looks at how many nodes have been visited
_PATIENCE = 4  # steps a walk may take for every node it is to visit


def walk(
    batch: Batch, start: Tensor, taken: Tensor, room: Tensor, generator: Generator | None
) -> None:
    """Take the nodes a random walk visits first; where it finds too few, finish breadth-first.

    Args:
        batch: the graphs.
        start: where each walk starts, at most one node a graph; taken already.
        taken: which nodes are taken, changed in place.
        room: how many more nodes each graph may take, changed in place.
        generator: source of the draws.

    Shapes: start [n], taken bool [N], room [B].
    """
    graph = batch.batch.index_select(0, start)
    never = torch.iinfo(torch.long).max
    time = torch.full_like(batch.batch, never)
    time.index_fill_(0, start, 0)
    wanted = room.index_select(0, graph) + 1
    at, walker, steps = start, torch.arange(start.numel(), device=start.device), 0
    while at.numel():
        path = _steps(batch, at, generator)  # [_STRIDE, walkers]
        clock = torch.arange(steps + 1, steps + 1 + _STRIDE, device=at.device)
        clock = clock[:, None].expand_as(path).reshape(-1)  # [_STRIDE * walkers]
        time.scatter_reduce_(0, path.reshape(-1), clock, "amin")
        steps += _STRIDE
        visited = batch.batch.index_select(0, where_true(time < never))
        seen = torch.bincount(visited, minlength=room.numel())
        need = wanted.index_select(0, walker)
        on = (seen.index_select(0, graph.index_select(0, walker)) < need) & (
            steps < _PATIENCE * need
        )
        at, walker = (
            path[-1].index_select(0, where_true(on)),
            walker.index_select(0, where_true(on)),
        )
    _take_earliest(batch, time, never, taken, room)
    hungry = (room > 0).index_select(0, batch.batch)
    grow(batch, where_true(taken & hungry), taken, room, generator)


def _steps(batch: Batch, at: Tensor, generator: Generator | None) -> Tensor:
    """Walk on from where each walk is; a node without edges is never left. Shapes: -> [S, n]."""
    draws = uniform(_STRIDE * at.numel(), at, generator).view(_STRIDE, -1)  # [S, n]
    degree = batch.rowptr.diff()
    last = max(batch.edge_index.size(1) - 1, 0)
    path = []
    for draw in draws:
        choices = degree.index_select(0, at)
        edge = batch.rowptr.index_select(0, at) + torch.minimum(
            (draw * choices).long(), choices - 1
        )
        step = batch.edge_index[1].index_select(0, edge.clamp(0, last)) if last else at
        at = torch.where(choices > 0, step, at)
        path.append(at)
    return torch.stack(path)


def _take_earliest(batch: Batch, time: Tensor, never: int, taken: Tensor, room: Tensor) -> None:
    """Take each graph's nodes in the order of their first visit, as many as there is room for."""
    visited = where_true((time > 0) & (time < never))
    visited = visited.index_select(0, time.index_select(0, visited).argsort(stable=True))
    visited = visited.index_select(0, batch.batch.index_select(0, visited).argsort(stable=True))
    graph = batch.batch.index_select(0, visited)
    sizes = torch.bincount(graph, minlength=room.numel())
    rank = torch.arange(visited.numel(), device=time.device)
    rank = rank - (sizes.cumsum(0) - sizes).index_select(0, graph)
    fit = where_true(rank < room.index_select(0, graph))
    taken.index_fill_(0, visited.index_select(0, fit), True)
    room -= torch.minimum(sizes, room)
