"""Two players in one step: what one minimises, the other maximises, with one optimiser.

Both players' gradients are of the weights as they stand before the step, as in simultaneous
gradient descent and ascent. No method needs a second backward pass or a second optimiser.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


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


def duel(judge: nn.Module, real: Tensor, made: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Return what the maker and the judge (the discriminator) of a clip lose, of one judging.

    With s the judge's logits::

        fooling  weight * mean BCE(s(made), 1)                what made ``made`` descends it
        judging  mean BCE(s(real), 1) + mean BCE(s(made), 0)  the judge descends it

    The judge is walked back through once, with the slopes of ``judging``. As a clip's slope is its
    logit's times what stands behind it, that of ``fooling`` is the same one times ``-weight *
    exp(-s)``, which it is multiplied by on its way into ``made``. So ``fooling`` carries no slope
    of its own: only the sum of both may be descended. Where the judge is surer than exp(-40) that
    a clip is made, its maker learns less from it than the equation says.

    Args:
        judge: ``[T, B, n] -> [B]``, each clip by itself; is told how many of the clips, the first
            ones, are data, to which no slopes need go.
        real: clips.
        made: as many, by a network that is to learn.
        weight: of fooling.

    Shapes: real, made [T, B, n] -> [], [].

    Reference: Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, section 3 (the maker
        maximises log J(made)), https://arxiv.org/abs/1406.2661
    """
    shown = made.view_as(made)
    right, wrong = judge(torch.cat([real, shown], dim=1), real.size(1)).float().chunk(2)  # [B], [B]
    sure = wrong.detach()
    if shown.requires_grad:
        turn = -weight * sure.neg().clamp(max=40).exp()[:, None]  # [B, 1]
        shown.register_hook(lambda grad: grad * turn.to(grad.dtype))
    return weight * _said(sure, 1.0), _said(right, 1.0) + _said(wrong, 0.0)


def _said(logits: Tensor, real: float) -> Tensor:
    """Return the cross entropy of what the judge said. Shapes: [B] -> []."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, real))
