"""The spatial graph convolution with learned links between any two joints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NEAR_ZERO = 1e-6  # what learned links start at, as published


class AdaptiveConvolution(nn.Module):
    """``sum over parts k of (A_k + B_k)^T (x W_k + b_k)``, B_k being learnable, near 0 at first.

    B is free, so that any joint may gather from any other; the matrices are no longer those of the
    bones, and joints are gathered by one dense product. The published layer adds a third matrix,
    C_k, made of how alike two joints of a clip are; it is left out here.

    Args:
        width: channels in.
        out: channels out.
        adjacency: A, normalised, of a partition.

    Shapes: adjacency [K, V, V].

    Reference: Shi et al., "Two-Stream Adaptive Graph Convolutional Networks for Skeleton-Based
    Action Recognition", CVPR 2019, eq. 3 without C, https://arxiv.org/abs/1805.07694
    """

    adjacency: Tensor

    def __init__(self, width: int, out: int, adjacency: Tensor) -> None:
        super().__init__()
        self.weights = nn.Linear(width, len(adjacency) * out)
        self.free = nn.Parameter(torch.full_like(adjacency, NEAR_ZERO))
        self.register_buffer("adjacency", adjacency, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each joint gathers, and its bias, which is still to be added.

        Shapes: [V, n, C] -> [V, n, C'], [V, C'].
        """
        matrices = self.adjacency + self.free  # [K, V, V]
        parts, joints = matrices.shape[:2]
        weights = self.weights.weight.unflatten(0, (parts, -1))  # [K, C', C]
        bias = matrices.sum(1).t() @ self.weights.bias.view(parts, -1)  # [V, C']
        gather = matrices.transpose(1, 2).flatten(0, 1)  # [K * V, V]
        gathered = (gather @ x.flatten(1)).view(parts, -1, x.size(2))  # [K, V * n, C]
        out = gathered[0] @ weights[0].t()
        for part, weight in zip(gathered[1:], weights[1:], strict=True):
            out = torch.addmm(out, part, weight.t())
        return out.view(joints, x.size(1), -1), bias
