"""Streams of finished runs, fused clip by clip, as the pages of results show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halpgraph.ensemble import ensemble
from halpgraph.recipe import cell_part
from halpgraph.rundir import RunDir
from halpgraph.statistics import compare

STREAM = "method.stream"  # a recipe's grid over it has a cell a stream
CHOSEN = ("motion", "bone-motion", "distances")  # of all threes the best inside: search.md


def fuse(
    run: RunDir,
    arm: str,
    streams: Sequence[str],
    weights: Sequence[float] | None,
    judge: str,
    each: int = 1,
) -> dict[str, Any]:
    """Return what ``halpgraph ensemble`` says of an arm's streams."""
    members = [f"{run.path}:{cell_part(STREAM, stream)}/{arm}" for stream in streams]
    return ensemble(members, weights, judge, each=each)


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


def fused_table(run: RunDir, each: int = 1) -> list[str]:
    """Return, for each arm and evaluator, every stream alone, all of them together, and some.

    Of every stream ``each`` trainings are fused.
    """
    recipe = run.recipe
    streams = recipe["grid"][STREAM]
    control = recipe["control"]
    treated = next(arm for arm in recipe["arms"] if arm != control)
    sets = [streams] + [list(CHOSEN)] * (set(CHOSEN) < set(streams))
    heads = ["all of them", " + ".join(CHOSEN)][: len(sets)]
    columns = [*streams, *(word for head in heads for word in (head, "HaLP minus MoCo"))]
    lines = [f"| evaluator | arm | {' | '.join(columns)} |", f"|---|---|{'--:|' * len(columns)}"]
    for judge in ("linear", "svm", "knn"):
        if judge not in {spec["name"] for spec in recipe["evaluators"]}:
            continue
        arms = ["untrained"] * ("untrained" in recipe["floors"]) + [control, treated]
        rows = {arm: [fuse(run, arm, some, None, judge, each) for some in sets] for arm in arms}
        for arm, found in rows.items():
            cells = [shown(one) for one in found[0]["members"]]
            for row, reference in zip(found, rows[control], strict=True):
                cells += [f"**{shown(row)}**", gap(row, reference) if arm == treated else ""]
            label = recipe["arms"].get(arm, {"label": "Untrained encoder"})["label"] or arm
            lines.append(f"| {judge} | {label} | {' | '.join(cells)} |")
    return lines
