# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
"""Plain scikit-learn nesting against ours: CPU seconds of one thread, and whether answers agree.

    python benchmarks/nested_svm.py [MUTAG PROTEINS NCI1] [--folds 2] [--data DIR]

Both do 10-fold nested cross-validation with 5 inner folds over C in 1e-3 to 1e3 on the embeddings
of an untrained GIN (3 layers of 32, summed over nodes). Large sets take only the first ``--folds``
of the outer folds, each in full. Fits that do not converge count with the time they took.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from halpgraph.contracts import FloatArray, Fold, IntArray
from halpgraph.data.load import load
from halpgraph.evaluators import _native
from halpgraph.evaluators.svm import svm
from halpgraph.floors import Structure, structure
from halpgraph.folds import stratified

GRID = [1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3]
FEW_FOLDS = 1000  # graphs from which on only --folds outer folds are done


def embeddings(graphs: Structure, seed: int = 0, width: int = 32, layers: int = 3) -> FloatArray:
    """Return what an untrained GIN with sum readout gives. Shapes: [n, layers * width]."""
    rng = np.random.default_rng(seed)
    nodes, n = len(graphs.colours), len(graphs.ptr) - 1
    edges = csr_matrix((np.ones(len(graphs.target)), graphs.target, graphs.rowptr), (nodes, nodes))
    graph = np.repeat(np.arange(n), np.diff(graphs.ptr))
    readout = csr_matrix((np.ones(nodes), (graph, np.arange(nodes))), (n, nodes))
    h = np.eye(graphs.colours.max() + 1)[graphs.colours]
    found = []
    for _ in range(layers):
        h = edges @ h + h
        for _ in range(2):
            h = np.maximum(h @ rng.normal(size=(h.shape[1], width)) / np.sqrt(h.shape[1]), 0.0)
        h = (h - h.mean(0)) / (h.std(0) + 1e-5)
        found.append(np.asarray(readout @ h))
    return np.concatenate(found, axis=1).astype(np.float32).astype(np.float64)


def plain(
    kernel: str, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int
) -> tuple[IntArray, list[float]]:
    """Nest a grid search the obvious way."""
    model: Any = SVC() if kernel == "rbf" else LinearSVC(dual=False)
    key = f"{type(model).__name__.lower()}__C"
    predicted, chosen = np.full(len(y), -1), []
    for fold in folds:
        search = GridSearchCV(
            make_pipeline(StandardScaler(), model),
            {key: GRID},
            cv=StratifiedKFold(5, shuffle=True, random_state=seed),
        )
        search.fit(z[fold.train], y[fold.train])
        predicted[fold.test] = search.predict(z[fold.test])
        chosen.append(search.best_params_[key])
    return predicted, chosen


def row(name: str, kernel: str, z: FloatArray, y: IntArray, limit: int) -> str:
    """Time both and compare their answers."""
    folds = stratified(y, 10, 0)
    folds = folds[:limit] if len(y) >= FEW_FOLDS else folds
    start = time.process_time()
    ours = svm(kernel=kernel, grid=GRID)(z, y, folds, 0)  # type: ignore[arg-type]
    middle = time.process_time()
    predicted, chosen = plain(kernel, z, y, folds, 0)
    slow, fast = time.process_time() - middle, middle - start
    same = sum(a["C"] == b for a, b in zip(ours.chosen, chosen, strict=True))
    different = int((ours.predicted != predicted).sum())
    judged = sum(len(fold.test) for fold in folds)
    return (
        f"| {name} | {len(y)} | {kernel} | {len(folds)} | {slow:.2f} | {fast:.2f} | "
        f"{slow / fast:.1f}x | {same} of {len(folds)} | {judged - different} of {judged} | "
        f"{100 * np.mean(ours.metrics['accuracy']):.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("sets", nargs="*", default=["MUTAG", "PROTEINS", "NCI1"])
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--kernels", nargs="*", default=["rbf", "linear"])
    parser.add_argument("--data")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = _native.library()
    print("Inner loop:", "LIBSVM (no C compiler)" if found is None else "compiled")
    print("\n| set | graphs | kernel | outer folds | scikit-learn, CPU s | ours, CPU s | ratio |"
          " same C | same predictions | accuracy % |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in options.sets:
        data = load(name, root=options.data)
        z, y = embeddings(structure(data)), np.asarray(data.y)
        for kernel in options.kernels:
            print(row(name, kernel, z, y, options.folds), flush=True)


if __name__ == "__main__":
    main()
