"""Where bodies stand and which way they face: one shift, turn and scale a clip, found once.

Applied to the frames when a set fits in memory, to each batch when it is mapped from the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from halpgraph.errors import UserError
from halpgraph.layout import AXES, Layout

FACING = 5  # frames that tell which way a body faces
Centre = Literal["none", "first"]
Align = Literal["none", "yaw"]
Scale = Literal["none", "torso"]


@dataclass(frozen=True)
class Placement:
    """``(p - origin) @ turn`` for each clip. Shapes: origin [n, S], turn [n, S, S]."""

    origin: Tensor
    turn: Tensor


def find_placement(
    frames: Tensor,
    first: Tensor,
    length: Tensor,
    layout: Layout,
    centre: Centre = "first",
    align: Align = "none",
    scale: Scale = "none",
) -> Placement | None:
    """Find the placement of every clip from its main body; None where nothing is to be done.

    Args:
        frames: all frames.
        first: the first frame of each clip's main body.
        length: its number of frames.
        layout: says which joints are the origin, the shoulders and the torso.
        centre: ``first`` puts the layout's origin joint in the first frame it was seen at 0.
        align: ``yaw`` turns the body about the up axis, so that the line of the shoulders, mean of
            its first five frames, lies along x.
        scale: ``torso`` divides by the mean length of the torso.

    Shapes: frames [S, C, V], first, length [n].

    Raises:
        UserError: the layout cannot be aligned or scaled.
    """
    if (centre, align, scale) == ("none", "none", "none"):
        return None
    space, n = layout.space, first.numel()
    turn = torch.eye(space).repeat(n, 1, 1)
    origin = torch.zeros(n, space)
    if centre == "first":
        origin = _window(frames, first, length, FACING, [layout.origin], space)[1][:, :, 0]
    if align == "yaw":
        turn = _yaw(frames, first, length, layout)
    if scale == "torso":
        turn = turn / _torso(frames, first, length, layout)[:, None, None]
    return Placement(origin, turn)


def _window(
    frames: Tensor, first: Tensor, length: Tensor, count: int, joints: list[int], space: int
) -> tuple[Tensor, Tensor]:
    """Return the mean over ``count`` frames from the start, and the first, of some joints.

    Frames in which one of them was not seen (is zero) do not count; a clip without any gets zeros.

    Shapes: [n, S, J], [n, S, J].
    """
    steps = torch.arange(count)
    rows = first[:, None] + torch.minimum(steps, length[:, None] - 1)  # [n, count]
    part = frames[rows.view(-1)][:, :space][:, :, joints].float()  # [n * count, S, J]
    part = part.view(*rows.shape, space, len(joints))
    seen = (part != 0).any(2).all(2)  # [n, count]
    weight = seen.float() / seen.sum(1, keepdim=True).clamp_min(1)
    mean = (part * weight[:, :, None, None]).sum(1)
    earliest = seen.float().argmax(1)
    return mean, part[torch.arange(len(part)), earliest]


def _yaw(frames: Tensor, first: Tensor, length: Tensor, layout: Layout) -> Tensor:
    """Return rotations about the up axis. Shapes: [n, 3, 3]."""
    if layout.space != 3 or layout.shoulders is None:
        raise UserError(
            f"data.align: yaw needs three dimensions and shoulders, which layout {layout.name} "
            "has not; use data.align=none"
        )
    ends, _ = _window(frames, first, length, FACING, list(layout.shoulders), 3)
    line = ends[:, :, 0] - ends[:, :, 1]  # [n, 3], from right to left
    up = AXES[layout.up][0]
    a, b = [axis for axis in range(3) if axis != up]
    angle = torch.atan2(line[:, b], line[:, a])
    cos, sin = angle.cos(), angle.sin()
    turn = torch.eye(3).repeat(len(angle), 1, 1)
    turn[:, a, a], turn[:, a, b], turn[:, b, a], turn[:, b, b] = cos, -sin, sin, cos
    return turn


def _torso(frames: Tensor, first: Tensor, length: Tensor, layout: Layout) -> Tensor:
    """Return the mean length of each clip's torso over 32 frames of it, 1 where unknown."""
    if layout.torso is None:
        raise UserError(
            f"data.scale: torso needs the ends of a torso, which layout {layout.name} does not "
            "name; use data.scale=none"
        )
    share = (torch.arange(32) + 0.5) / 32
    rows = first[:, None] + (share * length[:, None]).long()  # [n, 32]
    ends = frames[rows.view(-1)][:, : layout.space][:, :, list(layout.torso)].float()
    seen = (ends != 0).any(1).all(1).view(rows.shape)  # [n, 32]
    size = (ends[..., 0] - ends[..., 1]).square().sum(1).sqrt().view(rows.shape)
    mean = (size * seen).sum(1) / seen.sum(1).clamp_min(1)
    return torch.where(mean > 0, mean, torch.ones_like(mean))
