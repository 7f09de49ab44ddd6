"""The persons of a clip side by side, each in a place of its own, whether there or not."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.pose import clip_of_body


def slots(batch: Batch, persons: int) -> Tensor:
    """Return the place of each body among the B * M places of its clips. Shapes: [R]."""
    place: Tensor = clip_of_body(batch) * persons + batch.person
    return place


def beside(batch: Batch, persons: int) -> Tensor:
    """Return the persons of each clip side by side, zeros for those that are not there.

    Time comes first, so that a frame of the whole batch is one block; a column of a frame is
    ``(m * C + c) * V + v``.

    Shapes: [T, B, M * C * V].
    """
    pose: Tensor = batch.pose
    bodies, frames = pose.shape[:2]
    clips = batch.body_ptr.numel() - 1
    rows = pose.reshape(bodies, frames, -1).transpose(0, 1)  # [T, R, C * V]
    if persons == 1 and bodies == clips:  # each clip its one body, in order
        return rows.contiguous()
    out = pose.new_zeros(frames, clips * persons, rows.size(2))
    out[:, slots(batch, persons)] = rows
    return out.view(frames, clips, -1)  # [T, B, M * C * V]


def there(batch: Batch, persons: int) -> Tensor:
    """Return which columns of ``beside`` are of a person who is there. Shapes: [B, M * C * V]."""
    pose: Tensor = batch.pose
    clips, width = batch.body_ptr.numel() - 1, pose.size(2) * pose.size(3)
    if persons == 1 and len(pose) == clips:
        return pose.new_ones(clips, width)
    out = pose.new_zeros(clips * persons, width)
    out[slots(batch, persons)] = 1
    return out.view(clips, -1)
