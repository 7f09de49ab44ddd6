"""Neighbours of joints, parted into a few matrices: what a spatial graph convolution sums over."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from halpgraph.layout import Layout

Partition = Literal["stgcn", "inout", "uniform", "distance"]


def matrices(layout: Layout, strategy: Partition) -> Tensor:
    """Return the normalised matrices of a strategy; column w says what joint w gathers.

    ``uniform``: a joint and its neighbours in one. ``distance``: itself, and its neighbours.
    ``stgcn``: itself, neighbours that are no nearer to the centre, and those that are; distances
    as published, which know one hop only: everything farther is equally (infinitely) far, so most
    of the third matrix's bones lie in the second. ``inout``: itself, its parent, its children,
    each normalised alone; what was meant, and what later work uses.

    Args:
        layout: says who hangs on whom, and the centre.
        strategy: how to part.

    Shapes: [K, V, V]; K is 1, 2, 3 or 3.

    Reference: Yan et al., AAAI 2018, section 3.4, https://arxiv.org/abs/1801.07455; ``inout`` as in
    Shi et al., CVPR 2019, https://arxiv.org/abs/1805.07694
    """
    self_loops, inward = torch.eye(layout.num_joints), _inward(layout)
    if strategy == "inout":
        return torch.stack([normalised(m) for m in (self_loops, inward, inward.t())])
    around = inward + inward.t()
    both = normalised(self_loops + around)
    if strategy == "uniform":
        return both[None]
    if strategy == "distance":
        return torch.stack([both * self_loops, both * around])
    hops = torch.full((layout.num_joints,), torch.inf)
    hops[around[layout.centre] > 0], hops[layout.centre] = 1, 0
    nearer = hops[:, None] < hops  # [V, V]: the source is nearer to the centre than the target
    return torch.stack([both * self_loops, both * around * ~nearer, both * around * nearer])


def normalised(matrix: Tensor) -> Tensor:
    """Return a matrix whose columns sum to 1, or to 0 where they are empty. Shapes: [V, V]."""
    return matrix / matrix.sum(0).clamp(min=1)


def _inward(layout: Layout) -> Tensor:
    """Return 1 at (parent, child) of every bone. Shapes: [V, V]."""
    out = torch.zeros(layout.num_joints, layout.num_joints)
    for child, parent in layout.bones:
        out[parent, child] = 1
    return out
