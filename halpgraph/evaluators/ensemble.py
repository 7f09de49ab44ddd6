"""Late fusion: each stream of an embedding is judged alone, and their certainties are added up."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray, Scores
from halpgraph.errors import UserError
from halpgraph.evaluators._nested import Outcome, checked, evaluate, inner_splits
from halpgraph.registry import evaluators

WHOLE = "all columns"
STEPS = 10  # searched weights are tenths

Weights = dict[str, Annotated[float, Field(ge=0)]]


def _base(of: Any) -> Any:
    if isinstance(of, Evaluator):
        return of
    spec = evaluators.settings(of, "evaluators.ensemble.of")
    if spec["name"] == "ensemble" or evaluators.get(spec["name"]).needs_encoder:  # type: ignore[attr-defined]
        raise UserError(
            f"evaluators.ensemble.of: {spec['name']} judges no embedding of one stream; "
            "use linear, svm, knn or probe"
        )
    return of


@evaluators.register
class ensemble(Evaluator):  # noqa: N801 - the name of the file
    """Late fusion of the streams that a method's embedding holds side by side.

    Every stream is judged by the same evaluator on the same folds; the certainties are added with
    the weights, and the class with the most is predicted. Of a method with one stream, and of
    embeddings that do not say what their columns are, it is that evaluator itself. Streams of
    separate runs are fused by ``halpgraph ensemble``.

    Weights are equal, or given by stream (``{joint: 0.6, bone: 0.6, motion: 0.4}`` as in AimCLR
    and CTR-GCN), or looked for on request: tenths that sum to one, by the accuracy of inner splits
    of the training part alone (subjects or views kept together where the data set has such); among
    equals the weights nearest to equal ones.

    Args:
        of: the evaluator of each stream.
        weights: ``equal``, ``search``, or one for each stream.
        streams: which streams; all by default.
        inner: inner folds of the search.

    Raises:
        UserError: a stream that is not there, weights that do not name the streams.
    """

    label = "Streams fused"

    def __init__(
        self,
        of: Annotated[str | dict[str, Any], AfterValidator(_base)] = "linear",
        weights: Literal["equal", "search"] | Weights = "equal",
        streams: Annotated[list[str], Field(min_length=1)] | None = None,
        inner: Annotated[int, Field(ge=2)] = 5,
    ) -> None:
        self.base: Evaluator = (
            of if isinstance(of, Evaluator) else evaluators.build(of, "evaluators.ensemble.of")
        )
        self.label = f"{self._said(weights, streams)}, {getattr(self.base, 'label', 'fused')}"
        self.weights, self.streams, self.inner = weights, streams, inner

    @staticmethod
    def _said(weights: str | Weights, streams: Sequence[str] | None) -> str:
        if streams is not None and len(streams) == 1:
            return f"Stream {streams[0]} alone"
        if isinstance(weights, Mapping):
            return "Streams fused " + " : ".join(f"{w:g} {name}" for name, w in weights.items())
        return "Streams fused" if weights == "equal" else "Streams fused, weights searched inside"

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""
        start = time.process_time()
        z, y, names = checked(z, y)
        parts = self._parts(z)

        def judge(fold: Fold) -> Outcome:
            weights = self._weights(parts, y, fold, seed)
            table = np.einsum("s,smk->mk", list(weights.values()), self._ask(parts, y, fold, seed))
            decision = table[:, 1] if len(names) == 2 else None
            return Outcome(table.argmax(1).astype(np.int64), decision, {"weights": weights}, table)

        scores = evaluate(y, names, folds, judge)
        if len(parts) > 1:
            scores.notes.append(f"streams: {', '.join(parts)}")
        scores.seconds = time.process_time() - start
        return scores

    def _parts(self, z: FloatArray) -> dict[str, FloatArray]:
        """Return the columns of each stream that is asked for."""
        known = dict(self.parts) or {WHOLE: z.shape[1]}
        if sum(known.values()) != z.shape[1]:
            raise UserError(
                f"evaluators.ensemble: the embedding has {z.shape[1]} columns, its streams "
                f"{known} have {sum(known.values())}; make the embeddings anew"
            )
        ends = np.cumsum(list(known.values()))
        blocks = dict(zip(known, np.split(z, ends[:-1], axis=1), strict=True))
        if not self.parts:
            return blocks  # one stream is all there is, whatever it is called
        wanted = self.streams or list(blocks)
        missing = [name for name in wanted if name not in blocks]
        if missing:
            raise UserError(
                f"evaluators.ensemble.streams: {', '.join(missing)} missing from this embedding; "
                f"it has {', '.join(blocks)}"
            )
        return {name: blocks[name] for name in wanted}

    def _ask(
        self, parts: Mapping[str, FloatArray], y: IntArray, fold: Fold, seed: int
    ) -> FloatArray:
        """Return how certain each stream is on the test positions. Shapes: [S, m, classes]."""
        tables = []
        for name, z in parts.items():
            found = self.base(z, y, [fold], seed).probabilities
            if found is None:
                raise UserError(f"evaluators.ensemble.of: tells no certainties of stream {name}")
            tables.append(found[fold.test])
        return np.stack(tables)

    def _weights(
        self, parts: Mapping[str, FloatArray], y: IntArray, fold: Fold, seed: int
    ) -> dict[str, float]:
        names, count = list(parts), len(parts)
        if isinstance(self.weights, Mapping) and self.parts:
            odd = sorted(set(self.weights) ^ set(names))
            if odd or sum(self.weights.values()) == 0:
                raise UserError(
                    f"evaluators.ensemble.weights: {dict(self.weights)} for the streams "
                    f"{', '.join(names)}; give each of them one weight, not all of them 0"
                )
            total = sum(self.weights.values())
            return {name: self.weights[name] / total for name in names}
        if self.weights == "search" and count > 1:
            return dict(zip(names, self._search(parts, y, fold, seed), strict=True))
        return dict.fromkeys(names, 1 / count)

    def _search(
        self, parts: Mapping[str, FloatArray], y: IntArray, fold: Fold, seed: int
    ) -> list[float]:
        """Return the weights that are right most often inside the training part."""
        splits = inner_splits(y, fold, self.inner, seed)
        asked = []
        for learn, check in splits:
            inside = Fold(learn, np.asarray(check, np.int64), None, fold.groups)
            known = np.isin(y[inside.test], y[learn])
            if known.all():
                asked.append((self._ask(parts, y, inside, seed), y[inside.test]))
        grid = _simplex(len(parts), STEPS)
        if not asked:
            return [1 / len(parts)] * len(parts)
        right = [np.mean([_right(w, t, truth) for t, truth in asked]) for w in grid]
        best = max(right)
        even = [float(((w - 1 / len(parts)) ** 2).sum()) for w in grid]
        first = min((e, i) for i, (r, e) in enumerate(zip(right, even, strict=True)) if r == best)
        return [float(value) for value in grid[first[1]]]


def _right(weights: FloatArray, tables: FloatArray, truth: IntArray) -> float:
    fused = np.einsum("s,smk->mk", weights, tables)
    return float((fused.argmax(1) == truth).mean())


def _simplex(count: int, steps: int) -> list[FloatArray]:
    """Return every way to deal ``steps`` equal shares to ``count`` streams."""
    cuts = itertools.combinations(range(steps + count - 1), count - 1)
    bars = [(-1, *cut, steps + count - 1) for cut in cuts]
    return [np.diff(bar).astype(np.float64) / steps - 1 / steps for bar in bars]
