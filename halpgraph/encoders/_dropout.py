"""Dropout that remembers where its draws are, so that a run goes on as it would have."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero a share of all values and scale the rest, drawn from a seed and a count of its own.

    The seed is drawn when the module is made; seed and count lie in the checkpoint, and the global
    generators are never touched.

    Args:
        share: of values that are zeroed, 0 to 1.
    """

    drawn: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.register_buffer("drawn", torch.zeros(2, dtype=torch.long))  # seed and count
        self.reseed()

    def reseed(self) -> None:
        """Draw another seed from the global generator, and count from 0: twins draw apart."""
        self.drawn[0], self.drawn[1] = int(torch.randint(2**40, ())), 0

    def forward(self, x: Tensor) -> Tensor:
        """Return the values left, or all of them in evaluation. Shapes: any -> same."""
        if not self.training or self.share == 0:
            return x
        seed, count = self.drawn.tolist()
        self.drawn[1] += 1
        random = torch.Generator(x.device).manual_seed(seed + count)
        keep = torch.empty_like(x).bernoulli_(1 - self.share, generator=random)
        return x * keep.div_(1 - self.share)
