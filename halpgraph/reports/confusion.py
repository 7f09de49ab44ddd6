"""The confusion matrix of the main row, all seeds together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.reports.source import Cell, label_of

MOST_CLASSES = 12


@dataclass(frozen=True)
class Confusion:
    """Counts [true, predicted], their share of each true class, and the names of the classes."""

    title: str
    caption: str
    names: list[str]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    compact: bool


def confusion(cell: Cell) -> Confusion | None:
    """Sum the predictions of every seed of the main row; nothing where there are none.

    A position in no test fold (predicted below zero, or missing) is left out.
    """
    row = cell.main()
    if row is None:
        return None
    evaluator = str(row.get("evaluator"))
    pairs, seeds = [], 0
    for seed in cell.arms.get(str(row.get("row")), []):
        found = _pairs(seed.evaluation(evaluator))
        if len(found):
            pairs.append(found)
            seeds += 1
    if not pairs:
        return None
    both = np.concatenate(pairs)
    known = list(cell.data.get("class_names") or [])
    size = max(int(both.max()) + 1, len(known))
    if size > 1000:  # a regression's targets are no classes
        return None
    counts = np.zeros((size, size), dtype=np.int64)
    np.add.at(counts, (both[:, 0], both[:, 1]), 1)
    totals = counts.sum(axis=1, keepdims=True)
    names = [str(known[k]) if k < len(known) else f"class {k}" for k in range(size)]
    caption = (
        f"{counts.sum()} predictions on test folds: {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{row.get('evaluator_label') or evaluator}. Rows are true classes and sum to 100 %."
    )
    return Confusion(
        label_of(row), caption, names, counts, counts / np.maximum(totals, 1), size > MOST_CLASSES
    )


def _pairs(found: dict[str, Any]) -> NDArray[np.int64]:
    """Return (true, predicted) of every position that was tested. Shapes: [n, 2]."""
    true, predicted = found.get("y") or [], found.get("predicted") or []
    nothing = np.zeros((0, 2), dtype=np.int64)
    if not true or len(true) != len(predicted):
        return nothing
    try:
        both = np.array([true, predicted], dtype=np.float64).T
    except (TypeError, ValueError):
        return nothing
    both = both[np.isfinite(both).all(axis=1) & (both >= 0).all(axis=1)]
    if (both != np.floor(both)).any():  # scores or regression targets, not classes
        return nothing
    return both.astype(np.int64)
