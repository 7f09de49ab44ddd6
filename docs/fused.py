"""Streams of finished runs, fused clip by clip, as the pages of results show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halpgraph.ensemble import ensemble
from halpgraph.rundir import RunDir
from halpgraph.statistics import compare

STREAM = "method.stream"  # a recipe's grid over it has a cell a stream


def fuse(
    run: RunDir, arm: str, streams: Sequence[str], weights: Sequence[float] | None, judge: str
) -> dict[str, Any]:
    """Return what ``halpgraph ensemble`` says of an arm's streams."""
    return ensemble([f"{run.path}:stream-{stream}/{arm}" for stream in streams], weights, judge)


def shown(row: dict[str, Any]) -> str:
    """Return a row's accuracy: mean and deviation over seeds, in %."""
    accuracy = row["metrics"]["accuracy"]
    return f"{100 * accuracy['mean']:.1f} ± {100 * (accuracy['sd_seeds'] or 0):.1f}"


def gap(treatment: dict[str, Any], reference: dict[str, Any]) -> str:
    """Return treatment minus reference, paired over seeds (one test set), with its interval."""
    tables = (row["metrics"]["accuracy"]["per_seed"] for row in (treatment, reference))
    found = compare(*tables, name="HaLP")
    if found.mean is None or found.ci is None:
        return ""
    low, high = (100 * value for value in found.ci)
    return f"{100 * found.mean:+.1f} ({low:+.1f} to {high:+.1f})"


def fused_table(run: RunDir) -> list[str]:
    """Return, for each arm and evaluator, every stream alone and all of them together."""
    recipe = run.recipe
    streams = recipe["grid"][STREAM]
    control = recipe["control"]
    treated = next(arm for arm in recipe["arms"] if arm != control)
    lines = [
        f"| evaluator | arm | {' | '.join(streams)} | fused | fused, HaLP minus MoCo |",
        f"|---|---|{'--:|' * (len(streams) + 2)}",
    ]
    for judge in ("linear", "svm", "knn"):
        if judge not in {spec["name"] for spec in recipe["evaluators"]}:
            continue
        rows = {arm: fuse(run, arm, streams, None, judge) for arm in (control, treated)}
        for arm, row in rows.items():
            values = [shown(one) for one in row["members"]] + [f"**{shown(row)}**"]
            last = gap(row, rows[control]) if arm != control else ""
            label = recipe["arms"][arm]["label"] or arm
            lines.append(f"| {judge} | {label} | {' | '.join(values)} | {last} |")
    return lines
