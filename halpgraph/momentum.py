"""A momentum twin: a second network that follows the first, slowly and without gradient."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from halpgraph.errors import UserError


class Momentum(nn.Module):
    """A twin of ``net`` whose weights are a moving average of those of ``net``.

    It starts as an exact copy, but draws for itself: a module that keeps a seed of its own (as
    dropout does) and has ``reseed()`` gets another one. ``update`` moves its parameters; its
    buffers are its own, so a batch norm in train mode uses the twin's batches and keeps the twin's
    statistics, as in MoCo. Calling the twin never makes a gradient, and an optimiser does not see
    its parameters.

    Args:
        net: what is followed; it must have all its weights (no lazy modules).
        momentum: share of the twin that stays in one update.

    Raises:
        UserError: weights not yet made, or a momentum outside [0, 1].

    Reference: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR
        2020, eq. 2, https://arxiv.org/abs/1911.05722
    """

    def __init__(self, net: nn.Module, momentum: float = 0.999) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise UserError(f"Momentum.momentum: must be between 0 and 1, not {momentum}")
        if any(nn.parameter.is_lazy(p) for p in (*net.parameters(), *net.buffers())):
            raise UserError(
                "Momentum: the weights are not made yet; show the network a batch first"
            )
        self.momentum = momentum
        self.net = copy.deepcopy(net).requires_grad_(False)
        for module in self.net.modules():
            reseed = getattr(module, "reseed", None)
            if callable(reseed):
                reseed()

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards ``net``: ``twin <- m twin + (1 - m) net``, parameters only."""
        own: list[Tensor] = list(self.net.parameters())
        other: list[Tensor] = list(net.parameters())
        torch._foreach_lerp_(own, other, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:
        """Return what the twin makes of the inputs, without gradient."""
        return self.net(*inputs)
