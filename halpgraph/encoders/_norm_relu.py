"""Batch norm, a residual connection and ReLU of maps, as one operation."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from halpgraph import native
from halpgraph.native import address

_SOURCE = Path(__file__).with_name("_maps.c")


def at_once(x: Tensor, norms: list[nn.BatchNorm2d]) -> bool:
    """Tell whether ``norm_relu`` can be used: in training on a CPU, by one thread, in float32."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and torch.get_num_threads() == 1
        and all(n.training and n.momentum is not None for n in norms)
        and loops() is not None
    )


def norm_relu(
    norm: nn.BatchNorm2d,
    x: Tensor,
    offset: Tensor,
    residual: Tensor | None = None,
    residual_offset: Tensor | None = None,
    residual_norm: nn.BatchNorm2d | None = None,
) -> Tensor:
    """Return ``relu(norm(x + offset) + residual)``; with a norm of its own, a residual goes by it.

    Shapes: x and residual [V, n, C], offsets [V or 1, C] -> [V, n, C].
    """
    other = residual_norm
    beside = (residual_offset, other and other.weight, other and other.bias, other)
    out: Tensor = NormRelu.apply(x, offset, norm.weight, norm.bias, norm, residual, *beside)
    return out


class NormRelu(Function):
    """``relu(norm(x + offset) + residual)`` with the batch's moments; a residual may have a norm.

    PyTorch reads and writes maps about twice as often for the same, rounding apart. ReLU's slopes
    are taken from the output; norms count the batch in their running moments.

    Reference: Ioffe and Szegedy, "Batch Normalization", ICML 2015, algorithm 1 and section 3,
    https://arxiv.org/abs/1502.03167
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        offset: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: nn.BatchNorm2d,
        residual: Tensor | None = None,
        residual_offset: Tensor | None = None,
        residual_weight: Tensor | None = None,
        residual_bias: Tensor | None = None,
        residual_norm: nn.BatchNorm2d | None = None,
    ) -> Tensor:
        """Return the map. A residual without a norm is added as it is.

        Shapes: x and residual [V, n, C], offsets [V or 1, C], weights and biases [C] -> [V, n, C].
        """
        x, rest = x.contiguous(), None if residual is None else residual.contiguous()
        one, two = _Scaled(x, offset, weight, bias, norm), None
        if rest is not None and residual_norm is not None:
            given: Any = (residual_offset, residual_weight, residual_bias, residual_norm)
            two = _Scaled(rest, *given)
            one.shift += two.shift
        y, beside = torch.empty_like(x), None if two is None else two.scale
        if bool(torch.isfinite(one.shift).all()):
            _call("apply", y.shape, x, one.scale, one.shift, rest, beside, y)
        else:
            y.fill_(torch.nan)  # C's comparisons do not know of it
        ctx.save_for_backward(y, x, None if two is None else rest)
        ctx.one, ctx.two, ctx.added = one, two, residual is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the slopes of all but the norms."""
        (y, x, beside), one, two = ctx.saved_tensors, ctx.one, ctx.two
        shape, grad = y.shape, grads[0].contiguous()
        sums = torch.empty(3, shape[0], shape[2], dtype=torch.float64)
        known = (grad, y, x, one.centre, beside, two and two.centre)
        _call("slope_sums", shape, *known, y.new_empty(3, shape[2]), sums)
        along, shift, found = one.shares(shape, sums[0], sums[1])
        others: list[Tensor | None] = [None, None, None]
        besides: list[Tensor | None] = [None, None, None]
        if two is not None:
            *besides[1:], others = two.shares(shape, sums[0], sums[2])
            besides[0] = two.scale
        d_x, d_rest = torch.empty_like(y), torch.empty_like(y) if ctx.added else None
        known = (grad, y, x, one.scale, along, shift, beside, *besides)
        _call("slopes", shape, *known, d_x, d_rest)
        return d_x, *found, None, d_rest, *others, None


class _Scaled:
    """What batch norm makes of a map: ``x * scale + shift``; its running moments are brought on."""

    def __init__(
        self, x: Tensor, offset: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm2d
    ) -> None:
        self.offsets = offset.size(0)
        groups, _, width = x.shape
        offset = offset.expand(groups, -1).contiguous()
        self.sums = x.new_empty(groups, width, dtype=torch.float64)
        mean, self.std = x.new_empty(2, width, dtype=torch.float64)
        self.scale, *work = x.new_empty(3, width)  # work: two rows, one after the other
        self.centre, self.shift = x.new_empty(2, groups, width)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
        running = (norm.eps, norm.momentum, norm.running_mean, norm.running_var)
        found = (work[0], self.sums, mean, self.std, self.scale, self.centre, self.shift)
        _call("moments", x.shape, x, offset, weight, bias, *running, *found)

    def shares(
        self, shape: torch.Size, sums: Tensor, products: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """Return what of x and what else belongs to x's slopes, and the other slopes.

        Shapes: shape of x; sums, products [V, C] -> [C], [V, C], [[V or 1, C], [C], [C]].
        """
        shift, d_offset = torch.empty(2, *self.centre.shape)
        along, d_weight, d_bias = torch.empty(3, len(self.scale))
        known = (sums, products, self.sums, self.std, self.scale, self.centre)
        _call("shares", shape, *known, along, shift, d_offset, d_weight, d_bias)
        if self.offsets == 1:
            d_offset = d_offset.sum(0, keepdim=True)
        return along, shift, [d_offset, d_weight, d_bias]


def _call(name: str, shape: torch.Size, *given: Tensor | float | None) -> None:
    """Call one of the loops on maps of a shape."""
    rest = (t if isinstance(t, float) else address(t) for t in given)
    getattr(loops(), name)(*shape, *rest)


@functools.cache
def loops() -> ctypes.CDLL | None:
    """Return the compiled loops over maps, or None where they cannot be had."""
    found = native.load(_SOURCE)
    if found is not None:
        size, at, real = ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_double
        found.moments.argtypes = [size] * 3 + [at] * 4 + [real] * 2 + [at] * 9
        for name, many in {"apply": 6, "slope_sums": 8, "shares": 11, "slopes": 12}.items():
            getattr(found, name).argtypes = [size] * 3 + [at] * many
        for name in ("moments", "apply", "slope_sums", "shares", "slopes"):
            getattr(found, name).restype = None
    return found
