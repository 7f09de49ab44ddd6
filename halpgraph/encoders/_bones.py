"""The spatial graph convolution, as matrix products along the bones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

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
        self.order = list(layout.parents)
        for name, value in (("links", links), ("strength", strength), ("parents", parents)):
            self.register_buffer(name, value, persistent=False)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Return each joint's matrices and bias. Shapes: [3, V, C, C'], [V, C']."""
        entries = self.strength * self.importance.flatten(1)[:, self.links]  # [K, 3, V]
        parts = entries.size(0)
        weights = self.weights.weight.unflatten(0, (parts, -1))  # [K, C', C]
        bias = self.weights.bias.view(parts, -1)  # [K, C']
        moved = torch.einsum("kjv,ko->jvo", entries, bias)
        gathered = (moved[0] + moved[1]).index_add(0, self.parents, moved[2])  # [V, C']
        return torch.einsum("kjv,koc->jvco", entries, weights), gathered

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each joint gathers, and its bias, which is still to be added.

        Shapes: [V, n, C] -> [V, n, C'], [V, C'].
        """
        (own, parent, child), bias = self.folded()
        if where_they_lie(x, own):
            out: Tensor = Along.apply(x, own, parent, child, self.order)
            return out, bias
        x = x.to(own.dtype)  # bfloat16 under autocast
        out = torch.bmm(x, own)
        out = out.baddbmm_(x.index_select(0, self.parents), parent)
        return out.index_add_(0, self.parents, torch.bmm(x, child)), bias


def where_they_lie(x: Tensor, weight: Tensor) -> bool:
    """Tell whether ``Along`` is to be used: on a CPU, without autocast."""
    same = x.device.type == "cpu" and x.dtype == weight.dtype
    return same and not torch.is_autocast_enabled("cpu")


class Along(Function):
    """``x_v own_v + x_p(v) parent_v``, and ``x_v child_v`` to the parent p(v), joint by joint.

    On a CPU joints that are multiplied where they lie, one after another, stay in its caches, and
    nothing is gathered or scattered.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, own: Tensor, parent: Tensor, child: Tensor, parents: list[int]
    ) -> Tensor:
        """Return what each joint gathers; who is its own parent is a root, without a bone.

        Shapes: x [V, n, C], own, parent, child [V, C, C'] -> [V, n, C'].
        """
        ctx.save_for_backward(x, own, parent, child)
        ctx.parents = parents
        out = x.new_empty(*x.shape[:2], own.size(2))
        joints, outs = x.unbind(), out.unbind()
        for joint, matrix, gathered in zip(joints, own.unbind(), outs, strict=True):
            torch.mm(joint, matrix, out=gathered)
        bones = zip(parents, parent.unbind(), child.unbind(), strict=True)
        for v, (p, from_parent, from_child) in enumerate(bones):
            if p != v:
                outs[v].addmm_(joints[p], from_parent)
                outs[p].addmm_(joints[v], from_child)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the slopes of the map and of the matrices."""
        x, *matrices = ctx.saved_tensors
        slopes = grads[0].contiguous().unbind()
        turned = x.transpose(1, 2).unbind()
        found = [torch.zeros_like(m) for m in matrices]
        d_own, d_parent, d_child = (d.unbind() for d in found)
        for joint, slope, d in zip(turned, slopes, d_own, strict=True):
            torch.mm(joint, slope, out=d)
        for v, p in enumerate(ctx.parents):
            if p != v:
                torch.mm(turned[p], slopes[v], out=d_parent[v])
                torch.mm(turned[v], slopes[p], out=d_child[v])
        if not ctx.needs_input_grad[0]:
            return None, *found, None
        d_x = torch.empty_like(x)
        d_joints = d_x.unbind()
        own, parent, child = (m.transpose(1, 2).unbind() for m in matrices)
        for slope, matrix, d in zip(slopes, own, d_joints, strict=True):
            torch.mm(slope, matrix, out=d)
        for v, p in enumerate(ctx.parents):
            if p != v:
                d_joints[p].addmm_(slopes[v], parent[v])
                d_joints[v].addmm_(slopes[p], child[v])
        return d_x, *found, None
