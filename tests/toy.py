"""Batches of small random graphs, and a check that a batch is laid out as ``batch.py`` says."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.batch import make_batch
from halpgraph.layout import Layout, make_layout
from halpgraph.pose import make_pose_batch

NUM_CODES = 5


def pack(graphs: list[tuple[int, set[tuple[int, int]]]], features: int = 3) -> Batch:
    """Make a batch of (number of nodes, undirected edges); dense features number the nodes."""
    pairs, ptr = [], [0]
    for nodes, edges in graphs:
        low = ptr[-1]
        pairs += [(low + u, low + v) for u, v in edges] + [(low + v, low + u) for u, v in edges]
        ptr.append(low + nodes)
    edge_index = torch.tensor(sorted(pairs), dtype=torch.long).reshape(-1, 2).t().contiguous()
    rowptr = torch.zeros(ptr[-1] + 1, dtype=torch.long)
    rowptr[1:] = torch.bincount(edge_index[0], minlength=ptr[-1]).cumsum(0)
    number = torch.arange(1, ptr[-1] + 1, dtype=torch.float32)
    return make_batch(
        x=number[:, None].repeat(1, features),
        codes=torch.arange(ptr[-1])[:, None] % NUM_CODES,
        num_codes=NUM_CODES,
        edge_index=edge_index,
        rowptr=rowptr,
        ptr=torch.tensor(ptr),
        y=torch.arange(len(graphs)) % 2,
        id=torch.arange(len(graphs)) + 100,
    )


def random_graph(rng: np.random.Generator, largest: int = 16) -> tuple[int, set[tuple[int, int]]]:
    """Draw a graph: a single node, no edges, complete, a path, a star, or random of any density."""
    nodes = int(rng.integers(1, largest + 1))
    every = list(itertools.combinations(range(nodes), 2))
    kind = rng.integers(0, 8)
    if kind == 0:
        return 1, set()
    if kind == 1:
        return nodes, set()
    if kind == 2:
        return nodes, set(every)
    if kind == 3:
        return nodes, {(i, i + 1) for i in range(nodes - 1)}
    if kind == 4:
        return nodes, {(0, i) for i in range(1, nodes)}
    density = rng.random() ** 2
    return nodes, {pair for pair in every if rng.random() < density}


def toy_batch(seed: int = 0, graphs: int = 12, largest: int = 16, features: int = 3) -> Batch:
    """Make a batch of random small graphs of all kinds (see ``random_graph``)."""
    rng = np.random.default_rng(seed)
    return pack([random_graph(rng, largest) for _ in range(graphs)], features)


def check_batch(batch: Batch) -> None:
    """Fail where a batch breaks the layout of ``batch.py``, or holds a graph without nodes."""
    nodes, edges = batch.x.size(0), batch.edge_index.size(1)
    source, target = batch.edge_index
    assert batch.ptr[0] == 0
    assert batch.ptr[-1] == nodes
    assert bool((batch.ptr.diff() > 0).all()), "a graph without nodes"
    assert batch.num_graphs == batch.ptr.numel() - 1
    graphs = torch.arange(batch.num_graphs)
    assert torch.equal(batch.batch, torch.repeat_interleave(graphs, batch.ptr.diff()))
    assert batch.codes.shape[0] == nodes
    assert bool(((batch.codes >= 0) & (batch.codes <= batch.num_codes)).all())
    assert torch.equal(batch.rowptr.diff(), torch.bincount(source, minlength=nodes))
    assert batch.rowptr[0] == 0
    assert batch.rowptr[-1] == edges
    assert not bool((source == target).any()), "a self-loop"
    assert torch.equal(batch.batch[source], batch.batch[target]), "an edge across graphs"
    key = source * nodes + target
    assert bool((key.diff() > 0).all()), "edges unsorted or doubled"
    assert torch.equal((target * nodes + source).sort().values, key), "not symmetric"
    for name in ("x", "codes", "edge_index", "rowptr", "ptr", "batch"):
        assert batch[name].is_contiguous()
        wanted = torch.float32 if name == "x" else torch.int64
        assert batch[name].dtype == wanted, name


def undirected(batch: Batch, graph: int) -> set[tuple[int, int]]:
    """Return the edges of one graph, numbered within it, lower node first."""
    low, high = int(batch.ptr[graph]), int(batch.ptr[graph + 1])
    pairs = (batch.edge_index[:, batch.rowptr[low] : batch.rowptr[high]] - low).t().tolist()
    return {(u, v) for u, v in pairs if u < v}


def component_labels(batch: Batch) -> Tensor:
    """Return the connected component of each node."""
    nodes, edges = batch.x.size(0), batch.edge_index.numpy()
    matrix = csr_matrix((np.ones(edges.shape[1]), (edges[0], edges[1])), shape=(nodes, nodes))
    return torch.from_numpy(connected_components(matrix, directed=False)[1]).long()


def contents(batch: Batch) -> dict[str, Tensor]:
    """Return copies of every tensor of a batch."""
    names = ("x", "codes", "edge_index", "rowptr", "ptr", "batch", "y", "id")
    return {name: batch[name].clone() for name in names}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    """Tell whether two batches hold the same tensors."""
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def origin(before: Batch, after: Batch) -> Tensor:
    """Return which node of ``before`` each node of ``after`` is, told by their dense features."""
    assert bool((before.x[:, 0] == torch.arange(1, before.x.size(0) + 1)).all())
    return after.x[:, 0].long() - 1


def toy_layout(*channels: str, up: str = "y") -> Layout:
    """Return a layout of seven joints, by default of three coordinates."""
    joints = {"spine": None, "neck": "spine", "head": "neck"}
    joints |= {"left_hand": "neck", "right_hand": "neck", "left_foot": "spine"}
    joints |= {"right_foot": "spine"}
    content = {"joints": joints, "channels": list(channels or ("x", "y", "z")), "up": up}
    return make_layout("toy", content)


def toy_poses(seed: int = 0, clips: int = 12, frames: int = 16, layout: Any = None) -> Batch:
    """Make a batch of random poses: clips of one or two bodies, some joints and frames absent.

    The head of the first body is never seen, the last body is absent from its first three frames;
    every second clip has two bodies.
    """
    layout = layout or toy_layout()
    random = torch.Generator().manual_seed(seed)
    counts = 1 + torch.arange(clips) % 2
    body_ptr = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    shape = (int(body_ptr[-1]), frames, len(layout.channels), layout.num_joints)
    pose = torch.randn(shape, generator=random)
    if layout.score:
        pose[:, :, -1] = torch.rand(shape[0], frames, shape[3], generator=random) + 0.1
    pose[0, :, :, 2] = 0
    pose[-1, :3] = 0
    person = torch.arange(shape[0]) - body_ptr[:-1].repeat_interleave(counts)
    return make_pose_batch(
        pose,
        person,
        body_ptr,
        layout,
        y=torch.arange(clips) % 2,
        id=torch.arange(clips) + 100,
        num_frames=torch.full((clips,), frames),
    )
