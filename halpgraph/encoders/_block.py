"""A block of ST-GCN: along the bones, then along time."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from halpgraph.encoders._adaptive import AdaptiveConvolution
from halpgraph.encoders._bones import BoneConvolution
from halpgraph.encoders._dropout import Dropout
from halpgraph.encoders._norm_relu import at_once, norm_relu
from halpgraph.encoders._temporal import along_time
from halpgraph.layout import Layout


class Block(nn.Module):
    """``relu(drop(norm(along time(relu(norm(along bones(x)))))) + shortcut(x))``.

    Maps are [V, C, T, R] with channels last in memory: joint by joint they are the rows of the
    spatial products, and the temporal convolution runs along T over all bodies at once.

    Args:
        width: channels in.
        out: channels out.
        adjacency: of the partition.
        layout: of the skeletons.
        kernel: frames that the temporal convolution sees.
        stride: of the temporal convolution.
        dropout: share of values dropped after it.
        shortcut: whether there is a residual connection.
        adaptive: whether links between any two joints are learned.
    """

    def __init__(
        self,
        width: int,
        out: int,
        adjacency: Tensor,
        layout: Layout,
        kernel: int,
        stride: int,
        dropout: float,
        shortcut: bool,
        adaptive: bool = False,
    ) -> None:
        super().__init__()
        self.spatial: nn.Module = (
            AdaptiveConvolution(width, out, adjacency)
            if adaptive
            else BoneConvolution(width, out, adjacency, layout)
        )
        self.norm1 = nn.BatchNorm2d(out)
        self.temporal = nn.Conv2d(out, out, (kernel, 1), (stride, 1), (kernel // 2, 0))
        self.norm2 = nn.BatchNorm2d(out)
        self.dropout = Dropout(dropout)
        self.stride = stride
        self.shortcut: nn.Module | None = None
        if shortcut and width == out and stride == 1:
            self.shortcut = nn.Identity()
        elif shortcut:
            self.shortcut = nn.Sequential(nn.Conv2d(width, out, 1), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map. Shapes: x [V, C, T, R] -> [V, C', T', R]."""
        y, offset = self.spatial(_rows(x))  # [V, T * R, C'], [V, C']
        norms = [self.norm1, self.norm2]
        if isinstance(self.shortcut, nn.Sequential):
            norms.append(self.shortcut[1])  # type: ignore[arg-type]
        drops = self.dropout.training and self.dropout.share > 0
        if at_once(x, norms) and not drops:
            return self._at_once(x, y, offset)
        y = _maps(y.add_(offset[:, None]), x.shape)
        y = self.dropout(self.norm2(self.temporal(self.norm1(y).relu_())))
        if self.shortcut is not None:
            # Rows are skipped here: oneDNN's strided 1 x 1 convolution of few channels crashes.
            y = y.add_(self.shortcut(x[:, :, :: self.stride]))
        out: Tensor = y.relu_()
        return out

    def _at_once(self, x: Tensor, y: Tensor, offset: Tensor) -> Tensor:
        """Go on with norms, residual and ReLU in one; a bias before a norm is left to it."""
        y = _maps(norm_relu(self.norm1, y, offset), x.shape)
        y, conv = along_time(self.temporal, y), self.temporal
        rest: tuple[Any, ...] = ()
        if isinstance(self.shortcut, nn.Sequential):
            project, norm = cast(tuple[nn.Conv2d, nn.BatchNorm2d], (*self.shortcut,))
            fewer = F.conv2d(x[:, :, :: self.stride], project.weight)
            rest = (_rows(fewer), _one(project), norm)
        elif self.shortcut is not None:
            rest = (_rows(x),)
        return _maps(norm_relu(self.norm2, _rows(y), _one(conv), *rest), y.shape)


def _rows(maps: Tensor) -> Tensor:
    """Return maps as rows of channels. Shapes: [V, C, T, R] -> [V, T * R, C]."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _maps(rows: Tensor, shape: torch.Size) -> Tensor:
    """Return rows as maps again, T and R as in a shape. Shapes: [V, T * R, C] -> [V, C, T, R]."""
    out: Tensor = rows.unflatten(1, shape[2:]).permute(0, 3, 1, 2)
    return out


def _one(conv: nn.Conv2d) -> Tensor:
    """Return a convolution's bias, the same for every joint. Shapes: [1, C]."""
    assert conv.bias is not None
    return conv.bias[None]
