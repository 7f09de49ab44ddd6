"""Noise: every coordinate is measured a little wrongly."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._pose import PoseView, Share


@views.register
class Noise(PoseView):
    """Add Gaussian noise to the coordinates of a clip; what is exactly zero was not measured.

    So absent bodies, joints that were not seen, and masked axes stay zero.

    Args:
        std: standard deviation of the noise, in the unit of the coordinates.
        p: how likely a clip is changed.

    Reference: AimCLR, Guo et al., AAAI 2022, Sec. 3.2, https://arxiv.org/abs/2112.03590.
    """

    def __init__(self, std: Annotated[float, Field(ge=0)] = 0.01, p: Share = 0.5) -> None:
        self.std, self.p = std, p

    def pose(self, pose: Tensor, clip: Tensor, batch: Batch, generator: Generator | None) -> Tensor:
        """Return the poses with noise of their own for every number."""
        out = pose.clone()
        place = out[:, :, : batch.layout.space]
        noise = torch.randn(place.shape, generator=generator, device=pose.device)
        place.add_(noise.mul_(place != 0), alpha=self.std)
        return out
