"""ReLU and batch norm of several batches that lie in one tensor, each normalised by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_norm_backward = torch.ops.aten.native_batch_norm_backward.default
_relu_backward = torch.ops.aten.threshold_backward.grad_input


class _ReLUNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm1d,
        parts: Sequence[int],
    ) -> tuple[Tensor, Tensor]:
        h.relu_()
        out = torch.empty_like(h)  # [N, D]
        found: list[Tensor] = []  # [D] each
        settings: Any = (norm.running_mean, norm.running_var, True, norm.momentum, norm.eps)
        for rows, to in zip(h.split_with_sizes(parts), out.split_with_sizes(parts), strict=True):
            stats = (torch.empty_like(bias), torch.empty_like(bias))  # mean, 1 / deviation
            torch.native_batch_norm(rows, weight, bias, *settings, out=(to, *stats))
            found += stats
        ctx.mark_dirty(h)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(h, weight, *found)
        ctx.parts, ctx.eps = parts, norm.eps
        return out, h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if grads[0] is None:  # nothing asked for; the overwritten ``h`` is handed to nobody
            return (None,) * 5
        h, weight, *found = ctx.saved_tensors
        out, shares = torch.empty_like(h), []  # [N, D]
        pieces = (t.split_with_sizes(ctx.parts) for t in (grads[0], h, out))
        for i, (grad, rows, to) in enumerate(zip(*pieces, strict=True)):
            stats = (None, None, found[2 * i], found[2 * i + 1], True, ctx.eps)
            grad, *share = _norm_backward(grad, rows, weight, *stats, (True, True, True))
            _relu_backward(grad, rows, 0, grad_input=to)
            shares.append(share)
        gamma, beta = (sum(s[1:], s[0]) for s in zip(*shares, strict=True))  # [D] each
        return out, gamma, beta, None, None


def relu_norm(h: Tensor, norm: nn.Module, parts: Sequence[int]) -> Tensor:
    """Return ``norm(relu(h))`` with batch norm of each part of the rows by itself, in order.

    The same values and running statistics as cutting, normalising and joining the parts, bit for
    bit, without the copies that joining takes, here and in the backward. On a CPU it has no
    second derivative.

    Args:
        h: values of the nodes, overwritten by their ReLU.
        norm: batch norm, or anything that works on each row alone.
        parts: rows of each part.

    Shapes: h [N, D] -> [N, D].

    Raises:
        ValueError: a part of one row while training, as batch norm itself.
    """
    if len(parts) == 1 or not isinstance(norm, nn.BatchNorm1d) or not norm.training:
        out: Tensor = norm(h.relu_())
        return out
    if h.device.type != "cpu" or min(parts) < 2:
        return torch.cat([norm(part) for part in h.relu_().split(parts)])
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked += len(parts)
    joined: Tensor = _ReLUNorm.apply(h, norm.weight, norm.bias, norm, parts)[0]
    return joined
