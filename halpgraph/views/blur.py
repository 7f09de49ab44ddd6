"""Blur: movements become smooth, details of time are lost."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.registry import views
from halpgraph.views._pose import PoseView, PositiveRange, Share, draw


def _odd(kernel: int) -> int:
    if kernel % 2 == 0:
        raise ValueError("must be odd, to have a middle")
    return kernel


@views.register
class Blur(PoseView):
    """Smooth the coordinates of a clip along time with a Gaussian kernel.

    Weights add up to one (those of the released code do not, which enlarges bodies), the first and
    the last frame go on beyond the ends, and a joint is averaged over the frames where it was
    seen; where it was not, it stays zero.

    Args:
        kernel: frames the kernel spans, an odd number.
        sigma: least and largest standard deviation, in frames.
        p: how likely a clip is changed.

    Reference: AimCLR, Guo et al., AAAI 2022, Sec. 3.2, https://arxiv.org/abs/2112.03590.
    """

    def __init__(
        self,
        kernel: Annotated[int, Field(ge=1), AfterValidator(_odd)] = 15,
        sigma: PositiveRange = (0.1, 2.0),
        p: Share = 0.5,
    ) -> None:
        self.kernel, self.sigma, self.p = kernel, sigma, p

    def pose(self, pose: Tensor, clip: Tensor, batch: Batch, generator: Generator | None) -> Tensor:
        """Return the poses blurred, each clip by a kernel of its own."""
        weights = self._weights(draw(batch, generator, ends=self.sigma))[clip]  # [r, K]
        space, frames = batch.layout.space, pose.size(1)
        place = pose[:, :, :space]
        seen = (place != 0).any(2, keepdim=True)  # [r, T, 1, V]
        half = self.kernel // 2
        beyond = torch.arange(-half, frames + half, device=pose.device).clamp(0, frames - 1)
        long = torch.cat([place, seen], 2).index_select(1, beyond)  # [r, T + 2 half, S + 1, V]
        total = torch.zeros_like(long[:, :frames])
        for k in range(self.kernel):
            total.addcmul_(long[:, k : k + frames], weights[:, k, None, None, None])
        out = pose.clone()
        share = total[:, :, space:].clamp_min_(torch.finfo(pose.dtype).tiny)
        out[:, :, :space] = total[:, :, :space] / share * seen
        return out

    def _weights(self, sigma: Tensor) -> Tensor:
        steps = torch.arange(self.kernel, device=sigma.device) - self.kernel // 2
        return torch.softmax(-0.5 * (steps / sigma[:, None]).square(), dim=1)  # [B, K]
