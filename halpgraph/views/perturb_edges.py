"""Edge perturbation: a share of every graph's edges is dropped, and as many new ones are added."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._base import EditView, only
from halpgraph.views._edit import Edit
from halpgraph.views._pairs import absent_pairs
from halpgraph.views._rows import find, where_true
from halpgraph.views._sample import share, subset


@views.register
class PerturbEdges(EditView):
    """Drop ``floor(ratio * m)`` undirected edges of every graph and add as many new ones.

    New edges are drawn uniformly among the pairs of the same graph that had no edge; a graph that
    has fewer such pairs gets all of them. The graph stays undirected. The released code of GraphCL
    drops single directions, which makes the graph directed, and never adds (``add: false``).

    Args:
        ratio: share of the undirected edges to drop.
        add: whether to add as many as are dropped.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, Table 1,
    https://arxiv.org/abs/2010.13902.
    """

    def __init__(self, ratio: Annotated[float, Field(ge=0, le=1)] = 0.1, add: bool = True) -> None:
        self.ratio = ratio
        self.add = add

    def edit(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return the edges that stay and the edges that are new."""
        source, target = batch.edge_index
        start = batch.rowptr.index_select(0, batch.ptr) // 2  # undirected edges before each graph
        counts = only(share(start.diff(), self.ratio), chosen)
        drop = where_true(subset(start, counts, generator))
        there = where_true(source < target).index_select(0, drop)
        back, _ = find(batch, target.index_select(0, there), source.index_select(0, there))
        keep = torch.ones_like(source, dtype=torch.bool)
        keep.index_fill_(0, there, False).index_fill_(0, back, False)
        if not self.add:
            return Edit(keep_edges=keep)
        new = absent_pairs(batch, counts, generator)
        return Edit(keep_edges=keep, new_edges=torch.cat([new, new.flip(0)], dim=1))
