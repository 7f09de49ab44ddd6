"""Batch norm of what an encoder of poses is shown: over what each channel is scaled alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator
from torch import Tensor, nn


def _former(value: Any) -> Any:
    """Return the name of what was a yes or no before there were three."""
    return {True: "joints", False: "none"}[value] if isinstance(value, bool) else value


InputNorm = Annotated[Literal["joints", "channels", "none"], BeforeValidator(_former)]


class JointNorm(nn.BatchNorm1d):
    """Batch norm of each channel of each joint by itself, as published.

    A hip's tremble then weighs as much as a hand's sweep.

    Args:
        channels: C.
        joints: V.
    """

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__(channels * joints)

    def forward(self, input: Tensor) -> Tensor:
        """Return the frames, scaled. Shapes: [N, C, V] -> [N, C, V]."""
        return super().forward(input.flatten(1)).view_as(input)


class ChannelNorm(nn.Module):
    """Batch norm of each channel, all joints scaled alike: which of them moves most is kept.

    Each joint is still centred by itself, so that what it always shows takes no part in the scale.

    Args:
        channels: C.
        joints: V.
        momentum: how much of a batch's mean the running mean takes, as in PyTorch's batch norm.
    """

    mean: Tensor

    def __init__(self, channels: int, joints: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels, joints))
        self.scale = nn.BatchNorm1d(channels, momentum=momentum)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the frames, scaled. Shapes: [N, C, V] -> [N, C, V]."""
        mean = self.mean
        if self.training:
            mean = frames.mean(0)
            self.mean.lerp_(mean.detach().to(self.mean.dtype), self.momentum)
        out: Tensor = self.scale(frames - mean)
        return out


def frame_norm(over: InputNorm, channels: int, joints: int) -> nn.Module:
    """Return what scales frames [N, C, V]; with ``none`` they stay as they are."""
    over = _former(over)
    if over == "none":
        return nn.Identity()
    return (JointNorm if over == "joints" else ChannelNorm)(channels, joints)
