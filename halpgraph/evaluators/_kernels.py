"""Kernels among graphs, made for one training set at a time: ``(learn, check) -> matrices``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from halpgraph.contracts import FloatArray, IntArray

Kernel = Callable[[IntArray, IntArray], tuple[FloatArray, FloatArray]]
"""Given positions to learn from and to check, returns the kernels [n, n] and [m, n]."""

_ROWS = 256


def scaled(
    z: FloatArray, learn: IntArray, check: IntArray, scale: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Return the rows to learn from and to check, standardised by the former alone.

    Shapes: z [n, D], learn [a], check [b] -> [a, D], [b, D].
    """
    known, new = z[learn], z[check]
    if not scale:
        return known, new
    scaler = StandardScaler().fit(known)
    return np.asarray(scaler.transform(known)), np.asarray(scaler.transform(new))


def rbf(z: FloatArray, scale: bool = True) -> Kernel:
    """Return the Gaussian kernel with scikit-learn's ``gamma="scale"``, scaled inside the fold.

    Shapes: z [n, D].
    """

    def kernel(learn: IntArray, check: IntArray) -> tuple[FloatArray, FloatArray]:
        known, new = scaled(z, learn, check, scale)
        variance = float(known.var())
        gamma = 1.0 / (known.shape[1] * variance) if variance > 0 else 1.0
        return gaussian(known, known, gamma), gaussian(new, known, gamma)

    return kernel


def gaussian(a: FloatArray, b: FloatArray, gamma: float) -> FloatArray:
    """Return ``exp(-gamma |a_i - b_j|^2)``, block by block to stay in the processor's cache.

    Shapes: a [n, D], b [m, D] -> [n, m].
    """
    out = np.empty((len(a), len(b)))
    lengths = np.einsum("ij,ij->i", b, b)  # [m]
    for start in range(0, len(a), _ROWS):
        rows, block = a[start : start + _ROWS], out[start : start + _ROWS]
        np.dot(rows, b.T, out=block)
        block *= -2.0
        block += lengths
        block += np.einsum("ij,ij->i", rows, rows)[:, None]
        np.maximum(block, 0.0, out=block)
        block *= -gamma
        np.exp(block, out=block)
    return out


def precomputed(gram: NDArray[Any]) -> Kernel:
    """Return a kernel that was worked out for the whole data set. Shapes: gram [n, n]."""

    def kernel(learn: IntArray, check: IntArray) -> tuple[FloatArray, FloatArray]:
        return part(gram, learn, learn), part(gram, check, learn)

    return kernel


def part(gram: NDArray[Any], rows: IntArray, columns: IntArray) -> NDArray[Any]:
    """Return ``gram[rows][:, columns]``, some rows at a time to stay in the processor's cache.

    Shapes: gram [n, n], rows [a], columns [b] -> [a, b].
    """
    out = np.empty((len(rows), len(columns)), dtype=gram.dtype)
    for start in range(0, len(rows), _ROWS // 4):
        some = slice(start, start + _ROWS // 4)
        np.take(gram[rows[some]], columns, axis=1, out=out[some], mode="clip")
    return out


def total(parts: list[Kernel]) -> Kernel:
    """Return the sum of kernels, each divided by its mean on the diagonal of the training set.

    So scaled, the parts weigh the same whatever their units.
    """

    def kernel(learn: IntArray, check: IntArray) -> tuple[FloatArray, FloatArray]:
        known, new = np.zeros((len(learn), len(learn))), np.zeros((len(check), len(learn)))
        for part in parts:
            first, second = part(learn, check)
            weight = float(np.diagonal(first).mean()) or 1.0
            known += first / weight
            new += second / weight
        return known, new

    return kernel


def remembered(kernel: Kernel) -> Kernel:
    """Keep a kernel's last matrices: candidates that share it ask for the same ones in turn."""
    last: list[tuple[IntArray, IntArray, tuple[FloatArray, FloatArray]]] = []

    def again(learn: IntArray, check: IntArray) -> tuple[FloatArray, FloatArray]:
        if not (last and last[0][0] is learn and last[0][1] is check):
            last[:] = [(learn, check, kernel(learn, check))]
        return last[0][2]

    return again
