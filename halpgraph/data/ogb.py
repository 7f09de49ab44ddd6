"""Open Graph Benchmark graph-property sets, through the package ``ogb``, with official splits.

Only ogb's reader of raw files is used, not its data set classes: those write into the folder they
read, ask questions on the terminal, and with torch >= 2.6 cannot read back what they wrote.

Reference: Hu et al., NeurIPS 2020, https://arxiv.org/abs/2005.00687
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data._files import DAMAGED
from halpgraph.data._text import integers
from halpgraph.data.tables import (
    Column,
    Floats,
    Ints,
    Tables,
    check_finite,
    check_nodes,
    few,
    pointers,
    tidy_edges,
    tidy_labels,
    tidy_targets,
)
from halpgraph.errors import RunError, UserError, did_you_mean

Splits = dict[str, Ints]


def read_ogb(folder: Path, name: str) -> tuple[Tables, Splits, str]:
    """Read a data set in OGB's layout: its tables, its official splits, the name of its metric.

    Args:
        folder: holds ``raw/`` and ``split/``; it is only read.
        name: the official name, such as ``ogbg-molhiv``.

    Raises:
        UserError: unknown name, a kind of task that is not supported, missing or damaged files.
    """
    facts = ogb_facts(name)
    if facts["task type"] == "subtoken prediction":
        raise UserError(f"data.name: {name}: predicts words, which is not supported")
    graphs, raw_y = _read_raw(folder, facts)
    tables = _tables(graphs, raw_y, name, facts)
    splits = _splits(folder / "split" / facts["split"], tables.num_graphs)
    return tables, splits, facts["eval metric"]


def ogb_facts(name: str) -> Mapping[str, str]:
    """Return what ogb's own table says of a data set, without importing ogb."""
    spec = importlib.util.find_spec("ogb")
    if spec is None or not spec.submodule_search_locations:
        raise RunError("the package ogb is missing; install halpgraph again")
    path = Path(spec.submodule_search_locations[0]) / "graphproppred" / "master.csv"
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
    known = {column: {row[0]: row[i] for row in rows} for i, column in enumerate(header) if i}
    if name not in known:
        raise UserError(f"data.name: {name}: unknown OGB set{did_you_mean(name, known)}")
    return known[name]


def _read_raw(folder: Path, facts: Mapping[str, str]) -> tuple[list[dict[str, Any]], Any]:
    raw = folder / "raw"
    for file in ("edge", "num-node-list", "num-edge-list", "graph-label"):
        if not (raw / f"{file}.csv.gz").is_file():
            raise UserError(f"{folder}: raw/{file}.csv.gz is missing; not in OGB's layout")
    import pandas  # type: ignore[import-untyped]
    from ogb.io.read_graph_raw import read_csv_graph_raw

    both_ways = facts["add_inverse_edge"] == "True"
    silent = io.StringIO()
    try:
        with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
            graphs = read_csv_graph_raw(str(raw), add_inverse_edge=both_ways)
        y = pandas.read_csv(raw / "graph-label.csv.gz", header=None).values
    except (OSError, *DAMAGED) as error:
        raise UserError(f"{raw}: damaged or not in OGB's layout ({error})") from None
    counts = _numbers(raw / "num-edge-list.csv.gz") * (2 if both_ways else 1)
    if len(y) != len(graphs) or len(counts) != len(graphs):
        raise UserError(
            f"{raw}: {len(graphs)} graphs, but {len(y)} lines of labels and {len(counts)} counts "
            "of edges"
        )
    wrong = np.flatnonzero(np.array([g["edge_index"].shape[1] for g in graphs]) != counts)
    if wrong.size:
        raise UserError(f"{raw}: edge.csv.gz is cut short, graphs {few(wrong)} lack edges")
    return graphs, y


def _numbers(path: Path) -> Ints:
    """Read a packed file of one whole number a line. Shapes: [lines]."""
    try:
        text = gzip.decompress(path.read_bytes())
    except (OSError, *DAMAGED) as error:
        raise UserError(f"{path}: missing or damaged ({error})") from None
    return integers(text, str(path), 1)[:, 0]


def _tables(
    graphs: Sequence[Mapping[str, Any]], y: NDArray[Any], name: str, facts: Mapping[str, str]
) -> Tables:
    counts = np.array([graph["num_nodes"] for graph in graphs], dtype=np.int64)
    check_nodes(name, counts)
    ptr = pointers(counts)
    labels, columns, attributes = _columns(graphs, counts, name, facts)
    check_finite(name, attributes, ptr)
    edges = [graph["edge_index"] for graph in graphs]
    for i, edge in enumerate(edges):
        if edge.size and (edge.min() < 0 or edge.max() >= counts[i]):
            raise UserError(f"{name}: graph {i}: an edge leads to a node that is not there")
    starts = np.repeat(ptr[:-1], [edge.shape[1] for edge in edges])
    edge_index, rowptr, notes = tidy_edges(np.concatenate(edges, axis=1) + starts, int(ptr[-1]))
    targets, classes = tidy_targets(y, name)
    return Tables(
        name,
        ptr,
        edge_index,
        rowptr,
        labels,
        columns,
        attributes,
        targets,
        classes,
        labels_are="atom features" if facts["data type"] == "mol" else "node labels",
        notes=notes,
    )


def _columns(
    graphs: Sequence[Mapping[str, Any]], counts: Ints, name: str, facts: Mapping[str, str]
) -> tuple[Ints, tuple[Column, ...], Floats]:
    """Return labels, what their columns hold, and dense columns. Shapes: [N, K], K, [N, A]."""
    nodes = int(counts.sum())
    labels, dense = np.empty((nodes, 0), np.int64), np.empty((nodes, 0), np.float32)
    rows = [graph["node_feat"] for graph in graphs]
    if rows[0] is None:
        return labels, (), dense
    wrong = np.flatnonzero(np.array([len(row) for row in rows]) != counts)
    if wrong.size:
        raise UserError(f"{name}: graphs {few(wrong)}: node-feat.csv.gz is cut short")
    table = np.concatenate(rows)  # [N, K or A]
    if table.dtype.kind == "f":
        return labels, (), table.astype(np.float32)
    if facts["data type"] != "mol":
        return *tidy_labels(table), dense
    from ogb.utils.features import get_atom_feature_dims

    sizes = tuple(get_atom_feature_dims())
    if table.shape[1] != len(sizes) or (table < 0).any() or (table >= np.array(sizes)).any():
        raise UserError(f"{name}: node-feat.csv.gz does not hold ogb's {len(sizes)} atom features")
    return table, tuple(Column(0, size) for size in sizes), dense


def _splits(folder: Path, graphs: int) -> Splits:
    """Read the official splits and check that no graph is in two of them."""
    splits = {part: _numbers(folder / f"{part}.csv.gz") for part in ("train", "valid", "test")}
    every = np.concatenate(list(splits.values()))
    if every.size and (every.min() < 0 or every.max() >= graphs):
        raise UserError(f"{folder}: splits speak of graph {every.max()}, of {graphs} (from 0)")
    if np.unique(every).size < every.size:
        raise UserError(f"{folder}: a graph is in two splits")
    return splits
