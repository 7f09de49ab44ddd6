"""Subgraph: a connected piece of every graph is kept."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._base import EditView
from halpgraph.views._components import component_sizes
from halpgraph.views._edit import Edit
from halpgraph.views._grow import grow
from halpgraph.views._rows import where_true
from halpgraph.views._sample import one_of, share
from halpgraph.views._walk import walk


@views.register
class Subgraph(EditView):
    """Keep a connected piece of exactly ``max(1, floor(keep * n))`` nodes of every graph.

    It grows from a node drawn uniformly among those whose component is large enough; a graph that
    has no such component keeps a largest component whole. ``bfs`` takes whole rings of neighbours
    and of the last ring a random part; ``walk`` takes the nodes a random walk visits first (a walk
    that takes more than four steps a node is finished breadth-first). The paper keeps 80 %. The
    released code keeps a node and up to a fifth of the graph among its neighbours alone: a star.

    Args:
        keep: share of the nodes to keep.
        grow: ``bfs`` or ``walk``.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, Table 1,
    https://arxiv.org/abs/2010.13902.
    """

    def __init__(
        self,
        keep: Annotated[float, Field(gt=0, le=1)] = 0.8,
        grow: Literal["bfs", "walk"] = "bfs",
    ) -> None:
        self.keep = keep
        self.grow = grow

    def edit(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return the nodes that stay."""
        sizes = batch.ptr.diff()
        change = sizes > 0 if chosen is None else chosen & (sizes > 0)
        wanted = share(sizes, self.keep).clamp(min=1)
        taken = (~change).index_select(0, batch.batch)
        graphs = where_true(change)
        start = one_of(batch.ptr.index_select(0, graphs), sizes.index_select(0, graphs), generator)
        short = where_true(self._piece(batch, graphs, start, wanted, taken, generator) > 0)
        if short.numel():
            start, wanted = _restart(batch, short, wanted, taken, generator)
            self._piece(batch, short, start, wanted, taken, generator)
        return Edit(keep_nodes=taken)

    def _piece(
        self,
        batch: Batch,
        graphs: Tensor,
        start: Tensor,
        wanted: Tensor,
        taken: Tensor,
        generator: Generator | None,
    ) -> Tensor:
        """Grow a piece of some graphs from a start in each; return by how much each falls short."""
        taken.index_fill_(0, start, True)
        room = torch.zeros_like(wanted)
        room.index_copy_(0, graphs, wanted.index_select(0, graphs) - 1)
        (grow if self.grow == "bfs" else walk)(batch, start, taken, room, generator)
        return room


def _restart(
    batch: Batch, graphs: Tensor, wanted: Tensor, taken: Tensor, generator: Generator | None
) -> tuple[Tensor, Tensor]:
    """Give up the pieces of some graphs; return new starts, and what can be had from there.

    The first start was drawn among all nodes and is given up only where its component is too
    small, so a second draw among the nodes of good components makes every one of these as likely.
    """
    short = torch.zeros_like(wanted, dtype=torch.bool).index_fill_(0, graphs, True)
    nodes = where_true(short.index_select(0, batch.batch))
    taken.index_fill_(0, nodes, False)
    graph = batch.batch.index_select(0, nodes)
    sizes = component_sizes(batch, nodes)
    largest = torch.zeros_like(wanted).scatter_reduce(0, graph, sizes, "amax")
    wanted = torch.where(short, torch.minimum(wanted, largest), wanted)
    good = where_true(sizes >= wanted.index_select(0, graph))
    nodes, graph = nodes.index_select(0, good), graph.index_select(0, good)
    count = torch.bincount(graph, minlength=wanted.numel())
    first = (count.cumsum(0) - count).index_select(0, graphs)
    return nodes[one_of(first, count.index_select(0, graphs), generator)], wanted
