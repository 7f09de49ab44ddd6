"""Dropout that remembers where its draws are, so that a run goes on as it would have."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from halpgraph.draws import Draws

_LEVELS = 1 << 16  # of a 16-bit draw
_LEAST = -(1 << 63)


class Dropout(Draws):
    """Zero a share of all values and scale the rest, drawn from a seed and a count of its own.

    On a CPU a draw is 16 bits of a longer one, several times as fast as one draw a value; the share
    is then rounded to 1/65536, and the rest scaled to it.

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
        return x * _kept(like, 1 - self.share, self.next(x.device))


def _kept(like: Tensor, share: float, generator: Generator) -> Tensor:
    """Return 1 / share where a value is kept and 0 elsewhere. Shapes: any -> same."""
    out = torch.empty_like(like)  # in the layout of the map
    kept = round(share * _LEVELS)
    if like.device.type != "cpu" or not 0 < kept < _LEVELS:
        return out.bernoulli_(share, generator=generator).div_(share)
    long = torch.empty(math.ceil(like.numel() / 4), dtype=torch.long)
    draws = long.random_(_LEAST, None, generator=generator).view(torch.int16)
    found = draws[: like.numel()] < kept - _LEVELS // 2
    return out.copy_(found.as_strided(out.shape, out.stride())).mul_(_LEVELS / kept)
