"""Late fusion: the certainties of several trained encoders (streams), added up clip by clip.

Members are read from finished runs, matched by the id of each clip and never by its position.
Weights are given or equal; nothing is ever searched on the labels that it is judged by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from halpgraph.contracts import FloatArray
from halpgraph.ensemble_members import (
    Certainty,
    expanded,
    grouped,
    member,
    read_all,
    shared_seeds,
)
from halpgraph.errors import UserError
from halpgraph.evaluators._nested import Outcome, metrics
from halpgraph.statistics import compare, summarise


def ensemble(
    names: Sequence[str],
    weights: Sequence[float] | Literal["search"] | None = None,
    evaluator: str | None = None,
    root: str | Path | None = None,
    each: int = 1,
) -> dict[str, Any]:
    """Fuse rows of finished runs and judge them together; nothing is written.

    Args:
        names: ``RUN``, ``RUN:ARM`` or ``RUN:CELL/ARM``, two or more in all; a ``*`` in CELL or ARM
            stands for all arms that fit, as in ``RUN:stream-*/moco``. ARM may be a floor that has
            embeddings, too, such as ``untrained``.
        weights: one a member; equal ones where left out; ``search`` looks for them, seed by seed,
            in the training part alone (see the evaluator ``ensemble``).
        evaluator: whose certainties; by default the first of the first run.
        root: where the data set is looked for first; a search needs its splits.
        each: how many trainings of every member make one result: those of the first seeds, of the
            next, and so on. They share the member's weight; what is told of a member alone is their
            mean, one training at a time.

    Raises:
        UserError: a member is missing, or was judged on other clips, labels, folds or seeds; seeds
            that ``each`` does not divide, or that have test folds of their own.

    Reference: of several trainings of one network, Lakshminarayanan et al., NeurIPS 2017, Sec. 2.4,
    https://arxiv.org/abs/1612.01474.
    """
    names = [found for name in names for found in expanded(name)]
    if len(names) < 2 and each < 2:
        raise UserError(
            "ensemble: give two members or more (RUN or RUN:ARM), or trainings of one (--each)"
        )
    searching = weights == "search"
    if searching and each > 1:
        raise UserError("--each: weights are searched of one training each; give weights or none")
    shares = checked_weights(None if isinstance(weights, str) else weights, len(names))
    members = [member(name) for name in names]
    evaluator = evaluator or members[0].evaluators[0]
    seeds = shared_seeds(members)
    groups = grouped(seeds, each)
    fused: dict[str, list[list[float]]] = {}
    alone: list[dict[str, list[list[float]]]] = [{} for _ in members]
    found_weights: list[list[float]] = []
    for group in groups:
        found = read_all(members, group, evaluator)
        first, tables = found[0], [one.probabilities for one in found]
        if searching:
            from halpgraph.ensemble_search import search

            shares = search(members, group[0], evaluator, root)
            found_weights.append(shares)
        _add(fused, score(first, fuse(tables, np.repeat(shares, each) / each)))
        for i, own in enumerate(alone):
            mine = [score(first, table) for table in tables[i * each : (i + 1) * each]]
            _add(own, {m: np.mean([one[m] for one in mine], axis=0).tolist() for m in mine[0]})
    if searching:
        shares = np.mean(found_weights, axis=0).tolist()
    rows = [
        {"name": one.name, "weight": weight, "metrics": _summaries(own)}
        for one, weight, own in zip(members, shares, alone, strict=True)
    ]
    gaps = {m: asdict(compare(fused[m], alone[0][m], name="ensemble")) for m in fused}
    return {
        "evaluator": evaluator,
        "seeds": seeds,
        "each": each,
        "members": rows,
        "searched": dict(zip(map(str, seeds), found_weights, strict=False)) if searching else None,
        "metrics": _summaries(fused),
        "reference": members[0].name,
        "differences": gaps,
    }


def checked_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """Return weights that sum to 1.

    Raises:
        UserError: not one a member, negative, or all of them 0.
    """
    values = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(values) != count:
        raise UserError(f"--weights: {len(values)} for {count} members; give one a member")
    if not all(np.isfinite(values)) or min(values) < 0 or sum(values) == 0:
        raise UserError("--weights: numbers from 0 on, not all of them 0 (such as 0.6,0.6,0.4)")
    return [value / sum(values) for value in values]


def fuse(tables: Sequence[FloatArray], weights: Sequence[float] | FloatArray) -> FloatArray:
    """Return the weighted sum of members' certainties. Shapes: [m, k] each -> [m, k]."""
    return np.asarray(np.einsum("s,smk->mk", np.asarray(weights), np.stack(tables)))


def score(truth: Certainty, probabilities: FloatArray) -> dict[str, list[float]]:
    """Return one value a fold for each metric; of equal certainties the lower class is predicted.

    Shapes: probabilities [m, k].
    """
    out: dict[str, list[float]] = {}
    y = np.searchsorted(truth.classes, truth.y)
    for fold in np.unique(truth.fold):
        at = truth.fold == fold
        decision = probabilities[at, 1] if len(truth.classes) == 2 else None
        judged = Outcome(probabilities[at].argmax(1).astype(np.int64), decision, {})
        for metric, value in metrics(y[at], judged, len(truth.classes)).items():
            out.setdefault(metric, []).append(value)
    return out


def _add(tables: dict[str, list[list[float]]], values: Mapping[str, list[float]]) -> None:
    for metric, row in values.items():
        tables.setdefault(metric, []).append(row)


def _summaries(tables: Mapping[str, list[list[float]]]) -> dict[str, Any]:
    return {metric: asdict(summarise(table)) for metric, table in tables.items()}
