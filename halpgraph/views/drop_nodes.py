"""Node dropping: a share of every graph's nodes is left out."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._base import EditView, only
from halpgraph.views._edit import Edit
from halpgraph.views._sample import share, subset


@views.register
class DropNodes(EditView):
    """Drop ``floor(ratio * n)`` nodes of every graph, drawn uniformly, with all their edges.

    Dropped nodes leave the features and the readout, and one node always stays. Nodes that lose
    their last edge stay too; the released code of GraphCL drops the edges alone and afterwards
    every node without an edge, so that isolated nodes vanish and a graph may do so as well.

    Args:
        ratio: share of the nodes to drop.

    Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, Table 1,
    https://arxiv.org/abs/2010.13902.
    """

    def __init__(self, ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1) -> None:
        self.ratio = ratio

    def edit(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return the nodes that stay."""
        sizes = batch.ptr.diff()
        drop = torch.minimum(share(sizes, self.ratio), (sizes - 1).clamp(min=0))
        return Edit(keep_nodes=~subset(batch.ptr, only(drop, chosen), generator))
