"""What GRU cells do frame by frame: through time, and back."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from halpgraph import native
from halpgraph.native import address

_SOURCE = Path(__file__).with_name("_cells.c")
_tanh_back = torch.ops.aten.tanh_backward.grad_input
_sigmoid_back = torch.ops.aten.sigmoid_backward.grad_input


def step_through(
    gates: Tensor, inner: Tensor, out: Tensor, w_rec: Tensor, bias: Tensor, b_new: Tensor
) -> None:
    """Step n cells through time, in the memory of ``gates``, ``inner`` and ``out``.

    Shapes: gates [n, T, B, 3H], inner [n, T, B, H], out [T, B, n, H], w_rec [n, 3H, H],
    bias [n, 1, 3H], b_new [n, 1, H].
    """
    turned, found = w_rec.transpose(1, 2), loops(gates)  # [n, H, 3H]
    from_state, b_new = torch.empty_like(gates[:, 0]), b_new.contiguous()
    state, outs = torch.zeros_like(inner[:, 0]), out.transpose(1, 2).unbind()
    sizes = (*inner.shape, *out.stride()[:2])
    places = [address(t) for t in (gates, inner, out, from_state, bias, b_new)]
    for t, now in enumerate(outs):
        torch.bmm(state, turned, out=from_state)
        if found is not None:
            found.forward(*sizes, t, *places)
        else:
            _step(gates[:, t], inner[:, t], now, state, from_state, bias, b_new)
        state = now


def _step(
    gate: Tensor,
    product: Tensor,
    now: Tensor,
    state: Tensor,
    from_state: Tensor,
    bias: Tensor,
    b_new: Tensor,
) -> None:
    hidden = product.size(2)
    parts = [2 * hidden, hidden]
    to_open, to_new = from_state.split(parts, 2)
    gate.add_(bias)
    open_, new = gate.split(parts, 2)
    open_.add_(to_open).sigmoid_()
    torch.add(to_new, b_new, out=product)
    new.addcmul_(open_[..., :hidden], product)
    new.mul_(2).sigmoid_().mul_(2).sub_(1)  # tanh, in a third of its time
    torch.lerp(new, state, open_[..., hidden:], out=now)


def walk_back(
    grad: Tensor,
    gates: Tensor,
    inner: Tensor,
    out: Tensor,
    back: Tensor,
    state: Tensor,
    slopes: Tensor,
    first: int,
) -> None:
    """Walk n cells back through F frames; what is found is left in ``slopes`` and ``state``.

    Shapes: grad, out [T, B, n, H], gates [n, T, B, 3H], inner [n, T, B, H], back [n, 3H, H],
    state [n, B, H], slopes [n, F, B, 4H].
    """
    found = loops(gates)
    frames, hidden = slopes.size(1), inner.size(3)
    kept, change = torch.empty_like(state), torch.empty_like(state)
    sizes, apart = (*inner.shape, *out.stride()[:2]), slopes.stride(0)
    places = [address(t) for t in (gates, inner, out, grad, state, slopes)]
    to_states = slopes[..., : 3 * hidden].unbind(1)
    for t in range(first + frames - 1, first - 1, -1):
        if found is not None:
            found.backward(*sizes, t, apart, first, *places)
        else:
            before = out[t - 1].transpose(0, 1) if t else torch.zeros_like(state)
            _back(slopes[:, t - first], gates[:, t], inner[:, t], before, state, kept, change)
            if t:
                torch.add(kept, grad[t - 1].transpose(0, 1), out=state)
        if t:
            state.baddbmm_(to_states[t - first], back)


def _back(
    now: Tensor,
    gate: Tensor,
    inner: Tensor,
    before: Tensor,
    state: Tensor,
    kept: Tensor,
    change: Tensor,
) -> None:
    hidden = inner.size(2)
    reset, update, new = gate.split(hidden, 2)
    d_inner, d_reset, d_update, d_new = now.split(hidden, 2)
    torch.mul(state, update, out=kept)
    _tanh_back(torch.sub(state, kept, out=change), new, grad_input=d_new)
    torch.sub(before, new, out=change).mul_(state)
    _sigmoid_back(change, update, grad_input=d_update)
    torch.mul(d_new, inner, out=change)
    _sigmoid_back(change, reset, grad_input=d_reset)
    torch.mul(d_new, reset, out=d_inner)


def loops(numbers: Tensor) -> ctypes.CDLL | None:
    """Return the compiled loops, or None where they cannot be had or do not suit the numbers."""
    suit = numbers.device.type == "cpu" and numbers.dtype == torch.float32
    return _loops() if suit else None


@functools.cache
def _loops() -> ctypes.CDLL | None:
    found = native.load(_SOURCE)
    if found is not None:
        size, at = ctypes.c_ssize_t, ctypes.c_void_p
        found.forward.restype = found.backward.restype = None
        found.forward.argtypes = [size] * 7 + [at] * 6
        found.backward.argtypes = [size] * 9 + [at] * 6
    return found
