"""Connected components of some of the nodes of a batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.views._rows import edges_of


def component_sizes(batch: Batch, nodes: Tensor) -> Tensor:
    """Return how many nodes the component of each node has.

    Trees of labels are hooked onto smaller ones and flattened until nothing changes, which takes
    about log(diameter) rounds.

    Args:
        batch: the graphs.
        nodes: all nodes of some of the graphs, in order.

    Shapes: nodes [n] -> [n].
    """
    number = torch.empty_like(batch.batch)
    number[nodes] = label = torch.arange(nodes.numel(), device=nodes.device)
    edges = number[
        batch.edge_index.index_select(1, edges_of(batch.rowptr, batch.rowptr.diff(), nodes))
    ]  # [2, e]
    source, target = edges
    while True:
        low = label.index_select(0, target)
        new = label.scatter_reduce(0, label.index_select(0, source), low, "amin")
        new = new.scatter_reduce(0, source, low, "amin")
        new = new.index_select(0, new)
        if torch.equal(new, label):
            break
        label = new
    return torch.bincount(label, minlength=label.numel()).index_select(0, label)
