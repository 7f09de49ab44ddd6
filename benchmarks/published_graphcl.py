"""The yardstick: GraphCL as published for TU data sets, graph by graph, in our own words.

What an epoch of the released code does, and what its time goes into: every graph is cut out of the
whole data set's tensors and augmented for itself in NumPy through a dense adjacency matrix, a
``DataLoader`` collates graphs into batches, the training loop drops the nodes that lost all edges
and renumbers the others in Python, and PyG's ``GINConv`` gathers and scatters. One thing is mended:
the released code deep-copies graphs that are slices of the whole data set, which copies the whole
data set's storage for every graph (17 times the epoch on NCI1). That is a slip and no yardstick;
here the copy is PyG's ``clone`` of the graph alone.

Reference: You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020, released code
``unsupervised_TU``, https://github.com/Shen-Lab/GraphCL
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, global_add_pool

Ints = NDArray[np.int64]


def with_self_loops(graph: Data) -> Data:
    """Return the graph with a loop on every node but the last, as published."""
    last = int(graph.edge_index.max()) if graph.edge_index.numel() else 0
    loops = torch.tensor([[i, i] for i in range(last)], dtype=torch.long).reshape(-1, 2)
    return Data(x=graph.x, edge_index=torch.cat([graph.edge_index, loops.t()], dim=1))


def drop_nodes(adjacency: NDArray[np.float64], draw: np.random.Generator) -> None:
    """Cut a tenth of the nodes off."""
    n = len(adjacency)
    gone = draw.choice(n, n // 10, replace=False)
    adjacency[gone, :] = 0
    adjacency[:, gone] = 0


def star(adjacency: NDArray[np.float64], edges: Ints, draw: np.random.Generator) -> None:
    """Keep one node and up to a fifth as many nodes as the graph has, out of its neighbours."""
    n = len(adjacency)
    kept = [int(draw.integers(n))]
    around = set(edges[1][edges[0] == kept[0]].tolist())
    while len(kept) <= n // 5 and around:
        node = int(draw.choice(list(around)))
        around.discard(node)
        if node not in kept:
            kept.append(node)
    gone = [i for i in range(n) if i not in kept]
    adjacency[gone, :] = 0
    adjacency[:, gone] = 0


def augmented(graph: Data, draw: np.random.Generator) -> Data:
    """Return a copy with nodes dropped or a subgraph taken, one or the other at random."""
    edges = graph.edge_index.numpy()
    adjacency = np.zeros((graph.num_nodes, graph.num_nodes))
    adjacency[edges[0], edges[1]] = 1
    if draw.integers(2) == 0:
        drop_nodes(adjacency, draw)
    else:
        star(adjacency, edges, draw)
    out = graph.clone()
    out.edge_index = torch.from_numpy(np.stack(adjacency.nonzero()))  # [2, E]
    return out


class Pairs(Dataset[tuple[Data, Data]]):
    """Graphs with an augmented copy each, cut out of one set of tensors when asked for."""

    def __init__(self, graphs: list[Data], seed: int = 0) -> None:
        self.x = torch.cat([graph.x for graph in graphs])  # [N, F]
        self.edge_index = torch.cat([graph.edge_index for graph in graphs], dim=1)  # [2, E]
        self.nodes = torch.tensor([0, *(graph.num_nodes for graph in graphs)]).cumsum(0)
        self.edges = torch.tensor([0, *(graph.num_edges for graph in graphs)]).cumsum(0)
        self.draw = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self.nodes) - 1

    def __getitem__(self, i: int) -> tuple[Data, Data]:
        x = self.x[self.nodes[i] : self.nodes[i + 1]]
        edge_index = self.edge_index[:, self.edges[i] : self.edges[i + 1]]
        graph = with_self_loops(Data(x=x, edge_index=edge_index))
        return graph, augmented(graph, self.draw)


def without_lost_nodes(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, edges and graphs of the nodes that still have an edge, in Python."""
    edges = batch.edge_index.numpy()
    kept = [i for i in range(batch.num_nodes) if i in edges[0] or i in edges[1]]
    place = {node: i for i, node in enumerate(kept)}
    renumbered = [
        [place[edges[0, e]], place[edges[1, e]]]
        for e in range(edges.shape[1])
        if edges[0, e] != edges[1, e]
    ]
    edge_index = torch.tensor(renumbered, dtype=torch.long).reshape(-1, 2).t()  # [2, E]
    return batch.x[kept], edge_index, batch.batch[kept]


class Model(nn.Module):
    """GIN of three layers of 32, sums of every layer side by side, and a projection head."""

    def __init__(self, width: int, hidden: int = 32, layers: int = 3) -> None:
        super().__init__()
        widths = [width] + [hidden] * (layers - 1)
        self.convs = nn.ModuleList(GINConv(self._mlp(w, hidden, hidden)) for w in widths)
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in widths)
        self.head = self._mlp(layers * hidden, layers * hidden, layers * hidden)

    @staticmethod
    def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, out))

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, size: int) -> Tensor:
        levels = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = norm(torch.relu(conv(x, edge_index)))
            levels.append(global_add_pool(x, batch, size))
        z: Tensor = self.head(torch.cat(levels, dim=1))
        return z


def loss_of(z: Tensor, z_aug: Tensor, temperature: float = 0.2) -> Tensor:
    """Return the released loss: cosines, the positive left out of the denominator."""
    norms = z.norm(dim=1)[:, None] * z_aug.norm(dim=1)[None, :]
    s = torch.exp(z @ z_aug.t() / norms.clamp(min=1e-12) / temperature)  # [B, B]
    positive = s.diagonal()
    return -torch.log(positive / (s.sum(dim=1) - positive)).mean()


class Yardstick:
    """The published training loop; ``steps()`` yields after every batch."""

    def __init__(self, graphs: list[Data], batch_size: int = 128, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.loader = DataLoader(Pairs(graphs, seed), batch_size=batch_size)
        self.model = Model(graphs[0].x.size(1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def steps(self) -> Iterator[float]:
        """Train one epoch, yielding the loss of each batch."""
        self.model.train()
        for batch, batch_aug in self.loader:
            self.optimizer.zero_grad()
            size = batch.num_graphs
            z = self.model(batch.x, batch.edge_index, batch.batch, size)
            z_aug = self.model(*without_lost_nodes(batch_aug), size)
            loss = loss_of(z, z_aug)
            torch.autograd.backward(loss)
            self.optimizer.step()
            yield loss.item()
