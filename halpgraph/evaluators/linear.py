"""Logistic regression, the linear probe of self-supervised learning, nested and seeded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray, Scores
from halpgraph.evaluators._logistic import LogisticModels
from halpgraph.evaluators._nested import checked
from halpgraph.evaluators._search import Family, nested, scalings
from halpgraph.registry import evaluators

Positive = Annotated[float, Field(gt=0)]


@evaluators.register
class linear(Evaluator):  # noqa: N801 - the name of the file
    """L2-regularised logistic regression with C chosen inside each training fold.

    The answers are those of scikit-learn's ``GridSearchCV`` around ``StandardScaler`` and
    ``LogisticRegression`` (softmax for several classes), solved to the end.

    Args:
        grid: values of C to choose from.
        inner: inner folds.
        scale: standardise the embedding, fitted on the training part of every split; ``both``:
            whether to is chosen inside the fold as well.
    """

    label = "Logistic regression"

    def __init__(
        self,
        grid: Annotated[list[Positive], Field(min_length=1)] = [  # noqa: B006 - never changed
            *(1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
        ],
        inner: Annotated[int, Field(ge=2)] = 5,
        scale: bool | Literal["both"] = True,
    ) -> None:
        self.grid, self.inner, self.scale = list(grid), inner, scale

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""
        z, y, names = checked(z, y)
        families: list[Family] = []
        for scale, said in scalings(self.scale):
            families.append(LogisticModels(z, len(names), scale))
            families[-1].name = said
        return nested(families, self.grid, y, names, folds, seed, self.inner)
