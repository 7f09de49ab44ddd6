"""What every source yields: whole data sets as flat NumPy tables, cleaned and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halpgraph.errors import UserError

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Targets = NDArray[np.generic]


@dataclass
class Tables:
    """A data set before its node features are chosen. Letters are those of ``batch.py``.

    ``edge_index`` holds both directions, sorted, without self-loops or duplicates. ``labels``
    are categorical, counted from 0 (-1: unknown), ``columns`` what each of them holds; ``x_is``
    says how a list's ``x`` was understood (``none``, ``categories``, ``one-hot``, ``dense``).
    ``y`` holds class numbers (int64) or, where ``classes`` is empty, targets (float32).

    Shapes: ptr [n + 1], edge_index [2, E], rowptr [N + 1], labels [N, K], attributes [N, A],
    y [n] or [n, tasks].
    """

    name: str
    ptr: Ints
    edge_index: Ints
    rowptr: Ints
    labels: Ints
    columns: tuple[Column, ...]
    attributes: Floats
    y: Targets | None = None
    classes: tuple[str, ...] = ()
    edge_labels: int = 0
    labels_are: str = "node labels"
    x_is: str = "none"
    notes: list[str] = field(default_factory=list)

    @property
    def num_graphs(self) -> int:
        """Return n."""
        return self.ptr.size - 1

    @property
    def num_nodes(self) -> int:
        """Return N."""
        return int(self.ptr[-1])

    def class_counts(self) -> list[int]:
        """Return the number of graphs of each class; empty where there are none."""
        if self.y is None or not self.classes:
            return []
        counts: list[int] = np.bincount(
            self.y.astype(np.int64), minlength=len(self.classes)
        ).tolist()
        return counts


def few(values: Sequence[object] | NDArray[np.generic], most: int = 5) -> str:
    """Return the first few values as words, and how many there are."""
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown}, ... ({len(values)} in all)"


def pointers(counts: Ints) -> Ints:
    """Turn counts into pointers. Shapes: [n] -> [n + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])


def check_nodes(name: str, counts: Ints) -> None:
    """Refuse data sets without graphs and graphs without nodes.

    Raises:
        UserError: names the data set and the graphs, counted from 0.
    """
    if counts.size == 0:
        raise UserError(f"{name}: the data set is empty, there is no graph in it")
    empty = np.flatnonzero(counts == 0)
    if empty.size:
        raise UserError(
            f"{name}: graphs without nodes: {few(empty)} (counted from 0); leave them out, "
            "no embedding can be made of nothing"
        )


def check_finite(name: str, attributes: Floats, ptr: Ints) -> None:
    """Refuse NaN and infinite attributes.

    Raises:
        UserError: names graph, node and column of the first one, counted from 0.
    """
    node, column = np.nonzero(~np.isfinite(attributes))
    if node.size == 0:
        return
    graph = int(np.searchsorted(ptr, node[0], side="right")) - 1
    value = attributes[node[0], column[0]]
    raise UserError(
        f"{name}: graph {graph}, node {node[0] - ptr[graph]}, attribute column {column[0]} "
        f"(counted from 0) is {value}; {node.size} such values in all - mend or drop them"
    )


def tidy_edges(edges: Ints, num_nodes: int) -> tuple[Ints, Ints, list[str]]:
    """Make edges undirected and sorted, without self-loops or duplicates, and say what changed.

    Shapes: edges [2, R] -> edge_index [2, E], rowptr [N + 1].
    """
    source, target = edges
    loops = source == target
    if loops.any():
        source, target = source[~loops], target[~loops]
    forward = _unique(source * num_nodes + target)
    backward = _unique(target * num_nodes + source)
    keys = forward if np.array_equal(forward, backward) else np.union1d(forward, backward)
    source, target = np.divmod(keys, max(num_nodes, 1))
    rowptr = np.searchsorted(source, np.arange(num_nodes + 1))
    changes = {
        "self-loops removed": int(loops.sum()),
        "duplicate edges removed": edges.shape[1] - int(loops.sum()) - forward.size,
        "one-way edges made two-way": keys.size - forward.size,
    }
    notes = [f"{count} {what}" for what, count in changes.items() if count]
    return np.stack([source, target]), rowptr.astype(np.int64), notes


def _unique(keys: Ints) -> Ints:
    if keys.size < 2 or (np.diff(keys) > 0).all():
        return keys
    ordered = np.sort(keys)
    first: Ints = ordered[np.append(True, np.diff(ordered) > 0)]
    return first


@dataclass(frozen=True)
class Column:
    """A categorical column: the values from ``low`` on, or just those of ``values``."""

    low: int
    size: int
    values: tuple[int, ...] = ()

    def encode(self, column: Ints) -> Ints:
        """Count a column from 0; -1 stands for a value that is none of its own. Shapes: [N]."""
        if self.values:
            known = np.array(self.values)
            codes = np.searchsorted(known, column).clip(max=known.size - 1)
            inside = known[codes] == column
        else:
            codes = column - self.low
            inside = (codes >= 0) & (codes < self.size)
        encoded: Ints = np.where(inside, codes, -1).astype(np.int64)
        return encoded


def column_of(column: Ints) -> Column:
    """Return what a column holds: its range of values, unless that is wide and mostly unused."""
    low, high = (int(column.min()), int(column.max())) if column.size else (0, 0)
    if high - low >= 1024:
        values = np.unique(column)
        if high - low >= 4 * values.size:
            return Column(low, values.size, tuple(values.tolist()))
    return Column(low, high - low + 1)


def tidy_labels(labels: Ints, columns: Sequence[Column] = ()) -> tuple[Ints, tuple[Column, ...]]:
    """Count every column from 0, by given columns or by what they hold.

    Shapes: labels [N, K] -> [N, K].
    """
    columns = tuple(columns) or tuple(column_of(column) for column in labels.T)
    encoded = [c.encode(column) for c, column in zip(columns, labels.T, strict=True)]
    return np.stack(encoded, axis=1) if encoded else labels, columns


def tidy_targets(y: Targets, name: str) -> tuple[Targets, tuple[str, ...]]:
    """Number classes from 0 in the order of their values; keep real-valued targets as they are.

    Shapes: y [n] or [n, tasks].

    Raises:
        UserError: a single target is NaN or infinite.
    """
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    numbers = y.astype(np.float64)
    if y.ndim == 1 and not np.isfinite(numbers).all():
        wrong = np.flatnonzero(~np.isfinite(numbers))
        raise UserError(f"{name}: graphs with a label that is no number: {few(wrong)}")
    if y.ndim == 2 or (numbers != np.round(numbers)).any():
        return y.astype(np.float32), ()
    values, classes = np.unique(numbers.astype(np.int64), return_inverse=True)
    return classes.reshape(-1).astype(np.int64), tuple(str(value) for value in values)
