"""Semi-supervised evaluation on frozen features: a probe that is shown few of the labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray, Scores
from halpgraph.evaluators._logistic import LogisticModels
from halpgraph.evaluators._nested import Outcome, checked
from halpgraph.evaluators._search import chosen_inside
from halpgraph.evaluators._shares import Shares, over_shares
from halpgraph.registry import evaluators

Positive = Annotated[float, Field(gt=0)]


@evaluators.register
class semi(Evaluator):  # noqa: N801 - the name of the file
    """Logistic regression that learns from a share of the training labels, drawn and published.

    The encoder stays as it is; ``finetune`` with the same ``shares`` trains it too, on the same
    labels. The draws depend on the seed, the fold and its training labels alone, so that
    every arm is shown the same ones. C is chosen among the labels shown where each class has
    ``inner`` of them; of fewer nothing can be chosen, and ``C`` is taken.

    Args:
        shares: of the training labels.
        balanced: the same share of every class (``round(share * n_c)``, at least one), as in
            AimCLR; otherwise ``floor(share * n)`` drawn from all, as in CMD.
        repeats: draws to take the mean of.
        C: where there are too few labels to choose it.
        grid: values of C to choose from.
        inner: inner folds.
        scale: standardise the embedding, fitted on the labelled part.
    """

    label = "Logistic regression, few labels"

    def __init__(
        self,
        shares: Shares = [0.01, 0.05, 0.1, 0.2],  # noqa: B006 - never changed
        balanced: bool = True,
        repeats: Annotated[int, Field(ge=1)] = 5,
        C: Positive = 1.0,
        grid: Annotated[list[Positive], Field(min_length=1)] = [  # noqa: B006
            *(1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
        ],
        inner: Annotated[int, Field(ge=2)] = 5,
        scale: bool = True,
    ) -> None:
        self.shares, self.balanced, self.repeats = list(shares), balanced, repeats
        self.C, self.grid, self.inner, self.scale = C, list(grid), inner, scale

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""
        start = time.process_time()
        z, y, names = checked(z, y)
        family = LogisticModels(z, len(names), self.scale)

        def judge(fold: Fold, draw: int) -> Outcome:
            counts = np.unique(y[fold.train], return_counts=True)[1]
            grid = self.grid if counts.min() >= self.inner else [self.C]
            return chosen_inside([family], grid, y, seed, self.inner)(fold)

        how = {"shares": self.shares, "balanced": self.balanced, "repeats": self.repeats}
        scores = over_shares(y, names, folds, judge, seed=seed, **how)  # type: ignore[arg-type]
        scores.seconds = time.process_time() - start
        return scores
