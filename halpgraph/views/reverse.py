"""Time reversal: clips run backwards."""

from __future__ import annotations

from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._pose import PoseView, Share


@views.register
class Reverse(PoseView):
    """Let a clip run backwards.

    Some classes are the reverse of others (sitting down, standing up): AimCLR has it switched off.

    Args:
        p: how likely a clip is changed.

    Reference: AimCLR, released code, https://github.com/Levigty/AimCLR.
    """

    def __init__(self, p: Share = 0.5) -> None:
        self.p = p

    def pose(self, pose: Tensor, clip: Tensor, batch: Batch, generator: Generator | None) -> Tensor:
        """Return the poses, last frame first."""
        return pose.flip(1)
