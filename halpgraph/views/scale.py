"""Scale: the bodies of every clip grow or shrink."""

from __future__ import annotations

from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._pose import LinearView, PositiveRange, draw, unchanged


@views.register
class Scale(LinearView):
    """Multiply all coordinates of a clip by one number drawn uniformly.

    Of use where bodies were not brought to one size (``data.scale``).

    Args:
        factor: least and largest number.
    """

    def __init__(self, factor: PositiveRange = (0.8, 1.2)) -> None:
        self.factor = factor

    def matrices(self, batch: Batch, generator: Generator | None) -> Tensor:
        """Return a multiple of the identity for every clip."""
        return unchanged(batch) * draw(batch, generator, 1, 1, 1, ends=self.factor)
