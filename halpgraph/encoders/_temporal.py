"""Convolution along time of maps with channels last, whose weights get their slopes by products."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

MANY = 64  # channels, from which products are faster than oneDNN, where that has AVX2 alone


def along_time(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Return the convolution without its bias. Shapes: [V, C, T, R] -> [V, C', T', R]."""
    narrow = min(conv.weight.shape[:2]) < MANY
    if narrow or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return F.conv2d(x, conv.weight, None, conv.stride, conv.padding)
    out: Tensor = Temporal.apply(x, conv.weight, conv.stride[0], conv.padding[0])
    return out


class Temporal(Function):
    """``conv2d`` with a kernel of (k, 1), faster in the slopes of weights of many channels.

    A tap sees whole frames of a joint, rows that lie one after another: its slopes are one matrix
    product a joint.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        """Shapes: x [V, C, T, R] with channels last, weight [C', C, k, 1] -> [V, C', T', R]."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, (stride, 1), (padding, 0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the slopes of the map and of the weights."""
        x, weight = ctx.saved_tensors
        stride, padding, grad = ctx.stride, ctx.padding, grads[0]
        d_x = None
        if ctx.needs_input_grad[0]:
            like = ([stride, 1], [padding, 0], [1, 1], False, [0, 0], 1, [True, False, False])
            d_x = torch.ops.aten.convolution_backward(grad, x, weight, None, *like)[0]
        return d_x, of_weights(x, grad, weight.size(2), stride, padding), None, None


def of_weights(x: Tensor, grad: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Return the slopes of the weights. Shapes: [V, C, T, R], [V, C', T', R] -> [C', C, k, 1]."""
    frames, later, bodies = x.size(2), grad.size(2), x.size(3)
    # Frames that one tap meets, every stride-th, lie side by side in one of these.
    phases = [
        x[:, :, p::stride].permute(0, 2, 3, 1).contiguous().flatten(1, 2) for p in range(stride)
    ]
    slopes = grad.permute(0, 2, 3, 1).contiguous().flatten(1, 2)  # [V, T' * R, C']
    out = x.new_zeros(kernel, x.size(1), grad.size(1))
    for tap, found in enumerate(out):
        shift, phase = divmod(tap - padding, stride)
        if phase >= frames:
            continue
        rows = phases[phase]
        first = max(-shift, 0)  # the first frame of the output that the tap's frame exists for
        last = min(later, rows.size(1) // bodies - shift)
        if first >= last:
            continue
        seen = rows[:, (first + shift) * bodies : (last + shift) * bodies].transpose(1, 2)
        for joint, slope in zip(seen, slopes[:, first * bodies : last * bodies], strict=True):
            found.addmm_(joint, slope)
    return out.permute(2, 1, 0)[..., None]
