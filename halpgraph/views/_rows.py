"""Looking things up in the sorted edges of a batch, without a loop over nodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch


def where_true(mask: Tensor) -> Tensor:
    """Return the positions at which a flat mask is true, in order.

    NumPy's search is three times as fast as torch's on a CPU.

    Shapes: [n] -> [true].
    """
    if mask.device.type == "cpu":
        return torch.from_numpy(mask.numpy().nonzero()[0])
    return mask.nonzero().view(-1)


def edges_of(rowptr: Tensor, degree: Tensor, nodes: Tensor) -> Tensor:
    """Return the positions of all edges that leave the given nodes, node after node.

    Shapes: rowptr [N + 1], degree [N], nodes [n] -> [edges].
    """
    count = degree.index_select(0, nodes)
    stop = count.cumsum(0)
    shift = rowptr.index_select(0, nodes).add_(count).sub_(stop)  # from running number to position
    shift = torch.repeat_interleave(shift, count)
    return shift.add_(torch.arange(shift.numel(), device=shift.device))


def find(batch: Batch, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Look edges up by bisection in the sorted edges of their sources.

    Args:
        batch: the graphs.
        source: nodes the edges leave.
        target: nodes they should reach.

    Returns:
        The position of each edge (where it is absent: the position it would be inserted at), and
        whether it is there.

    Shapes: source, target [n] -> [n], [n].
    """
    targets = batch.edge_index[1]
    low = batch.rowptr.index_select(0, source)
    end = batch.rowptr.index_select(0, source + 1)
    if source.numel() == 0 or targets.numel() == 0:
        return low, torch.zeros_like(low, dtype=torch.bool)
    high, last = end, targets.numel() - 1
    for _ in range(int((end - low).max()).bit_length()):
        middle = (low + high) >> 1
        before = (targets.index_select(0, middle.clamp(max=last)) < target) & (low < high)
        low, high = torch.where(before, middle + 1, low), torch.where(before, high, middle)
    there = (low < end) & (targets.index_select(0, low.clamp(max=last)) == target)
    return low, there
