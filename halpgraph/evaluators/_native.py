"""The vector machine's inner loop in C; see ``halpgraph/native.py``.

LIBSVM spends most of a nested search in scalar loops, and no array library can express them. One
file of C does the same algorithm several times faster. Without it LIBSVM does the work, with the
same answers.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halpgraph import native
from halpgraph.contracts import FloatArray

SOURCE = Path(__file__).with_name("_smo.c")
_LIMIT = 100_000_000


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the compiled loops, or None where they cannot be had."""
    found = native.load(SOURCE)
    if found is not None:
        pointer, size, real = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_double
        found.smo.restype = size
        found.smo.argtypes = [size, pointer, pointer, pointer, real, real, size, *[pointer] * 4]
    return found


def minimise(
    found: ctypes.CDLL,
    kernel: NDArray[np.float32],
    y: FloatArray,
    C: float,
    tol: float,
    b: FloatArray,
    g: FloatArray,
) -> float:
    """Solve one dual in place from ``b`` and ``g = Kb - y``; return the intercept.

    Shapes: kernel [n, n], y [n] of -1 and 1, b [n], g [n].
    """
    n, limit = len(y), _LIMIT
    diagonal, work, bounds = np.diagonal(kernel).copy(), np.empty(3 * n), np.empty(2)
    problem = [a.ctypes.data for a in (kernel, diagonal, y)]
    state = [a.ctypes.data for a in (b, g, work, bounds)]
    found.smo(n, *problem, C, tol, limit, *state)
    free = (b != 0) & (np.abs(b) < C)
    return -float(g[free].mean() if free.any() else bounds.mean())
