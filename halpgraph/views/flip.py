"""Flip: left becomes right."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.layout import AXES
from halpgraph.registry import views
from halpgraph.views._pose import PoseView, Share


@views.register
class Flip(PoseView):
    """Swap the left and the right joints of a clip, and mirror where they are.

    With ``mirror`` a left-handed wave becomes the same wave of the right hand. AimCLR swaps the
    joints alone (``mirror: false``), which turns bodies around so that they move backwards.

    Args:
        p: how likely a clip is changed.
        mirror: also negate the horizontal axis: the first one that is not the layout's ``up``.

    Raises:
        UserError: the layout does not say which joints are pairs.

    Reference: AimCLR, Guo et al., AAAI 2022, Sec. 3.2, https://arxiv.org/abs/2112.03590.
    """

    def __init__(self, p: Share = 0.5, mirror: bool = True) -> None:
        self.p, self.mirror = p, mirror

    def pose(self, pose: Tensor, clip: Tensor, batch: Batch, generator: Generator | None) -> Tensor:
        """Return the poses flipped."""
        layout = batch.layout
        if not layout.pairs:
            raise UserError(
                f"views.flip: layout {layout.name} has no pairs of left and right joints; "
                "name them in the layout file (pairs), or leave this view out"
            )
        out = pose.index_select(3, torch.tensor(layout.mirror, device=pose.device))
        if self.mirror:
            out[:, :, 1 if AXES[layout.up][0] == 0 else 0].neg_()
        return out
