"""Comparison of finished runs: the same graphs, seeds and folds, or a word on why not."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph import statistics
from halpgraph.errors import UserError
from halpgraph.reports import markdown, words
from halpgraph.reports.source import Cell, Run, SeedFolder, read_run
from halpgraph.reports.tables import Line, Table

Arm = tuple[Run, Cell, str]


def compare_runs(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Compare arms of finished runs, paired over the seeds and folds they share.

    Every later run is compared with the first: arms of the same name with each other or, where
    no name is shared, all with all. A single run has its own arms compared with its first one.

    Args:
        paths: folders of finished runs.

    Returns:
        One row a cell, evaluator, metric and pair of arms: ``cell, evaluator, metric, run, arm,
        reference_run, reference_arm, treatment_mean, reference_mean, mean, ci, p, df, wins, ties,
        n_seeds, n_folds, seeds, verdict``; ``mean`` is arm minus reference.

    Raises:
        UserError: a run is not finished, nothing is in common, or the data or the folds differ.
    """
    runs = [read_run(path) for path in paths]
    rows = [row for one, other in _pairs(runs) for row in _compare(one, other)]
    if not rows:
        raise UserError(
            f"compare: {', '.join(str(run.path) for run in runs) or 'no runs'} have no cell, "
            "evaluator and seed in common; give finished runs on the same data, or one run with "
            "two arms"
        )
    return rows


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[Arm, Arm]]:
    """Yield (treatment, reference) by cell."""
    if len(runs) == 1:
        for cell in runs[0].cells:
            control = str((cell.first("control") or {}).get("row", next(iter(cell.arms), "")))
            for arm in (a for a in cell.arms if a != control):
                yield (runs[0], cell, arm), (runs[0], cell, control)
        return
    for later, cell in ((run, cell) for run in runs[1:] for cell in run.cells):
        first = next((c for c in runs[0].cells if c.name == cell.name), None)
        if first is None:
            continue
        shared = [(arm, arm) for arm in cell.arms if arm in first.arms]
        for arm, reference in shared or itertools.product(cell.arms, first.arms):
            yield (later, cell, arm), (runs[0], first, reference)


def _compare(one: Arm, other: Arm) -> Iterator[dict[str, Any]]:
    (run, cell, arm), (reference_run, reference, reference_arm) = one, other
    _check_data(one, other)
    mine = {seed.seed: seed for seed in cell.arms.get(arm, [])}
    theirs = {seed.seed: seed for seed in reference.arms.get(reference_arm, [])}
    seeds = sorted(mine.keys() & theirs.keys())
    for evaluator in _evaluators(one, other):
        tables = _tables(cell, evaluator, seeds, mine, theirs)
        for metric, (used, ours, others) in tables.items():
            found = statistics.compare(
                ours,
                others,
                name=cell.label(arm) if arm != reference_arm else run.path.name,
                higher_is_better=metric not in words.LOWER_IS_BETTER,
            )
            yield {
                "cell": cell.name,
                "evaluator": evaluator,
                "metric": metric,
                "run": run.path.name,
                "arm": arm,
                "reference_run": reference_run.path.name,
                "reference_arm": reference_arm,
                "treatment_mean": _mean(ours),
                "reference_mean": _mean(others),
                **asdict(found),
                "n_folds": ours.shape[1],
                "seeds": used,
            }


def _check_data(one: Arm, other: Arm) -> None:
    """Refuse two cells of one name whose data are not the same.

    Raises:
        UserError: the fingerprints differ.
    """
    (run, cell, _), (reference_run, reference, _) = one, other
    mine, theirs = cell.data.get("fingerprint"), reference.data.get("fingerprint")
    if mine != theirs:
        raise UserError(
            f"compare: {cell.name} is not the same data in {run.path} ({str(mine)[:12]}, "
            f"{cell.data.get('features')}) and {reference_run.path} ({str(theirs)[:12]}, "
            f"{reference.data.get('features')}); run one recipe again on the other's data"
        )


def _evaluators(one: Arm, other: Arm) -> list[str]:
    """Return the evaluators both arms have, in the order of the first.

    Raises:
        UserError: one name stands for two things, such as SVMs of different kernels.
    """
    mine, theirs = _labels(one), _labels(other)
    shared = [evaluator for evaluator in mine if evaluator in theirs]
    for evaluator in shared:
        if mine[evaluator] != theirs[evaluator]:
            raise UserError(
                f"compare: {one[1].name}: {evaluator} is {mine[evaluator]} in {one[0].path} and "
                f"{theirs[evaluator]} in {other[0].path}; run one with the other's evaluators"
            )
    return shared


def _labels(arm: Arm) -> dict[str, str]:
    """Return what each evaluator of an arm is, without its folds."""
    _, cell, name = arm
    rows = [row for row in cell.rows if row.get("row") == name]
    return {str(r.get("evaluator")): str(r.get("evaluator_label")).split(", ")[0] for r in rows}


def _tables(
    cell: Cell,
    evaluator: str,
    seeds: Sequence[int],
    mine: dict[int, SeedFolder],
    theirs: dict[int, SeedFolder],
) -> dict[str, tuple[list[int], Any, Any]]:
    """Return for every shared metric the seeds used and the scores of both. Shapes: [r, k]."""
    rows: dict[str, list[tuple[int, list[float], list[float]]]] = {}
    for seed in seeds:
        one, other = mine[seed].evaluation(evaluator), theirs[seed].evaluation(evaluator)
        if not one or not other:
            continue
        _check_folds(f"{cell.name}, seed {seed}, {evaluator}", one, other)
        for metric, values in (one.get("metrics") or {}).items():
            if metric in (other.get("metrics") or {}):
                pair = (_floats(values), _floats(other["metrics"][metric]))
                rows.setdefault(metric, []).append((seed, *pair))
    return {
        metric: (
            [seed for seed, _, _ in found],
            np.array([ours for _, ours, _ in found]),
            np.array([others for _, _, others in found]),
        )
        for metric, found in rows.items()
    }


def _check_folds(where: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """Refuse scores that were not measured on the same test folds.

    Raises:
        UserError: a graph is in another fold, or in one of the two only.
    """
    mine = _fold_of(one)
    theirs = _fold_of(other)
    moved = [name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)]
    if moved:
        example = min(moved, key=str)
        raise UserError(
            f"compare: {where}: {len(moved)} of {len(mine | theirs)} graphs are in other test "
            f"folds (graph {example}: fold {mine.get(example)} against {theirs.get(example)}); "
            "run both recipes with the same seeds and folds"
        )


def _fold_of(found: dict[str, Any]) -> dict[Any, Any]:
    folds = found.get("fold") or []
    return dict(zip(found.get("id") or range(len(folds)), folds, strict=False))


def _floats(values: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else float(value) for value in values]


def _mean(table: Any) -> float | None:
    return float(np.nanmean(table)) if np.isfinite(table).any() else None


def comparison_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return compared rows as a table."""
    same_run = all(row["run"] == row["reference_run"] for row in rows)
    header: tuple[str, ...] = ("Data", "Evaluator", "Metric", "Arm", "Reference", "Verdict")
    lines = []
    for row in rows:
        metric = row["metric"]
        arm, reference = (
            row[who] if same_run else f"{row[run]} / {row[who]}"
            for who, run in (("arm", "run"), ("reference_arm", "reference_run"))
        )
        numbers = (
            words.show(row["reference_mean"], metric),
            words.show(row["treatment_mean"], metric),
            words.show(row["mean"], metric, True),
            words.interval(row["ci"], metric, True),
            words.p_value(row["p"]),
            f"{len(row['seeds'])} {words.TIMES} {row['n_folds']}",
        )
        texts = (row["cell"], row["evaluator"], words.plain_name(metric), arm, reference)
        lines.append(Line((*texts, row["verdict"], *numbers)))
    header += ("Reference scores", "Arm scores", "Difference", "95 % interval", "p")
    header += ("Seeds, folds",)
    return Table("Comparison", header, tuple(lines), words=6)


def comparison_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return compared rows as a GitHub table."""
    return markdown.table(comparison_table(rows)) + "\n"


def comparison_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return compared rows as text for a terminal: one heading a pair of arms, a line a score."""
    lines: list[str] = []
    heading = ""
    for row in rows:
        pair = _heading(row)
        if pair != heading:
            lines += [*([""] if lines else []), pair]
            heading = pair
        lines.append(_line(row))
    return "\n".join(lines)


def _heading(row: dict[str, Any]) -> str:
    if row["run"] == row["reference_run"]:
        return f"{row['run']}: {row['arm']} minus {row['reference_arm']}"
    return f"{row['run']}/{row['arm']} minus {row['reference_run']}/{row['reference_arm']}"


def _line(row: dict[str, Any]) -> str:
    metric = row["metric"]
    name = f"{row['cell']} {row['evaluator']} {words.plain_name(metric)}"
    pair = f"{words.show(row['reference_mean'], metric)} -> "
    pair += words.show(row["treatment_mean"], metric)
    gap = f"{words.show(row['mean'], metric, True)} ({words.interval(row['ci'], metric, True)})"
    many = f"{len(row['seeds'])} x {row['n_folds']}"
    return f"  {name:<28} {pair:>14}  {gap:<22} p {words.p_value(row['p']):<7}  {many}\n" + (
        f"  {'':<28} {row['verdict']}"
    )
