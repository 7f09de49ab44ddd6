"""One number for each pair of nodes; their hidden layers are never written out all at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

PAIRS = 1 << 12  # pairs at a time, so that their hidden layers stay in the caches


class _PairScores(torch.autograd.Function):
    """The hidden layers are made anew in the backward: cheaper than to keep them."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, weight: Tensor, first: Tensor, second: Tensor) -> Tensor:
        ctx.save_for_backward(codes, weight, first, second)
        parts = zip(first.split(PAIRS), second.split(PAIRS), strict=True)
        scores = [torch.add(*_hidden(codes, u, v)) @ (weight / 2) for u, v in parts]
        return torch.cat(scores) if scores else codes.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        codes, weight, first, second = ctx.saved_tensors
        by_codes, by_weight = torch.zeros_like(codes), torch.zeros_like(weight)
        half = weight / 2
        parts = zip(first.split(PAIRS), second.split(PAIRS), grads[0].split(PAIRS), strict=True)
        for u, v, g in parts:
            one, two = _hidden(codes, u, v)  # [p, P]
            by_weight += (one.t() @ g + two.t() @ g) / 2
            up = torch.outer(g, half)  # [p, P]
            one, two = up * (one > 0), up.mul_(two > 0)
            by_codes.index_add_(0, u, torch.cat([one, two], dim=1))
            by_codes.index_add_(0, v, torch.cat([two, one], dim=1))
        return by_codes, by_weight, None, None


def _hidden(codes: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the hidden layers of pairs in both orders. Shapes: [p, P] each."""
    (a, b), (c, d) = (codes.index_select(0, n).chunk(2, dim=1) for n in (u, v))
    return (a + d).relu_(), (c + b).relu_()


def pair_scores(codes: Tensor, weight: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return ``w . (relu(a_u + b_v) + relu(a_v + b_u)) / 2`` of pairs of nodes u, v.

    That is a perceptron of ``[h_u, h_v]``, averaged over both orders, its first layer being linear
    and so done once a node: a is what it makes of the first of the two, b of the second.

    Args:
        codes: a and b of every node, side by side.
        weight: w.
        first: u of each pair.
        second: v of each pair.

    Shapes: codes [N, 2 P], weight [P], first [p], second [p] -> [p].
    """
    out: Tensor = _PairScores.apply(codes, weight.to(codes.dtype), first, second)
    return out
