"""Nearest neighbours by cosine, the number of them chosen inside the training fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray, Scores
from halpgraph.evaluators._nested import Outcome, best, checked, evaluate, inner_splits
from halpgraph.registry import evaluators

_TIE = 1e-9


@evaluators.register
class knn(Evaluator):  # noqa: N801 - the name of the file
    """Cosine k-nearest neighbours by majority vote; k is chosen by inner cross-validation.

    A probe of the embedding's geometry as it is: nothing is scaled or learned. Everyone as similar
    as the k-th neighbour votes too, so that the order of the data decides nothing (data sets often
    come sorted by class and hold identical graphs). A tied vote goes to the class whose voters are
    more similar in sum, then to the lower label. A row of zeros is similar to none (cosine 0).

    ``{name: knn, neighbours: [1]}`` is the published protocol of skeleton retrieval: every test
    clip is given the class of the one most similar training clip, and nothing is chosen.

    Args:
        neighbours: numbers of neighbours to choose from.
        inner: inner folds.
    """

    label = "kNN (cosine)"

    def __init__(
        self,
        neighbours: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [  # noqa: B006
            1,
            3,
            5,
            10,
            20,
        ],
        inner: Annotated[int, Field(ge=2)] = 5,
    ) -> None:
        self.neighbours, self.inner = list(neighbours), inner

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""
        z, y, names = checked(z, y)
        similar = cosine(z)
        votes_of = np.eye(len(names))[y]  # [n, classes]

        def judge(fold: Fold) -> Outcome:
            splits = inner_splits(y, fold, self.inner, seed)
            chosen = self.neighbours[0]
            if splits:
                scores = np.array([self._scores(similar, votes_of, y, *s) for s in splits]).T
                chosen = self.neighbours[best(scores)]  # of [candidates, splits]
            near = similar[np.ix_(fold.test, fold.train)]
            share = vote(near, votes_of[fold.train], [chosen])[0]
            certain = share / share.sum(1, keepdims=True)
            return Outcome(share.argmax(1), share[:, 1], {"neighbours": chosen}, certain)

        return evaluate(y, names, folds, judge)

    def _scores(
        self,
        similar: FloatArray,
        votes_of: FloatArray,
        y: IntArray,
        learn: IntArray,
        check: IntArray,
    ) -> list[float]:
        shares = vote(similar[np.ix_(check, learn)], votes_of[learn], self.neighbours)
        return [float((share.argmax(1) == y[check]).mean()) for share in shares]


def cosine(z: FloatArray) -> FloatArray:
    """Return all cosine similarities. Shapes: z [n, D] -> [n, n]."""
    length = np.linalg.norm(z, axis=1, keepdims=True)
    unit = z / np.where(length > 0, length, 1.0)
    return np.asarray(unit @ unit.T)


def vote(near: FloatArray, votes_of: FloatArray, neighbours: Sequence[int]) -> list[FloatArray]:
    """Return each class's share of the vote, for each number of neighbours; see ``knn`` for ties.

    The similarities' sum enters as a part too small to overturn a majority.

    Shapes: near [m, n], votes_of [n, classes] -> [m, classes] each.
    """
    ranks = [near.shape[1] - min(k, near.shape[1]) for k in neighbours]
    ordered = np.partition(near, sorted(set(ranks)), axis=1)  # [m, n]
    shares = []
    for rank in ranks:
        voters = near >= ordered[:, rank, None] - _TIE  # [m, n]
        count = voters @ votes_of  # [m, classes]
        closeness = (voters * near) @ votes_of / (2.0 * voters.sum(1, keepdims=True))
        shares.append((count + 0.5 * closeness) / voters.sum(1, keepdims=True))
    return shares
