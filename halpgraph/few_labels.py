"""Which labels are shown where only a share of them may be: drawn from a seed, the same for all."""

from __future__ import annotations

import numpy as np

from halpgraph.contracts import IntArray


def labelled(
    train: IntArray, y: IntArray, share: float, balanced: bool, seed: int, draw: int
) -> IntArray:
    """Return the positions whose labels are shown, sorted.

    Balanced, ``round(share * n_c)`` of each class and at least one; uniform, ``floor(share * n)``
    of all and at least one. A smaller share of the same draw is a part of a larger one.

    Args:
        train: positions to draw from.
        y: class positions of the whole data set; those of ``train`` alone are looked at.
        share: of the labels.
        balanced: the same share of every class.
        seed: of all draws.
        draw: its number.

    Shapes: train [m], y [n] -> [fewer].
    """
    if share >= 1:
        return np.sort(train)
    random = np.random.default_rng([seed, draw])
    order = train[random.permutation(len(train))]
    if not balanced:
        return np.sort(order[: max(int(share * len(train) + 1e-9), 1)])
    known = y[order]
    parts = [order[known == c] for c in np.unique(known)]
    return np.sort(np.concatenate([part[: max(round(share * len(part)), 1)] for part in parts]))
