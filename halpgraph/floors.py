"""Floors: what is reached without any training, on the same folds and by the same protocol.

``majority`` knows the class shares alone; ``labels`` and ``labels+degree`` count nodes; ``wl`` is
the Weisfeiler-Lehman subtree kernel; ``wl+embedding`` adds an embedding to it, so that the
difference to ``wl`` says whether the embedding knows anything that neighbourhoods do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from halpgraph import wl
from halpgraph.contracts import FloatArray, Fold, IntArray, Scores
from halpgraph.errors import UserError
from halpgraph.evaluators._kernel_svm import nested_kernel_svm
from halpgraph.evaluators._kernels import precomputed, rbf, remembered, total
from halpgraph.evaluators._nested import Outcome, checked, evaluate
from halpgraph.evaluators.svm import svm

WL_GRID = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
WL_DEPTHS = (0, 1, 2, 3, 4, 5)
BESIDE_DEPTHS = (1, 3, 5)
_DEGREES = 64


@dataclass(frozen=True)
class Structure:
    """The graphs of a data set; letters are those of ``batch.py``. ``labels`` None: there are none.

    Shapes: ptr [n + 1], rowptr [N + 1], target [E], labels [N].
    """

    ptr: IntArray
    rowptr: IntArray
    target: IntArray
    labels: IntArray | None

    @property
    def degree(self) -> IntArray:
        """Return the degree of every node. Shapes: [N]."""
        return np.diff(self.rowptr)

    @property
    def colours(self) -> IntArray:
        """Return labels or, without any, degrees, as is usual. Shapes: [N]."""
        return self.degree if self.labels is None else self.labels


def floor_scores(
    kind: str, data: Any, folds: Sequence[Fold], seed: int, z: FloatArray | None = None
) -> Scores:
    """Evaluate a floor on a data set.

    Args:
        kind: the floor.
        data: a ``DataSet`` with labels ``y``.
        folds: outer folds.
        seed: of the inner splits.
        z: embeddings, for ``wl+embedding``.

    Raises:
        UserError: unknown floor, or ``wl+embedding`` without embeddings.
    """
    known = {"majority": majority, "labels": labels, "labels+degree": labels_degree, "wl": subtree}
    if kind == "majority":
        return majority(None, data.y, folds, seed)
    graphs = structure(data)
    if kind == "wl+embedding":
        if z is None:
            raise UserError("floors: wl+embedding needs embeddings; use wl, which needs none")
        return subtree(graphs, data.y, folds, seed, z)
    if kind not in known:
        raise UserError(f"floors: {kind}: unknown - known: {', '.join([*known, 'wl+embedding'])}")
    floor: Callable[..., Scores] = known[kind]
    return floor(graphs, data.y, folds, seed)


def structure(data: Any) -> Structure:
    """Return the graphs of a data set, with the node labels found among its features."""
    store = data.store
    schema = getattr(store, "schema", None)
    found = None
    if schema is not None and "labels" in schema.features and schema.columns:
        start = sum(name == "degree" for name in schema.features[: schema.features.index("labels")])
        codes = store.codes[:, start : start + len(schema.columns)].cpu().numpy()
        found = np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)  # [N]
    ptr, rowptr, target = (t.cpu().numpy() for t in (store.ptr, store.rowptr, store.edge_index[1]))
    return Structure(ptr, rowptr, target, found)


def majority(graphs: Structure | None, y: Any, folds: Sequence[Fold], seed: int) -> Scores:
    """Predict the most frequent class of the training fold (the lowest of several)."""
    _, positions, names = checked(np.zeros((len(y), 1)), y)

    def judge(fold: Fold) -> Outcome:
        top = int(np.bincount(positions[fold.train]).argmax())
        count = len(fold.test)
        return Outcome(np.full(count, top), np.zeros(count), {"class": int(names[top])})

    return evaluate(positions, names, folds, judge)


def labels(graphs: Structure, y: Any, folds: Sequence[Fold], seed: int) -> Scores:
    """Count the node labels of each graph; linear machine."""
    return _linear(histogram(graphs, graphs.colours), graphs, y, folds, seed)


def labels_degree(graphs: Structure, y: Any, folds: Sequence[Fold], seed: int) -> Scores:
    """Count labels and degrees, nodes and edges of each graph; linear machine."""
    nodes, edges = np.diff(graphs.ptr), np.diff(graphs.rowptr[graphs.ptr]) / 2
    degrees = histogram(graphs, np.minimum(graphs.degree, _DEGREES))
    parts = [histogram(graphs, graphs.colours), degrees, nodes[:, None], edges[:, None]]
    return _linear(np.concatenate(parts, axis=1), graphs, y, folds, seed)


def histogram(graphs: Structure, values: IntArray) -> FloatArray:
    """Count the nodes of each value in each graph. Shapes: values [N] -> [n, different values]."""
    kinds, column = np.unique(values, return_inverse=True)
    graph = np.repeat(np.arange(len(graphs.ptr) - 1), np.diff(graphs.ptr))  # [N]
    table = csr_matrix((np.ones(len(values)), (graph, column)), (len(graphs.ptr) - 1, len(kinds)))
    return np.asarray(table.toarray())


def subtree(
    graphs: Structure, y: Any, folds: Sequence[Fold], seed: int, z: FloatArray | None = None
) -> Scores:
    """Weisfeiler-Lehman subtree kernel, its depth chosen with C; ``z`` is added where given."""
    grams = wl.kernels(
        graphs.colours, graphs.rowptr, graphs.target, graphs.ptr, depth=max(WL_DEPTHS)
    )
    kernels: dict[int, Any] = {h: grams[h] for h in WL_DEPTHS}
    if z is not None:
        features, _, _ = checked(z, y)
        beside = remembered(rbf(features))
        kernels = {h: total([precomputed(grams[h]), beside]) for h in BESIDE_DEPTHS}
    scores = nested_kernel_svm(kernels, y, folds, seed, choice="depth", grid=WL_GRID, settle=False)
    scores.notes.append(
        f"cosine-normalised WL kernel; depth ({_words(kernels)}) and C (1e-3 to 1e2) chosen inside"
    )
    return _noted(scores, graphs)


def _linear(
    features: FloatArray, graphs: Structure, y: Any, folds: Sequence[Fold], seed: int
) -> Scores:
    scores = svm(kernel="linear")(features, y, folds, seed)
    scores.notes.append("linear SVM (squared hinge), C chosen inside")
    return _noted(scores, graphs)


def _noted(scores: Scores, graphs: Structure) -> Scores:
    if graphs.labels is None:
        scores.notes.append("no node labels among the features: degrees in their place")
    return scores


def _words(values: Any) -> str:
    return ", ".join(str(value) for value in values)
