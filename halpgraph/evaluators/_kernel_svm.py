"""Nested support vector machines on kernels: C and the kernel are chosen inside each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.contracts import Fold, IntArray, Scores
from halpgraph.errors import UserError
from halpgraph.evaluators._kernels import Kernel, precomputed
from halpgraph.evaluators._search import nested
from halpgraph.evaluators._svc import Prediction, by_libsvm, predictions
from halpgraph.folds import class_labels

GRID = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)


class KernelMachines:
    """The family of kernel machines along C.

    ``name`` tells the kernel in the list of choices; with ``settle``, what the tolerance leaves
    open can be put to scikit-learn's solver where it matters.
    """

    def __init__(
        self, name: dict[str, Any], kernel: Kernel, classes: int, tol: float, settle: bool = True
    ) -> None:
        self.name, self.kernel, self.settle = name, kernel, settle
        self.classes, self.tol = classes, tol

    def predict(
        self, learn: IntArray, check: IntArray, y: IntArray, grid: Sequence[float]
    ) -> list[Prediction]:
        """Learn with every C on one kernel matrix, and predict."""
        known, new = self.kernel(learn, check)
        found = predictions(known, new, y, grid, self.tol, self.classes)
        if not self.settle:
            return [replace(p, unsure=None) for p in found]

        # The kernel is made anew rather than kept: five splits of it would fill the memory.
        def settle(C: float) -> Prediction:
            return by_libsvm(*self.kernel(learn, check), y, C, self.tol, self.classes)

        return [
            p if p.unsure is None else replace(p, settle=partial(settle, C))
            for p, C in zip(found, grid, strict=True)
        ]


def nested_kernel_svm(
    kernels: Mapping[Any, NDArray[Any] | Kernel],
    y: Any,
    folds: Sequence[Fold],
    seed: int,
    *,
    choice: str = "kernel",
    grid: Sequence[float] = GRID,
    inner: int = 5,
    tol: float = 1e-3,
    settle: bool = True,
) -> Scores:
    """Evaluate kernels by support vector machines; the kernel and C are chosen inside each fold.

    Args:
        kernels: by name: matrices over the whole data set, or functions of a training set.
        y: labels.
        folds: outer folds.
        seed: of the inner splits.
        choice: what the kernels differ in, for the list of choices ("depth").
        grid: values of C.
        inner: inner folds.
        tol: LIBSVM's tolerance.
        settle: leave what is within the tolerance to scikit-learn's solver, where it matters.

    Shapes: kernels [n, n], y [n].

    Raises:
        UserError: no kernel, or one that does not fit the labels.
    """
    labels = class_labels(y)
    names, positions = np.unique(labels, return_inverse=True)
    if not kernels:
        raise UserError("kernels: none given; one at least is needed")
    families = []
    for name, kernel in kernels.items():
        if not callable(kernel):
            if kernel.shape != (len(labels), len(labels)) or not np.isfinite(kernel).all():
                raise UserError(
                    f"kernels.{name}: must be finite and [{len(labels)}, {len(labels)}]"
                )
            kernel = precomputed(kernel)
        families.append(KernelMachines({choice: name}, kernel, len(names), tol, settle))
    return nested(families, grid, positions.astype(np.int64), names, folds, seed, inner)
