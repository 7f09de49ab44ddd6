"""GRU cells of one layer that read the same input, forward in time, stepped side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from halpgraph.cell_steps import step_through, walk_back

CACHED = 1 << 23  # bytes of recurrent weights
STRETCH = 1 << 23  # bytes of slopes


def cells_suit(x: Tensor, weight: Tensor) -> bool:
    """Tell whether ``Cells`` is to be used: in training on a CPU, and without autocast.

    Elsewhere PyTorch's own GRU does as well or better.
    """
    same = x.device.type == "cpu" and x.dtype == weight.dtype and x.numel() > 0
    plain = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    return same and plain and torch.is_grad_enabled()


def _groups(w_rec: Tensor) -> list[slice]:
    """Return which cells are stepped together: all, if the caches hold the weights of all."""
    if w_rec.numel() * w_rec.element_size() <= CACHED:
        return [slice(0, len(w_rec))]
    return [slice(cell, cell + 1) for cell in range(len(w_rec))]


class Cells(Function):
    """A layer of n GRU cells: what is not recurrent is one large product, before or after.

    Each step is one product of all cells and a few operations in place, on what is in the caches.
    Float32 or float64 on a CPU; slopes have no slopes of their own.

    Reference: Cho et al., EMNLP 2014, https://arxiv.org/abs/1406.1078, with the reset gate behind
    the recurrent product, as in PyTorch and cuDNN.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_in: Tensor,
        w_rec: Tensor,
        b_in: Tensor,
        b_rec: Tensor,
        frames: int | None = None,
        given: int = 0,
    ) -> Tensor:
        """Return the outputs of all cells side by side, from a state of zeros.

        Gates lie in PyTorch's order: reset, update, new. With ``frames`` one frame is read again
        and again, and multiplied once. The first ``given`` clips are data: no slopes go to them.

        Shapes: x [T, B, I] (T = 1 with frames), w_in [n, 3H, I], w_rec [n, 3H, H],
        b_in, b_rec [n, 3H] -> [T, B, nH].
        """
        (read, clips, _), (many, _, hidden) = x.shape, w_rec.shape
        length = frames or read
        rows, two = x.reshape(read * clips, -1), 2 * hidden
        gates = x.new_empty(many, length, clips, 3 * hidden)
        for cell, weight in zip(gates[:, :read].flatten(1, 2), w_in, strict=True):
            torch.mm(rows, weight.t(), out=cell)
        if read < length:
            gates[:, 1:] = gates[:, :1]
        bias, b_new = b_in.clone()[:, None], b_rec[:, None, two:]  # [n, 1, 3H], [n, 1, H]
        bias[:, :, :two] += b_rec[:, None, :two]
        inner = x.new_empty(many, length, clips, hidden)  # what the reset gate is multiplied by
        out = x.new_empty(length, clips, many, hidden)
        for cells in _groups(w_rec):
            step_through(
                gates[cells],
                inner[cells],
                out[:, :, cells],
                w_rec[cells],
                bias[cells],
                b_new[cells],
            )
        ctx.save_for_backward(rows, w_in, w_rec, gates, inner, out)
        ctx.given = given
        return out.flatten(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Walk back through time, a stretch of frames at a time.

        Weights get their slopes in one product a stretch.
        """
        rows, w_in, w_rec, gates, inner, out = ctx.saved_tensors
        frames, clips, many, hidden = out.shape
        three, groups = 3 * hidden, _groups(w_rec)
        repeated = len(rows) < frames * clips
        # Slopes of the inner product, then of the gates, so that what either product needs is one.
        most = STRETCH // (4 * many * clips * hidden * rows.element_size())
        slopes = gates.new_empty(many, min(max(most, 1), frames), clips, 4 * hidden)
        back = w_rec.roll(hidden, 1)  # new, reset, update: [n, 3H, H]
        d_in, d_back = torch.zeros_like(w_in), torch.zeros_like(back)
        sums = slopes.new_zeros(many, 4 * hidden)
        d_x = torch.zeros_like(rows) if ctx.needs_input_grad[0] else None
        learns = any(ctx.needs_input_grad[1:5])
        grad = grads[0].contiguous().view(out.shape)
        state = out.new_zeros(many, clips, hidden).add_(grad[-1].transpose(0, 1))
        for last in range(frames, 0, -slopes.size(1)):
            first = max(last - slopes.size(1), 0)
            part, begin = slopes[:, : last - first], max(first, 1)
            for some in groups:
                known = (grad[:, :, some], gates[some], inner[some], out[:, :, some], back[some])
                walk_back(*known, state[some], part[some], first)
            flat = part.flatten(1, 2)
            to_gates = part[..., hidden:].sum(1) if repeated else flat[:, :, hidden:]
            these = slice(None) if repeated else slice(first * clips, last * clips)
            if d_x is not None:
                _to_input(d_x[these], to_gates, w_in, clips, ctx.given)
            if not learns:
                continue
            d_in.baddbmm_(to_gates.transpose(1, 2), rows[these].expand(many, -1, -1))
            before = out[begin - 1 : last - 1].flatten(0, 1).transpose(0, 1)  # [n, f * B, H]
            to_inner = flat[:, (begin - first) * clips :, :three]
            d_back.baddbmm_(to_inner.transpose(1, 2), before)
            sums += flat.sum(1)
        d_x = None if d_x is None else d_x.view(-1, clips, d_x.size(1))
        if not learns:
            return d_x, *(None,) * 6
        d_rec, d_b_rec = d_back.roll(-hidden, 1), sums[:, :three].roll(-hidden, 1)
        return d_x, d_in, d_rec, sums[:, hidden:], d_b_rec, None, None


def _to_input(d_x: Tensor, to_gates: Tensor, w_in: Tensor, clips: int, given: int) -> None:
    """Add what frames' gates want of what was read, but for the first clips, which are data.

    Shapes: d_x [f * B, I], to_gates [n, f * B, 3H], w_in [n, 3H, I].
    """
    for slopes, weight in zip(to_gates, w_in, strict=True):
        if not given:
            d_x.addmm_(slopes, weight)
            continue
        wanted = slopes.view(-1, clips, slopes.size(1))[:, given:]
        d_x.view(-1, clips, d_x.size(1))[:, given:].baddbmm_(
            wanted, weight.expand(len(wanted), -1, -1)
        )


def whole(gru: nn.GRU, x: Tensor, frames: int | None = None, given: int = 0) -> Tensor:
    """Return the outputs of a forward GRU of any layers for whole sequences, from a state of zeros.

    Args:
        gru: neither bidirectional nor with dropout.
        x: what it reads.
        frames: how often one frame is read.
        given: how many clips, the first ones, are data to which no slopes need go; it saves time.

    Shapes: x [T, B, I] (T = 1 with frames) -> [T, B, H].
    """
    if not cells_suit(x, gru.all_weights[0][0]):
        out: Tensor = gru(x if frames is None else x.expand(frames, -1, -1))[0]
        return out
    for layer in range(gru.num_layers):
        weights = (w[None] for w in gru.all_weights[layer])
        x = Cells.apply(x, *weights, *((None, 0) if layer else (frames, given)))
    return x
