"""A small network on the pairs of nodes that edges join, some edges at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AT_ONCE = 1 << 17  # numbers of the hidden layer, which stay in a processor's caches


class _Pairs(torch.autograd.Function):
    """The hidden layer is never written out for all edges; going back it is made again."""

    @staticmethod
    def forward(
        ctx: Any, ahead: Tensor, behind: Tensor, first: Tensor, second: Tensor, out: Tensor
    ) -> Tensor:
        ctx.save_for_backward(ahead, behind, first, second, out)
        found = ahead.new_empty(first.numel())
        for part in _parts(first, ahead):
            u, v = first[part], second[part]
            torch.mv(_hidden(ahead, behind, u, v), out, out=found[part])
            found[part] += torch.mv(_hidden(ahead, behind, v, u), out)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        ahead, behind, first, second, out = ctx.saved_tensors
        d_ahead, d_behind = torch.zeros_like(ahead), torch.zeros_like(behind)
        d_out = torch.zeros_like(out)
        for part in _parts(first, ahead):
            u, v, grad = first[part], second[part], grads[0][part]
            for one, other in ((u, v), (v, u)):
                hidden = _hidden(ahead, behind, one, other)
                d_out.addmv_(hidden.t(), grad)
                slopes = hidden.sign_().mul_(out).mul_(grad[:, None])
                d_ahead.index_add_(0, one, slopes)
                d_behind.index_add_(0, other, slopes)
        return d_ahead, d_behind, None, None, d_out


def both_orders(
    ahead: Tensor, behind: Tensor, first: Tensor, second: Tensor, out: Tensor
) -> Tensor:
    """Return ``relu(ahead_u + behind_v) . out + relu(ahead_v + behind_u) . out`` of edges (u, v).

    Args:
        ahead: what nodes add to the hidden layer where they come first.
        behind: what they add where they come second.
        first: u of each edge.
        second: v of each edge.
        out: weights of the hidden layer.

    Shapes: ahead, behind [N, H], first, second [E], out [H] -> [E].
    """
    found: Tensor = _Pairs.apply(ahead, behind, first, second, out.to(ahead.dtype))
    return found


def _parts(edges: Tensor, nodes: Tensor) -> Iterator[slice]:
    """Yield which edges are taken at once: on a CPU few, elsewhere all."""
    many, step = edges.numel(), max(AT_ONCE // nodes.size(1), 1)
    step = step if edges.device.type == "cpu" else max(many, 1)
    return (slice(start, start + step) for start in range(0, many, step))


def _hidden(ahead: Tensor, behind: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return the hidden layer of some edges. Shapes: [e, H]."""
    return ahead.index_select(0, u).add_(behind.index_select(0, v)).relu_()
