"""Shear: every clip is slanted, each axis by some of the others."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._pose import LinearView, draw, unchanged


@views.register
class Shear(LinearView):
    """Multiply all joints of a clip by ``[[1, s, s], [s, 1, s], [s, s, 1]]``, each s another.

    Every s is drawn uniformly from -ratio to ratio. Of flat poses the matrix is 2 x 2.

    Args:
        ratio: how strongly; HaLP shears by 1, AimCLR by 0.5.

    Reference: Rao et al., "Augmented skeleton based contrastive action learning", Information
    Sciences 2021, Sec. 3.2, https://arxiv.org/abs/2008.00188; HaLP, released code (feeder),
    https://github.com/anshulbshah/HaLP.
    """

    def __init__(self, ratio: Annotated[float, Field(ge=0)] = 1.0) -> None:
        self.ratio = ratio

    def matrices(self, batch: Batch, generator: Generator | None) -> Tensor:
        """Return a shear for every clip."""
        one = unchanged(batch)
        slant = draw(batch, generator, *one.shape[1:], ends=(-self.ratio, self.ratio))
        slant.diagonal(dim1=1, dim2=2).fill_(1)
        return slant
