"""The statistics against formulas written out by hand and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from halpgraph.errors import UserError
from halpgraph.statistics import NO_EVIDENCE, NO_TEST, compare, summarise

SCORES = np.random.default_rng(0).normal(0.8, 0.05, size=(5, 10))
OTHERS = SCORES - np.random.default_rng(1).normal(0.01, 0.03, size=(5, 10))


def corrected_by_hand(table, ratio):
    """Bouckaert and Frank 2004, equation 2, in loops."""
    values = [value for row in table for value in row]
    count = len(values)
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    error = math.sqrt((1 / count + ratio) * variance)
    half = stats.t(count - 1).ppf(0.975) * error
    p = 2 * (1 - stats.t(count - 1).cdf(abs(mean / error)))
    return mean, (mean - half, mean + half), p


def test_spreads_over_seeds_and_folds_are_kept_apart():
    found = summarise(SCORES)
    assert found.mean == pytest.approx(SCORES.mean())
    assert found.per_seed == pytest.approx(SCORES.mean(1).tolist())
    assert found.sd_seeds == pytest.approx(np.std(SCORES.mean(1), ddof=1))
    assert found.sd_folds == pytest.approx(np.mean([np.std(row, ddof=1) for row in SCORES]))
    assert (found.n_seeds, found.n_folds) == (5, 10)


def test_interval_of_a_mean_has_the_corrected_variance():
    mean, ci, _ = corrected_by_hand(SCORES, 1 / 9)
    found = summarise(SCORES)
    assert found.mean == pytest.approx(mean)
    assert found.ci == pytest.approx(ci)


def test_an_interval_of_a_mean_ends_at_0_and_1():
    mean, (low, high), _ = corrected_by_hand(np.array([[0.88], [0.92]]), 0.0)
    assert low < 0.8 < mean < 1 < high
    assert summarise([0.88, 0.92]).ci == pytest.approx((low, 1.0))
    assert summarise([0.12, 0.08]).ci == pytest.approx((0.0, 1 - low))
    assert compare([0.88, 0.92], [0.0, 0.0], name="x").ci == pytest.approx((low, high))


def test_difference_is_the_corrected_repeated_k_fold_t_test():
    mean, ci, p = corrected_by_hand(SCORES - OTHERS, 1 / 9)
    found = compare(SCORES, OTHERS, name="HaLP")
    assert (found.mean, found.p, found.df) == (pytest.approx(mean), pytest.approx(p), 49)
    assert found.ci == pytest.approx(ci)
    assert found.wins == sum((SCORES - OTHERS).mean(1) > 0)


def test_without_overlap_it_is_the_ordinary_paired_t_test():
    plain = stats.ttest_rel(SCORES.ravel(), OTHERS.ravel())
    found = compare(SCORES, OTHERS, name="HaLP", ratio=0.0)
    assert found.p == pytest.approx(plain.pvalue)
    assert found.ci == pytest.approx(plain.confidence_interval())


def test_official_splits_are_paired_over_seeds_only():
    ours, theirs = SCORES[:, 0], OTHERS[:, 0]
    found = compare(ours, theirs, name="HaLP")
    assert found.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert (found.df, found.n_seeds) == (4, 5)


def test_the_correction_is_needed_and_holds_its_level():
    """Two learners that are equally good: differences of folds share most of their data."""
    rng = np.random.default_rng(0)
    plain = wrong = 0
    for _ in range(400):
        pool = rng.normal(size=120) * 0.1  # which learner each graph happens to favour
        table = np.array(
            [[pool[part].mean() for part in np.split(rng.permutation(120), 10)] for _ in range(10)]
        )
        wrong += compare(table, 0 * table, name="a").p < 0.05
        plain += compare(table, 0 * table, name="a", ratio=0.0).p < 0.05
    assert plain / 400 > 0.3
    assert wrong / 400 < 0.1


def test_verdicts_in_words():
    low, high = OTHERS - 0.2, OTHERS + 0.2
    jitter = np.random.default_rng(2).normal(0, 0.01, size=(5, 10))
    assert compare(high + jitter, OTHERS, name="HaLP").verdict == "HaLP better"
    assert compare(low + jitter, OTHERS, name="HaLP").verdict == "HaLP worse"
    assert compare(low + jitter, OTHERS, name="A", higher_is_better=False).verdict == "A better"
    assert compare(OTHERS + jitter, OTHERS, name="HaLP").verdict == NO_EVIDENCE


def test_wins_follow_the_metric_and_ties_are_ties():
    ours = np.array([[0.5, 0.7], [0.6, 0.6], [0.4, 0.4]])
    theirs = np.array([[0.5, 0.6], [0.6, 0.6], [0.5, 0.5]])
    found = compare(ours, theirs, name="x")
    assert (found.wins, found.ties) == (1, 1)
    assert compare(ours, theirs, name="x", higher_is_better=False).wins == 1


def test_one_seed_works():
    found = summarise(SCORES[:1])
    assert found.sd_seeds is None
    assert found.sd_folds == pytest.approx(np.std(SCORES[0], ddof=1))
    assert compare(SCORES[:1], OTHERS[:1], name="x").df == 9


def test_one_value_is_no_test():
    found = compare([0.9], [0.8], name="x")
    assert (found.ci, found.p, found.verdict) == (None, None, NO_TEST)
    assert summarise([0.9]).ci is None
    assert summarise([0.9]).sd_folds is None


def test_equal_scores_are_no_evidence_and_a_constant_gap_is_no_test():
    same = compare(SCORES, SCORES, name="x")
    assert (same.p, same.verdict, same.ties, same.ci) == (1.0, NO_EVIDENCE, 5, (0.0, 0.0))
    gap = compare(np.full((2, 3), 0.75), np.full((2, 3), 0.5), name="x")
    assert (gap.p, gap.verdict) == (None, NO_TEST)


def test_cells_without_a_value_are_left_out():
    scores = SCORES.copy()
    scores[0, 0], scores[1] = np.nan, np.nan
    found = summarise(scores)
    assert found.mean == pytest.approx(np.nanmean(scores))
    assert len(found.per_seed) == 4
    assert compare(scores, OTHERS, name="x").df == 38
    assert summarise(np.full((2, 2), np.nan)).mean is None


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="5 seeds x 10 folds"):
        compare(SCORES, OTHERS[:3], name="HaLP")
    with pytest.raises(UserError, match="not empty"):
        summarise([])
