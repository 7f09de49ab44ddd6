"""Joint corruption: some joints of every clip are taken away, or thrown about."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.layout import Layout
from halpgraph.registry import views
from halpgraph.views._pose import LinearView, Share, draw, unchanged
from halpgraph.views._sample import largest


@views.register
class JointMask(LinearView):
    """Corrupt exactly ``joints`` joints of every clip, the same in all frames and both bodies.

    Either they are zero (with their confidence), or all of them are multiplied by one random matrix
    with entries drawn uniformly from -1 to 1.

    Args:
        joints: how many, fewer than the layout has.
        ratio: in place of ``joints``: a share of the layout's joints, rounded down.
        zero: how likely the joints are zeroed rather than multiplied.

    Raises:
        UserError: the layout has too few joints.

    Reference: HaLP, released code (feeder), https://github.com/anshulbshah/HaLP; the same in ISC,
    Thoker et al., ACM MM 2021, https://arxiv.org/abs/2108.03656.
    """

    def __init__(
        self,
        joints: Annotated[int, Field(ge=0)] = 15,
        ratio: Annotated[float, Field(ge=0, lt=1)] | None = None,
        zero: Share = 0.5,
    ) -> None:
        self.joints, self.ratio, self.zero = joints, ratio, zero

    def matrices(self, batch: Batch, generator: Generator | None) -> Tensor:
        """Return zeros or a random matrix for some joints, and what changes nothing for others."""
        matrix, hit = self.parted(batch, generator)
        return torch.where(hit[:, None, None], matrix, unchanged(batch))

    def parted(self, batch: Batch, generator: Generator | None) -> tuple[Tensor, Tensor]:
        """Return zeros or a random matrix for every clip, and the joints they are for."""
        joints, space = batch.layout.num_joints, batch.layout.space
        thrown = draw(batch, generator, space, space, 1, ends=(-1, 1))  # [B, S, S, 1]
        drawn = draw(batch, generator, joints + 1)
        gone = drawn[:, joints, None, None, None] < self.zero
        hit = largest(drawn[:, :joints], self._count(batch.layout))
        return thrown.masked_fill_(gone, 0), hit

    def _count(self, layout: Layout) -> int:
        most = layout.num_joints - 1
        if self.ratio is not None:
            return int(self.ratio * layout.num_joints + 1e-9)
        if self.joints > most:
            raise UserError(
                f"views.joint_mask.joints: {self.joints}, but layout {layout.name} has "
                f"{most + 1}; use {most} at most, or a share of them (ratio: 0.6)"
            )
        return self.joints
