"""Rotation: every clip is seen from another side."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Generator, Tensor
from torch_geometric.data import Batch

from halpgraph.layout import AXES
from halpgraph.registry import views
from halpgraph.views._pose import LinearView, Range, draw


@views.register
class Rotate(LinearView):
    """Turn every clip about an axis through the origin, and perhaps a little about the others.

    About the layout's ``up`` axis, which is the same movement seen from another side. AimCLR draws
    one of the three axes for each clip: ``yaw: [0, 30], tilt: [0, 1], axis: any``. Flat poses are
    turned in their plane, by ``yaw``.

    Args:
        yaw: least and largest angle about the main axis, in degrees.
        tilt: the same about each of the other axes.
        axis: ``up``, or ``any``: the main axis is drawn for each clip.

    Reference: AimCLR, Guo et al., AAAI 2022, Sec. 3.2, https://arxiv.org/abs/2112.03590.
    """

    def __init__(
        self,
        yaw: Range = (-30.0, 30.0),
        tilt: Range = (0.0, 0.0),
        axis: Literal["up", "any"] = "up",
    ) -> None:
        self.yaw, self.tilt, self.axis = yaw, tilt, axis

    def matrices(self, batch: Batch, generator: Generator | None) -> Tensor:
        """Return a rotation for every clip."""
        up, sign = AXES[batch.layout.up]
        yaw = draw(batch, generator, ends=self.yaw) * (math.pi / 180)  # [B]
        if batch.layout.space == 2:
            return _about(2, yaw * sign)[:, :2, :2, None]
        angles = draw(batch, generator, 3, ends=self.tilt) * (math.pi / 180)  # [B, 3]
        main = torch.full_like(yaw, up, dtype=torch.long)
        if self.axis == "any":
            main, sign = (draw(batch, generator) * 3).long(), 1
        angles = angles.scatter(1, main[:, None], yaw[:, None] * sign)
        x, y, z = (_about(axis, angles[:, axis]) for axis in range(3))
        return (x @ y @ z)[..., None]


def _about(axis: int, angle: Tensor) -> Tensor:
    """Return matrices that turn rows of coordinates about one axis. Shapes: [B] -> [B, 3, 3]."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = torch.eye(3, device=angle.device).repeat(angle.numel(), 1, 1)  # [B, 3, 3]
    out[:, i, i] = out[:, j, j] = angle.cos()
    out[:, i, j], out[:, j, i] = angle.sin(), -angle.sin()
    return out
