"""The graph as it is."""

from __future__ import annotations

from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._base import EditView
from halpgraph.views._edit import Edit


@views.register
class Identity(EditView):
    """Leave every graph as it is.

    Of use inside ``choice`` (JOAO's fifth augmentation) and for a method that contrasts a view with
    the original.

    Reference: You et al., "Graph Contrastive Learning Automated", ICML 2021,
    https://arxiv.org/abs/2106.07594.
    """

    def __init__(self) -> None:
        """Take no settings."""

    def edit(self, batch: Batch, chosen: Tensor | None, generator: Generator | None) -> Edit:
        """Return an edit that changes nothing."""
        return Edit()
