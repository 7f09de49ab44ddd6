"""What a batch is: its names, its shapes, and the letters of every shape comment in this package.

========  ====================================  ========  ===============================
B         graphs in a batch                     M         persons of a skeleton sample
N         nodes of a batch                      V         joints of a person
E         directed edges of a batch             T         frames
F         features of a node                    C         channels of a joint
K         categorical codes of a node           D         width of an embedding
P         prototypes                            G         positives made for one key
========  ====================================  ========  ===============================

A batch is a PyG ``Batch`` that always carries

* ``edge_index [2, E]`` (int64), **both directions of every edge, sorted by source then target**,
  without self-loops or duplicates, and ``rowptr [N + 1]``, the edges of node i being
  ``rowptr[i]:rowptr[i + 1]``;
* ``ptr [B + 1]`` and ``batch [N]``: the nodes of graph b are ``ptr[b]:ptr[b + 1]``;
* ``x [N, F]`` (float32; F may be 0): dense node features;
* ``codes [N, K]`` (int64; K may be 0): categorical features as positions in one common one-hot
  vector of ``num_codes`` entries. The position ``num_codes`` means "blank": a row of zeros;
* ``y [B]`` where there are labels, and ``id [B]``, the position of each graph in its data set;
* ``drawn [B]`` where the view ``choice`` made it: which of its views each graph drew.

A method may show an encoder a batch with ``edge_weight [E]``, both directions of an edge alike.

A batch of skeleton clips also carries ``pose``, ``person``, ``body_ptr``, ``num_frames`` and
``layout``: see ``pose.py``.

The full feature matrix ``[one-hot(codes) | x]`` has ``num_codes + F`` columns; encoders may look
the codes up instead of multiplying by ones and zeros. ``node_features`` writes it out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch

_GRAPH_LEVEL = ("y", "id", "num_frames", "drawn")
_EMPTY = Batch()  # to be copied: calling ``Batch`` inspects signatures every time


def make_batch(
    *,
    x: Tensor,
    codes: Tensor,
    num_codes: int,
    edge_index: Tensor,
    rowptr: Tensor,
    ptr: Tensor,
    batch: Tensor | None = None,
    **graph_level: Tensor,
) -> Batch:
    """Put the tensors of several graphs together as one batch (nothing is copied or checked).

    Args:
        x: dense features.
        codes: categorical features, see the module's text.
        num_codes: width of the one-hot part; also the code that means "blank".
        edge_index: sorted edges in both directions, numbered within the batch.
        rowptr: start of each node's edges.
        ptr: start of each graph's nodes.
        batch: graph of each node; made from ``ptr`` where it is left out.
        graph_level: ``y``, ``id``: one row a graph.

    Shapes: x [N, F], codes [N, K], edge_index [2, E], rowptr [N + 1], ptr [B + 1], batch [N].
    """
    if batch is None:
        batch = graph_of_node(ptr, x.size(0))
    out: Batch = copy.copy(_EMPTY)
    held: dict[str, Any] = {"x": x, "edge_index": edge_index, "batch": batch, "ptr": ptr}
    held |= {"codes": codes, "rowptr": rowptr, "num_codes": num_codes, **graph_level}
    out._store._mapping = held  # past ``Batch``'s own look-ups, which cost more than the slices
    out._store._num_graphs = ptr.numel() - 1
    return out


def graph_of_node(ptr: Tensor, num_nodes: int) -> Tensor:
    """Return the graph of each node. Shapes: ptr [B + 1] -> [N]."""
    return torch.repeat_interleave(ptr.diff(), output_size=num_nodes)


def slice_batch(batch: Batch, start: int, stop: int) -> Batch:
    """Return graphs ``start:stop`` of a batch as a batch of their own; features are not copied."""
    return split_batch(batch, [start, stop])[0]


def split_batch(batch: Batch, cuts: Sequence[int]) -> list[Batch]:
    """Cut a batch into batches of graphs ``cuts[0]:cuts[1]``, ``cuts[1]:cuts[2]``, and so on."""
    at = batch.ptr.index_select(0, torch.as_tensor(cuts, device=batch.ptr.device))
    nodes, edges = torch.stack([at, batch.rowptr.index_select(0, at)]).tolist()
    held = batch.to_dict()  # its own look-ups take as long as a slice
    return [
        _piece(batch, held, cuts[i : i + 2], nodes[i : i + 2], edges[i : i + 2])
        for i in range(len(cuts) - 1)
    ]


def _piece(
    batch: Batch,
    held: Mapping[str, Any],
    graphs: Sequence[int],
    nodes: Sequence[int],
    edges: Sequence[int],
) -> Batch:
    (start, stop), (low, high), (first, last) = graphs, nodes, edges
    out = make_batch(
        x=held["x"][low:high],
        codes=held["codes"][low:high],
        num_codes=held["num_codes"],
        edge_index=held["edge_index"][:, first:last] - low,
        rowptr=held["rowptr"][low : high + 1] - first,
        ptr=held["ptr"][start : stop + 1] - low,
        batch=held["batch"][low:high] - start,
        **{k: held[k][start:stop] for k in _GRAPH_LEVEL if k in held},
    )
    if "pose" in held:
        joints = batch.layout.num_joints
        bodies = slice(low // joints, high // joints)
        new = out._store
        new["pose"], new["person"] = held["pose"][bodies], held["person"][bodies]
        new["body_ptr"] = held["body_ptr"][start : stop + 1] - bodies.start
        new["layout"] = held["layout"]
        out._single = getattr(batch, "_single", False)
    return out


def join(batches: Sequence[Batch]) -> Batch:
    """Put batches with the same kinds of features one after another, without ``y`` and ``id``."""
    rows: list[tuple[Tensor, ...]] = []
    nodes = edges = graphs = 0
    for b in batches:
        row = (b.x, b.codes, b.edge_index, b.rowptr, b.ptr, b.batch)
        x, codes, edge_index, rowptr, ptr, batch = row
        if rows:
            moved = (rowptr[1:] + edges, ptr[1:] + nodes, batch + graphs)
            row = (x, codes, edge_index + nodes, *moved)
        rows.append(row)
        nodes += batch.numel()
        edges += edge_index.size(1)
        graphs += ptr.numel() - 1
    names = ("x", "codes", "edge_index", "rowptr", "ptr", "batch")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    joined = {name: torch.cat(parts, int(name == "edge_index")) for name, parts in columns}
    return make_batch(num_codes=batches[0].num_codes, **joined)


def node_features(batch: Batch) -> Tensor:
    """Return the features written out, ``[one-hot(codes) | x]``; of skeletons, their poses.

    Shapes: [N, num_codes + F]; of skeletons [N, T * C].
    """
    if "pose" in batch._store:
        pose: Tensor = batch.pose
        return pose.permute(0, 3, 1, 2).reshape(batch.person.numel() * pose.size(3), -1)
    if batch.codes.size(1) == 0:
        dense: Tensor = batch.x
        return dense
    hot: Tensor = batch.x.new_zeros(batch.codes.size(0), batch.num_codes + 1)  # [N, num_codes + 1]
    hot.scatter_add_(1, batch.codes, torch.ones_like(batch.codes, dtype=hot.dtype))
    return torch.cat([hot[:, :-1], batch.x], dim=1)  # [N, num_codes + F]


def written_out(batch: Batch) -> Batch:
    """Return the batch with its features written out as ``x``; all else is shared."""
    out = copy.copy(batch)
    out.x, out.codes, out.num_codes = node_features(batch), batch.codes[:, :0], 0
    return out
