"""The graph as it is."""

from __future__ import annotations

import copy

from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._base import GraphView


@views.register
class Identity(GraphView):
    """Leave every graph, or every skeleton, as it is.

    Of use inside ``choice`` (JOAO's fifth augmentation) and for a method that contrasts a view with
    the original.

    Reference: You et al., "Graph Contrastive Learning Automated", ICML 2021,
    https://arxiv.org/abs/2106.07594.
    """

    def __init__(self) -> None:
        """Take no settings."""

    def change(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Batch:
        """Return the batch, its tensors shared."""
        return copy.copy(batch)
