"""Axis masking: every clip loses one of its axes."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._pose import LinearView, Share, draw, unchanged


@views.register
class AxisMask(LinearView):
    """Make one coordinate, drawn for each clip, zero: its bodies are pressed flat.

    Args:
        p: how likely a clip is changed.

    Reference: AimCLR, Guo et al., AAAI 2022, Sec. 3.2, https://arxiv.org/abs/2112.03590.
    """

    def __init__(self, p: Share = 0.5) -> None:
        self.p = p

    def matrices(self, batch: Batch, generator: Generator | None) -> Tensor:
        """Return the identity without one of its ones for every clip."""
        one = unchanged(batch)
        axes = torch.arange(one.size(1), device=one.device)[:, None, None]  # [S, 1, 1]
        gone = (draw(batch, generator) * one.size(1)).long()  # [B]
        return one * (axes != gone[:, None, None, None])
