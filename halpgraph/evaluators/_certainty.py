"""Class by class certainty out of decision values: rows that sum to 1, the predicted class first.

No probability in the strict sense: nothing was calibrated. Ensembles need one scale for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from halpgraph.contracts import FloatArray, IntArray


def softmax_of(decisions: FloatArray, there: IntArray, classes: int) -> FloatArray:
    """Return the softmax of decision values; classes that nothing was learned of get 0.

    Shapes: decisions [m, k], there [k] class positions -> [m, classes].
    """
    out = np.zeros((len(decisions), classes))
    out[:, there] = softmax(decisions, axis=1)
    return out


def of_pairs(
    decisions: FloatArray, votes: FloatArray, pairs: Sequence[tuple[int, int]], classes: int
) -> FloatArray:
    """Return the softmax of one-against-one votes, each with a confidence of less than half a vote.

    These are the values of scikit-learn's ``SVC.decision_function`` (shape ``ovr``): a class's
    votes, and ``s / (3 (|s| + 1))`` of the sum ``s`` of its decisions. Of two classes there is one
    decision alone, and its logistic function is returned.

    Shapes: decisions [pairs, m], votes [classes, m] -> [m, classes].
    """
    if len(pairs) == 1:
        rows = np.stack([np.zeros(decisions.shape[1]), decisions[0]], axis=1)  # [m, 2]
        return softmax_of(rows, np.array(pairs[0]), classes)
    sums = np.zeros_like(votes)
    for (first, second), decision in zip(pairs, decisions, strict=True):
        sums[first] -= decision
        sums[second] += decision
    values = votes + sums / (3.0 * (np.abs(sums) + 1.0))  # [classes, m]
    there = np.unique(np.array(pairs))
    return softmax_of(values[there].T, there, classes)
