"""The TU text layout: ``NAME_A.txt`` and its companions, read from a zip or a folder in place.

Reference: Morris et al., GRL+ 2020, https://arxiv.org/abs/2007.08663 (the layout is described in
the README.txt of every archive).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halpgraph.data._files import Files
from halpgraph.data._text import decimals, integers
from halpgraph.data.tables import (
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


def read_tu(path: Path | Files, name: str) -> Tables:
    """Read a data set in TU layout.

    Args:
        path: a zip archive, or the folder that holds the text files.
        name: the data set's name, which its files start with.

    Raises:
        UserError: a file is missing, damaged, or contradicts another.
    """
    files = path if isinstance(path, Files) else Files(path)
    return _Reader(files, name).tables()


class _Reader:
    def __init__(self, files: Files, name: str) -> None:
        self.files, self.name = files, name

    def tables(self) -> Tables:
        graph = self._integers("graph_indicator", 1)[:, 0] - 1  # [N]
        y, classes = self._targets()
        counts = self._counts(graph, None if y is None else len(y))
        edges = self._integers("A", 2)  # [R, 2]
        labels = self._optional("node_labels", graph.size)
        attributes = self._attributes(graph.size)
        edges = self._check_edges(edges, graph)
        if (np.diff(graph) < 0).any():
            order = np.argsort(graph, kind="stable")
            place = np.argsort(order, kind="stable")
            edges, labels, attributes = place[edges], labels[order], attributes[order]
        ptr = pointers(counts)
        check_finite(self.name, attributes, ptr)
        edge_index, rowptr, notes = tidy_edges(edges.T, graph.size)
        labels, columns = tidy_labels(labels)
        edge_labels = self._edge_labels(len(edges))
        if edge_labels:
            notes.append(f"edge labels ({edge_labels}) are there and not used")
        return Tables(
            self.name,
            ptr,
            edge_index,
            rowptr,
            labels,
            columns,
            attributes,
            y,
            classes,
            edge_labels,
            notes=notes,
        )

    def _file(self, part: str) -> str:
        return f"{self.name}_{part}.txt"

    def _integers(self, part: str, columns: int | None = None) -> Ints:
        name = self._file(part)
        return integers(self.files.read(name), self.files.where(name), columns)

    def _optional(self, part: str, rows: int) -> Ints:
        if self._file(part) not in self.files:
            return np.empty((rows, 0), np.int64)
        table = self._integers(part)
        self._check_rows(part, len(table), rows, "graph_indicator")
        return table

    def _check_rows(self, part: str, found: int, expected: int, other: str) -> None:
        if found != expected:
            raise UserError(
                f"{self.files.where(self._file(part))}: {found} lines, but {expected} in "
                f"{self._file(other)}; the data are cut short or mixed up"
            )

    def _attributes(self, nodes: int) -> Floats:
        part = "node_attributes"
        if self._file(part) not in self.files:
            return np.empty((nodes, 0), np.float32)
        name = self._file(part)
        table = decimals(self.files.read(name), self.files.where(name))
        self._check_rows(part, len(table), nodes, "graph_indicator")
        return table.astype(np.float32)

    def _targets(self) -> tuple[Targets | None, tuple[str, ...]]:
        for part in ("graph_attributes", "graph_labels"):
            name = self._file(part)
            if name in self.files:
                table = decimals(self.files.read(name), self.files.where(name))
                return tidy_targets(table, self.name)
        return None, ()

    def _counts(self, graph: Ints, graphs: int | None) -> Ints:
        """Return the nodes of each graph. Shapes: graph [N] -> [n]."""
        where = self.files.where(self._file("graph_indicator"))
        if graph.size and graph.min() < 0:
            raise UserError(f"{where}, line {graph.argmin() + 1}: graphs are counted from 1")
        last = int(graph.max()) + 1 if graph.size else 0
        if graphs is not None and last > graphs:
            raise UserError(f"{where}: speaks of graph {last}, but only {graphs} have a label")
        if graphs is None and last > 10 * graph.size + 10:
            raise UserError(f"{where}: speaks of graph {last}, but has {graph.size} nodes")
        counts = np.bincount(graph, minlength=graphs or last).astype(np.int64)
        check_nodes(self.name, counts)
        return counts

    def _check_edges(self, edges: Ints, graph: Ints) -> Ints:
        """Return edges counted from 0. Shapes: [R, 2] -> [R, 2]."""
        where = self.files.where(self._file("A"))
        edges = edges - 1
        wrong = np.flatnonzero(((edges < 0) | (edges >= graph.size)).any(axis=1))
        if wrong.size:
            raise UserError(
                f"{where}, rows {few(wrong + 1)}: node numbers must be 1 to {graph.size} "
                f"(found {few(edges[wrong[0]] + 1)})"
            )
        wrong = np.flatnonzero(graph[edges[:, 0]] != graph[edges[:, 1]])
        if wrong.size:
            raise UserError(f"{where}, rows {few(wrong + 1)}: edges between two graphs")
        return edges

    def _edge_labels(self, edges: int) -> int:
        part = "edge_labels"
        if self._file(part) not in self.files:
            return 0
        table = self._integers(part)
        self._check_rows(part, len(table), edges, "A")
        return sum(len(np.unique(column)) for column in table.T)
