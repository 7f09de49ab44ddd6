"""Windows of clips resampled in time: one gather and one lerp for a batch."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from halpgraph.linear import linear, loops, one_each
from halpgraph.native import address

TABLE = 1024  # frames; of shorter windows it is known once and for all how they are resampled


def resample(frames: Tensor, first: Tensor, length: Tensor, count: int) -> Tensor:
    """Return ``count`` frames of each window, linearly interpolated.

    Shapes: frames [S, C, V], first, length [R] -> [R, count, C, V].
    """
    rows, weights = (t.view(-1, 2) for t in _windows(first, length, count))
    flat = frames.reshape(frames.size(0), -1)  # [S, C * V]
    if flat.dtype == torch.float32:
        out = F.embedding_bag(rows, flat, per_sample_weights=weights, mode="sum")
    else:
        out = flat.index_select(0, rows[:, 0]).float()
        out.lerp_(flat.index_select(0, rows[:, 1]).float(), weights[:, 1:])
    return out.view(first.numel(), count, frames.size(1), frames.size(2))


def resample_by(
    frames: Tensor, first: Tensor, length: Tensor, count: int, matrix: Tensor, hit: Tensor | None
) -> Tensor:
    """Return ``linear(resample(...), matrix, hit)``, in one pass where C can do it.

    Shapes: frames [S, C, V], first, length [R], matrix [R, C, C] or [R, C, C, 1 or V], hit [R, V]
    -> [R, count, C, V].
    """
    (space, joints), bodies = frames.shape[1:], first.numel()
    found = loops() if one_each(frames, bodies, space, matrix) else None
    if found is None or not frames.is_contiguous() or not _inside(frames, first, length):
        return linear(resample(frames, first, length, count), matrix, hit)
    rows, weights = _windows(first, length, count)
    matrix = matrix.contiguous()
    hit = None if hit is None else hit.expand(bodies, joints).contiguous()
    out = frames.new_empty(bodies, count, space, joints)
    work = frames.new_empty((space + 2) * space * joints)
    given = [address(t) for t in (frames, rows, weights, matrix, hit, work, out)]
    found.cut(bodies, count, space, joints, *given)
    return out


def _inside(frames: Tensor, first: Tensor, length: Tensor) -> bool:
    """Tell whether all windows lie in the frames; C would not."""
    return int(first.min()) >= 0 and int((first + length).max()) <= frames.size(0)


def _windows(first: Tensor, length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the two frames that each of ``count`` frames of a window lies between, and its shares.

    Shapes: [R] twice -> [R, count, 2] twice, in memory of their own.
    """
    if length.device.type != "cpu" or not length.numel() or int(length.max()) >= TABLE:
        rows, weights = _between(length, count)
    else:
        rows, weights = (t.index_select(0, length) for t in _table(count))
    return rows.add_(first[:, None, None]), weights


@lru_cache(maxsize=4)
def _table(count: int) -> tuple[Tensor, Tensor]:
    """Return what ``_between`` says of all short windows: looking up costs less than reckoning."""
    return _between(torch.arange(TABLE), count)


def _between(length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    scale = (length / count)[:, None]  # [R, 1]
    at = torch.arange(count, device=length.device, dtype=scale.dtype)
    at = ((at + 0.5) * scale - 0.5).clamp_min_(0)  # [R, count]
    low = at.floor()
    share = at - low
    low = low.long()
    high = torch.minimum(low + 1, length[:, None] - 1)
    return torch.stack([low, high], dim=2), torch.stack([1 - share, share], dim=2)
