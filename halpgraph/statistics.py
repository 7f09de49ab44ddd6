"""What scores over seeds and folds say: means, spreads kept apart, and honest comparisons.

Scores of one row are a table ``[r seeds, k folds]``. Its cells are not independent: training sets
of different folds and seeds overlap, so a plain t-test finds differences that are not there. The
variance of a mean over cells is therefore taken as ``(1 / (r k) + n_test / n_train) s^2``, where
``s^2`` is the variance of the cells.

Reference: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003,
sec. 4.1; Bouckaert and Frank, "Evaluating the replicability of significance tests for comparing
learning algorithms", PAKDD 2004, sec. 3.4 (corrected repeated k-fold cross-validation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from halpgraph.contracts import FloatArray
from halpgraph.errors import UserError

LEVEL = 0.05
NO_TEST = "no test possible"
NO_EVIDENCE = "no evidence of a difference"


@dataclass(frozen=True)
class Summary:
    """One row's scores in numbers; what cannot be said of so few values is None.

    ``sd_seeds`` is the deviation of the seeds' means, ``sd_folds`` the mean over seeds of the
    deviation between the folds of one seed, ``ci`` the 95 % interval of the mean.
    """

    mean: float | None
    per_seed: list[float]
    sd_seeds: float | None
    sd_folds: float | None
    ci: tuple[float, float] | None
    n_seeds: int
    n_folds: int


@dataclass(frozen=True)
class Difference:
    """Treatment minus reference, paired over seeds and folds. ``wins`` counts seeds."""

    mean: float | None
    ci: tuple[float, float] | None
    p: float | None
    df: int
    wins: int
    ties: int
    n_seeds: int
    verdict: str


def summarise(scores: Any, *, ratio: float | None = None) -> Summary:
    """Return mean, spreads and 95 % interval of one row's scores, which lie in 0 ... 1.

    Cells that are not finite (ROC-AUC of a fold with one class) are left out. The interval is cut
    at 0 and 1: with two seeds Student's goes beyond what an accuracy can be.

    Args:
        scores: scores by seed and fold; a plain list is one fold a seed (official splits).
        ratio: n_test / n_train; by default ``1 / (k - 1)``, that of k-fold cross-validation.

    Shapes: scores [r, k].
    """
    table = _table(scores)
    seeds = [float(np.mean(row)) for row in map(_finite, table) if len(row)]
    spreads = [float(np.std(row, ddof=1)) for row in map(_finite, table) if len(row) > 1]
    mean, ci, _, _ = _corrected(table, ratio)
    return Summary(
        mean=mean,
        per_seed=seeds,
        sd_seeds=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else None,
        sd_folds=float(np.mean(spreads)) if spreads else None,
        ci=ci if ci is None else (max(ci[0], 0.0), min(ci[1], 1.0)),
        n_seeds=table.shape[0],
        n_folds=table.shape[1],
    )


def compare(
    treatment: Any,
    reference: Any,
    *,
    name: str,
    ratio: float | None = None,
    higher_is_better: bool = True,
) -> Difference:
    """Compare two rows on the same seeds and folds by the corrected repeated k-fold t-test.

    With one fold (official splits) the test is the ordinary paired t-test over seeds: it speaks of
    the training's chance alone, since the test set is the same every time.

    Args:
        treatment: scores by seed and fold.
        reference: scores of the row it is compared with, same seeds and folds in the same order.
        name: what the treatment is called in the verdict.
        ratio: as in ``summarise``.
        higher_is_better: whether a larger score is a better one.

    Shapes: treatment [r, k], reference [r, k].

    Raises:
        UserError: the two tables have different shapes.
    """
    ours, theirs = _table(treatment), _table(reference)
    if ours.shape != theirs.shape:
        raise UserError(
            f"compare: {name} has {_shape(ours)}, the reference {_shape(theirs)}; "
            "compare rows of the same seeds and folds"
        )
    gaps = ours - theirs  # [r, k]
    sign = 1.0 if higher_is_better else -1.0
    per_seed = [float(np.mean(row)) for row in map(_finite, gaps) if len(row)]
    mean, ci, p, df = _corrected(gaps, ratio)
    return Difference(
        mean=mean,
        ci=ci,
        p=p,
        df=df,
        wins=sum(sign * gap > 1e-12 for gap in per_seed),
        ties=sum(abs(gap) <= 1e-12 for gap in per_seed),
        n_seeds=gaps.shape[0],
        verdict=_verdict(name, mean, p, sign),
    )


def _corrected(
    table: FloatArray, ratio: float | None
) -> tuple[float | None, tuple[float, float] | None, float | None, int]:
    """Return mean, 95 % interval, p (of "the mean is 0") and degrees of freedom."""
    values = _finite(table)
    count, df = len(values), max(len(values) - 1, 0)
    if count == 0:
        return None, None, None, 0
    mean = float(np.mean(values))
    if count == 1:
        return mean, None, None, 0
    if ratio is None:
        ratio = 1.0 / (table.shape[1] - 1) if table.shape[1] > 1 else 0.0
    error = float(np.sqrt((1.0 / count + ratio) * np.var(values, ddof=1)))
    if error <= 1e-12:  # all cells equal: nothing but equality can be tested
        return mean, (mean, mean), 1.0 if abs(mean) <= 1e-12 else None, df
    half = float(stats.t.ppf(1.0 - LEVEL / 2.0, df)) * error
    p = float(2.0 * stats.t.sf(abs(mean) / error, df))
    return mean, (mean - half, mean + half), p, df


def _verdict(name: str, mean: float | None, p: float | None, sign: float) -> str:
    if mean is None or p is None:
        return NO_TEST
    if p >= LEVEL:
        return NO_EVIDENCE
    return f"{name} {'better' if sign * mean > 0 else 'worse'}"


def _table(scores: Any) -> FloatArray:
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]  # [r, 1]
    if table.ndim != 2 or table.size == 0:
        raise UserError("statistics: scores must be a table of seeds by folds, not empty")
    return table


def _finite(values: FloatArray) -> FloatArray:
    flat = values.ravel()
    return flat[np.isfinite(flat)]


def _shape(table: FloatArray) -> str:
    return f"{table.shape[0]} seeds x {table.shape[1]} folds"
