"""Two players in one step: what one minimises, the other maximises, with one optimiser.

Both players' gradients are of the weights as they stand before the step, as in simultaneous
gradient descent and ascent. No method needs a second backward pass or a second optimiser.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return -grads[0]


def reverse(x: Tensor) -> Tensor:
    """Return ``x``; its gradient comes back with the sign turned.

    What made ``x`` then climbs the loss that everything after it descends. Shapes: any -> same.

    Reference: Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", ICML 2015,
        https://arxiv.org/abs/1409.7495
    """
    out: Tensor = _Reversed.apply(x)
    return out


def judged(judge: nn.Module, *inputs: Any) -> Any:
    """Return what a judge (a discriminator) says, its weights held still: only inputs learn.

    For the player who wants to please the judge; the judge learns from ``judge(x.detach())``.
    """
    still = {name: p.detach() for name, p in judge.named_parameters()}
    return functional_call(judge, still, inputs)
