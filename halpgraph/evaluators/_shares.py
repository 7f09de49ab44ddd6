"""Few labels: which are shown at each share, and how scores over shares and draws are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from halpgraph.contracts import Fold, IntArray, Scores
from halpgraph.evaluators._nested import Outcome, keep, metrics
from halpgraph.few_labels import labelled

Repeated = Callable[[Fold, int], Outcome]


def _no_twins(shares: list[float]) -> list[float]:
    if len({name_of(share) for share in shares}) != len(shares):
        raise ValueError("the same share stands there twice")
    return shares


Shares = Annotated[
    list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1), AfterValidator(_no_twins)
]


def name_of(share: float) -> str:
    """Return a share as it is called in metrics: ``1%``."""
    return f"{100 * share:.6g}%"


def over_shares(
    y: IntArray,
    names: IntArray,
    folds: Sequence[Fold],
    judge: Repeated,
    *,
    shares: Sequence[float],
    balanced: bool,
    repeats: int,
    seed: int,
) -> Scores:
    """Judge every fold with each share of its labels; the validation part's labels are not shown.

    Metrics are means over the draws, called ``accuracy@1%``; ``accuracy`` and the others without
    a share are those of the largest one. Predictions are those of its first draw. ``chosen`` holds
    by share what was picked and the positions shown (``labelled``), so that others can use them.

    Args:
        y: class positions.
        names: the labels behind them.
        folds: outer folds.
        judge: learns on a fold (the number of the draw beside it).
        shares: of the training labels.
        balanced: see ``labelled``.
        repeats: draws.
        seed: of the draws.

    Shapes: y [n], names [classes].
    """
    scores = Scores({}, np.full(len(y), -1, np.int64), np.full(len(y), -1, np.int64))
    for number, fold in enumerate(folds):
        told: dict[str, Any] = {}
        values: dict[str, float] = {}
        for share in sorted(shares, reverse=True):
            picked = [labelled(fold.train, y, share, balanced, seed, d) for d in range(repeats)]
            parts = [Fold(some, fold.test, None, fold.groups) for some in picked]
            found = [judge(part, draw) for draw, part in enumerate(parts)]
            told[name_of(share)] = {"chosen": [one.chosen for one in found]}
            if share < 1:
                told[name_of(share)]["labelled"] = [some.tolist() for some in picked]
            means = _means(y[fold.test], found, len(names))
            if share == max(shares):
                scores.predicted[fold.test] = names[found[0].predicted]
                scores.fold[fold.test] = number
                keep(scores, fold, found[0])
                values |= means
            if len(shares) > 1 or share < 1:
                values |= {f"{metric}@{name_of(share)}": value for metric, value in means.items()}
        scores.chosen.append(told)
        for metric in [*sorted(values, key=lambda m: "@" in m)]:
            scores.metrics.setdefault(metric, []).append(values[metric])
    scores.notes.append(note(shares, balanced, repeats))
    return scores


def _means(truth: IntArray, found: Sequence[Outcome], classes: int) -> dict[str, float]:
    tables = [metrics(truth, one, classes) for one in found]
    return {m: float(np.mean([table[m] for table in tables])) for m in tables[0]}


def note(shares: Sequence[float], balanced: bool, repeats: int) -> str:
    """Return in words which labels were shown."""
    how = "the same share of every class" if balanced else "drawn from all alike"
    drawn = f"; mean of {repeats} draws, predictions of the first" if repeats > 1 else ""
    largest = name_of(max(shares))
    if largest == "100%" and len(shares) == 1:
        return f"all labels{drawn}"
    some = ", ".join(name_of(share) for share in sorted(shares))
    return f"labels shown: {some} ({how}); without a share: {largest}{drawn}"
