"""A user's own graphs: any list of PyG ``Data``, or a PyG data set, as flat tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from halpgraph.data.features import Schema
from halpgraph.data.tables import (
    Column,
    Floats,
    Ints,
    Tables,
    Targets,
    check_finite,
    check_nodes,
    few,
    pointers,
    tidy_edges,
    tidy_labels,
    tidy_targets,
)
from halpgraph.errors import UserError


def read_list(
    graphs: Sequence[Data],
    name: str = "custom",
    schema: Schema | None = None,
    dense_x: bool = False,
) -> Tables:
    """Flatten a list of graphs.

    Args:
        graphs: the graphs.
        name: what to call them.
        schema: how earlier graphs were read, so that these are read alike.
        dense_x: take ``x`` for real-valued attributes, whatever its values.

    Whole-number ``x`` counts as categorical columns; real-valued ``x`` whose rows are all one-hot
    is stored as labels too, which changes nothing but the memory it takes.

    Raises:
        UserError: no graphs, graphs without nodes, edges to nowhere, or features or labels that
            differ from graph to graph.
    """
    items = [graphs[i] for i in range(len(graphs))]
    wrong = [i for i, item in enumerate(items) if not isinstance(item, Data)]
    if wrong:
        kind = type(items[wrong[0]]).__name__
        raise UserError(f"{name}: item {wrong[0]} is a {kind}, not a torch_geometric Data")
    counts = np.array([int(item.num_nodes or 0) for item in items], dtype=np.int64)
    check_nodes(name, counts)
    ptr = pointers(counts)
    x = _features(items, counts, name)
    x_is, labels, columns, attributes = _split_x(x, int(ptr[-1]), schema, dense_x, name)
    check_finite(name, attributes, ptr)
    edge_index, rowptr, notes = tidy_edges(_edges(items, ptr, name), int(ptr[-1]))
    y, classes = _targets(items, name)
    if y is None:
        notes.append("no labels: nothing can be evaluated, only embedded")
    return Tables(
        name,
        ptr,
        edge_index,
        rowptr,
        labels,
        columns,
        attributes,
        y,
        classes,
        x_is=x_is,
        notes=notes,
    )


def _features(items: Sequence[Data], counts: Ints, name: str) -> Tensor | None:
    """Return all rows of x, or None where no graph has any. Shapes: [N, F]."""
    without = [i for i, item in enumerate(items) if item.x is None]
    if len(without) == len(items):
        return None
    if without:
        raise UserError(f"{name}: graphs {few(without)} have no x, others have; give all or none")
    rows = [item.x.detach().cpu() for item in items]
    rows = [x.unsqueeze(1) if x.dim() == 1 else x for x in rows]  # [N, F]
    widths = {tuple(x.shape[1:]) for x in rows}
    if len(widths) > 1 or len(next(iter(widths))) != 1:
        raise UserError(f"{name}: x must be [nodes, F] with one F for all graphs (got {widths})")
    wrong = [i for i, x in enumerate(rows) if len(x) != counts[i]]
    if wrong:
        raise UserError(f"{name}: graphs {few(wrong)}: x has not one row a node")
    return torch.cat(rows)


def _split_x(
    x: Tensor | None, nodes: int, schema: Schema | None, dense_x: bool, name: str
) -> tuple[str, Ints, tuple[Column, ...], Floats]:
    """Return what x is, its labels, what they hold, and its dense columns. Shapes: x [N, F]."""
    kind = _kind(x)
    wanted = schema.x_is if schema else kind
    if kind != "none" and (wanted == "dense" or (schema is None and dense_x)):
        kind = wanted = "dense"
    if kind != wanted:
        raise UserError(f"{name}: x is {kind}, but was {wanted} in the graphs learnt from")
    labels, dense = np.empty((nodes, 0), np.int64), np.empty((nodes, 0), np.float32)
    if x is None or kind == "none":
        return kind, labels, (), dense
    columns = schema.columns if schema else ()
    width = schema.x_width if schema else x.size(1)
    if x.size(1) != width:
        raise UserError(f"{name}: x has {x.size(1)} columns, the graphs learnt from had {width}")
    if kind == "dense":
        return kind, labels, (), x.float().numpy()
    if kind == "one-hot":
        return kind, x.argmax(1, keepdim=True).numpy(), (Column(0, x.size(1)),), dense
    return kind, *tidy_labels(x.long().numpy(), columns), dense


def _kind(x: Tensor | None) -> str:
    if x is None or x.size(1) == 0:
        return "none"
    if not x.is_floating_point():
        return "categories"
    one_hot = x.size(1) > 1 and ((x == 0) | (x == 1)).all() and (x.sum(1) == 1).all()
    return "one-hot" if one_hot else "dense"


def _edges(items: Sequence[Data], ptr: Ints, name: str) -> Ints:
    """Return all edges numbered through. Shapes: [2, R]."""
    parts = [np.empty((2, 0), np.int64)]
    for i, item in enumerate(items):
        if item.edge_index is None:
            continue
        edges = item.edge_index.detach().cpu().long().numpy()
        if edges.ndim != 2 or len(edges) != 2:
            raise UserError(f"{name}: graph {i}: edge_index must be [2, E], not {edges.shape}")
        if edges.size and (edges.min() < 0 or edges.max() >= ptr[i + 1] - ptr[i]):
            raise UserError(
                f"{name}: graph {i}: edge_index speaks of node {edges.max()} (lowest "
                f"{edges.min()}), but its nodes are 0 to {ptr[i + 1] - ptr[i] - 1}"
            )
        parts.append(edges + ptr[i])
    return np.concatenate(parts, axis=1)


def _targets(items: Sequence[Data], name: str) -> tuple[Targets | None, tuple[str, ...]]:
    without = [i for i, item in enumerate(items) if item.y is None]
    if len(without) == len(items):
        return None, ()
    if without:
        raise UserError(f"{name}: graphs {few(without)} have no y, others have; give all or none")
    rows = [torch.as_tensor(item.y).detach().cpu().reshape(-1) for item in items]
    if len({row.numel() for row in rows}) > 1:
        raise UserError(f"{name}: y must have one length for all graphs: labels of graphs")
    return tidy_targets(torch.stack(rows).numpy(), name)
