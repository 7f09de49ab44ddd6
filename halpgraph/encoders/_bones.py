"""The spatial graph convolution, as matrix products along the bones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from halpgraph.layout import Layout


class BoneConvolution(nn.Module):
    """``sum over parts k of (A_k * E_k)^T (x W_k + b_k)``, E being learnable, one at first.

    No matrix of a partition has entries other than at joints themselves and at bones. A joint so
    gathers from itself, from its parent and from its children; folding the entries into the
    weights gives each joint a matrix of its own for each of the three. The product with the graph
    is then no work at all beside the convolution's own.

    Args:
        width: channels in.
        out: channels out.
        adjacency: normalised, of a partition.
        layout: says who hangs on whom.

    Shapes: adjacency [K, V, V].

    Reference: Yan et al., AAAI 2018, eq. 10 and section 3.6, https://arxiv.org/abs/1801.07455
    """

    strength: Tensor
    links: Tensor
    parents: Tensor

    def __init__(self, width: int, out: int, adjacency: Tensor, layout: Layout) -> None:
        super().__init__()
        parts, joints = adjacency.shape[:2]
        self.weights = nn.Linear(width, parts * out)
        self.importance = nn.Parameter(torch.ones_like(adjacency))
        own, parents = torch.arange(joints), torch.tensor(layout.parents)
        places = [own * joints + own, parents * joints + own, own * joints + parents]
        links = torch.stack(places)  # [3, V]: where A has itself, from its parent, to its parent
        strength = adjacency.flatten(1)[:, links]  # [K, 3, V]
        strength[:, 1:, parents == own] = 0  # the root's bone is none
        for name, value in (("links", links), ("strength", strength), ("parents", parents)):
            self.register_buffer(name, value, persistent=False)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return each joint's matrices and bias. Shapes: [3, V, C, C'], [V, 1, C']."""
        entries = self.strength * self.importance.flatten(1)[:, self.links]  # [K, 3, V]
        parts = entries.size(0)
        weights = self.weights.weight.unflatten(0, (parts, -1))  # [K, C', C]
        bias = self.weights.bias.view(parts, -1)  # [K, C']
        moved = torch.einsum("kjv,ko->jvo", entries, bias)
        gathered = (moved[0] + moved[1]).index_add(0, self.parents, moved[2])  # [V, C']
        return torch.einsum("kjv,koc->jvco", entries, weights), gathered[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Return what each joint gathers. Shapes: [V, n, C] -> [V, n, C']."""
        (own, parent, child), bias = self.folded()
        x = x.to(own.dtype)  # bfloat16 under autocast
        out = torch.baddbmm(bias, x, own)
        out = out.baddbmm_(x.index_select(0, self.parents), parent)
        return out.index_add_(0, self.parents, torch.bmm(x, child))
