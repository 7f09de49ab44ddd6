"""Streams: what an encoder is shown of a pose, derived once a batch, after the views.

Reference: joint, bone and motion as in Shi et al., CVPR 2019, https://arxiv.org/abs/1805.07694, and
in the released code of HaLP and CMD; ``distances`` is of this package: it does not change when a
body turns.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import AfterValidator
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.layout import AXES, Layout
from halpgraph.pose import sampled, with_pose

STREAMS = ("joint", "bone", "motion", "bone-motion", "distances")


def known(stream: str) -> str:
    """Return the name of a stream, or of several joined by ``+``, if there are such.

    Raises:
        ValueError: no such stream, or one that stands there twice.
    """
    parts = stream.split("+")
    for part in parts:
        if part not in STREAMS:
            choice = f"use one of {', '.join(STREAMS)}, or several joined by +"
            raise ValueError(f"stream {part or repr(part)}: unknown - {choice}")
    if len(set(parts)) < len(parts):
        raise ValueError(f"stream {stream}: name each part once")
    return stream


Stream = Annotated[str, AfterValidator(known)]


def derive(batch: Batch, stream: str) -> Batch:
    """Return the batch as a stream shows it; ``joint`` is the batch itself.

    ``bone`` is each joint seen from its parent, ``motion`` the step to the next frame (the last is
    zero), ``bone-motion`` the motion of the bones, ``distances`` how far each joint is from the
    centre and from every end of the body, its height above the lowest joint, and its speed. A
    confidence, where there is one, is averaged over what was compared. Streams joined by ``+``
    (``motion+distances``) are shown side by side, as more channels of each joint.

    Raises:
        UserError: no such stream, or a batch without poses.
    """
    try:
        known(stream)
    except ValueError as error:
        raise UserError(str(error)) from None
    if "pose" not in batch:
        raise UserError(f"stream {stream}: needs skeletons, these graphs have no poses")
    batch = sampled(batch)
    if "+" in stream:
        parts = [derive(batch, part).pose for part in stream.split("+")]
        return with_pose(batch, torch.cat(parts, 2))
    if stream == "joint":
        return batch
    layout: Layout = batch.layout
    pose: Tensor = batch.pose
    if stream == "distances":
        return with_pose(batch, distances(pose, layout))
    if stream.startswith("bone"):
        pose = bone(pose, layout)
    if stream.endswith("motion"):
        pose = motion(pose, layout)
    return with_pose(batch, pose)


def stream_channels(stream: str, layout: Layout) -> int:
    """Return the channels of a stream, or of several side by side."""
    if "+" in stream:
        return sum(stream_channels(part, layout) for part in stream.split("+"))
    if stream == "distances":
        return len(_anchors(layout)) + 2
    return len(layout.channels)


def bone(pose: Tensor, layout: Layout) -> Tensor:
    """Return each joint minus its parent, the root being zero. Shapes: [R, T, C, V]."""
    parents = torch.tensor(layout.parents, device=pose.device)
    return _compared(pose, pose.index_select(3, parents), layout)


def motion(pose: Tensor, layout: Layout) -> Tensor:
    """Return the step from each frame to the next, the last being zero. Shapes: [R, T, C, V]."""
    out = torch.zeros_like(pose)
    out[:, :-1] = _compared(pose[:, 1:], pose[:, :-1], layout)
    return out


def _compared(a: Tensor, b: Tensor, layout: Layout) -> Tensor:
    out = a - b
    if layout.score:
        out[:, :, -1] = (a[:, :, -1] + b[:, :, -1]) / 2
    return out


def _anchors(layout: Layout) -> tuple[int, ...]:
    return tuple(dict.fromkeys((layout.centre, *layout.leaves)))


def distances(pose: Tensor, layout: Layout) -> Tensor:
    """Return distances to the anchors, heights and speeds. Shapes: [R, T, C, V] -> [R, T, C', V].

    Heights are taken along the layout's ``up`` axis, from the lowest joint of the frame; speeds are
    lengths of the motion. A body that is absent from a frame (all zero) is zero here too, and so
    is its speed when it comes or goes.
    """
    space, anchors = pose[:, :, : layout.space], _anchors(layout)
    bodies, frames, _, joints = pose.shape
    out = pose.new_zeros(bodies, frames, len(anchors) + 2, joints)
    for i, anchor in enumerate(anchors):
        out[:, :, i] = torch.linalg.vector_norm(space - space[..., anchor, None], dim=2)
    axis, sign = AXES[layout.up]
    height = space[:, :, axis] * sign
    out[:, :, -2] = height - height.amin(2, keepdim=True)  # [R, T, V]
    seen = (space != 0).flatten(2).any(2)[..., None]  # [R, T, 1]
    speed = torch.linalg.vector_norm(space.diff(dim=1), dim=2)  # [R, T - 1, V]
    out[:, :-1, -1] = speed * (seen[:, 1:] & seen[:, :-1])
    return out
