"""Dropout that remembers where its draws are, so that a run goes on as it would have."""

from __future__ import annotations

import torch
from torch import Tensor

from halpgraph.draws import Draws


class Dropout(Draws):
    """Zero a share of all values and scale the rest, drawn from a seed and a count of its own.

    Args:
        share: of values that are zeroed, 0 to 1.
        planes: zero whole planes, a draw for each of the first two axes, instead of values.
    """

    def __init__(self, share: float, planes: bool = False) -> None:
        super().__init__()
        self.share, self.planes = share, planes

    def forward(self, x: Tensor) -> Tensor:
        """Return the values left, or all of them in evaluation. Shapes: any -> same."""
        if not self.training or self.share == 0:
            return x
        like = x[:, :, :1, :1] if self.planes else x
        keep = torch.empty_like(like).bernoulli_(1 - self.share, generator=self.next(x.device))
        return x * keep.div_(1 - self.share)
