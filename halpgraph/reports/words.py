"""How numbers are put into words, the same on the page, in Markdown and in the console."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from halpgraph.reports.source import Cell, Row, label_of

NOT_MEASURED = "not measured"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
HARD = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line
METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "ROC-AUC",
    "average_precision": "Average precision",
    "rmse": "RMSE",
    "mae": "MAE",
}
OFFICIAL = {"rocauc": "roc_auc", "ap": "average_precision", "acc": "accuracy"}  # names of OGB
NOT_FRACTIONS = frozenset({"rmse", "mae", "mse", "r2"})
LOWER_IS_BETTER = frozenset({"rmse", "mae", "mse"})


def is_number(value: Any) -> bool:
    """Tell whether a value from JSON is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def plain_name(metric: str) -> str:
    """Return a metric's name; ``accuracy@1%`` is the accuracy with 1 % of the labels."""
    metric, _, share = metric.partition("@")
    if share:
        return f"{plain_name(metric)} with {share.removesuffix('%')}{HARD}% of labels"
    return METRICS.get(metric, metric.replace("_", " ").capitalize())


def metric_name(metric: str) -> str:
    """Return a metric's name for headings, with its unit."""
    return plain_name(metric) + ("" if metric in NOT_FRACTIONS else ", %")


def inside(label: str) -> str:
    """Return a label for the middle of a sentence; abbreviations keep their capitals."""
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def show(value: Any, metric: str = "accuracy", signed: bool = False) -> str:
    """Return a value in the unit of its metric: per cent with one decimal, or three decimals."""
    if not is_number(value):
        return NOT_MEASURED
    number, decimals = (value, 3) if metric in NOT_FRACTIONS else (100 * value, 1)
    number = round(number, decimals)
    sign = MINUS if number < 0 else "+" if signed and number > 0 else ""
    return f"{sign}{abs(number):.{decimals}f}"


def interval(ci: Any, metric: str = "accuracy", signed: bool = False) -> str:
    """Return an interval as ``lo to hi``."""
    if not isinstance(ci, Sequence) or len(ci) != 2 or not all(is_number(end) for end in ci):
        return NOT_MEASURED
    return f"{show(ci[0], metric, signed)} to {show(ci[1], metric, signed)}"


def points(value: Any, metric: str) -> str:
    """Return a signed difference with its unit."""
    unit = "" if metric in NOT_FRACTIONS else f"{HARD}points"
    return show(value, metric, signed=True) + unit


def number(value: Any, decimals: int = 0, unit: str = "") -> str:
    """Return a plain number with thousands marked by thin spaces."""
    if not is_number(value):
        return NOT_MEASURED
    text = f"{abs(value):,.{decimals}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{MINUS if value < 0 else ''}{text}{unit}"


def p_value(value: Any) -> str:
    """Return a p value with three decimals; very small ones as a bound."""
    return "< 0.001" if is_number(value) and value < 0.001 else number(value, 3)


def seconds(value: Any) -> str:
    """Return a time that a person can read: ``0.42 s``, ``38 s``, ``12 min 05 s``."""
    if not is_number(value):
        return NOT_MEASURED
    if value < 10:
        return f"{value:.2f} s"
    whole = round(value)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def metrics_of(rows: Iterable[Row]) -> list[str]:
    """Return the metrics that any row has: the known ones first, in their order."""
    found = {metric: None for row in rows for metric in row.get("metrics") or {}}
    known = [metric for metric in METRICS if metric in found]
    return known + [metric for metric in found if metric not in METRICS]


def primary(cell: Cell) -> str:
    """Return the metric that headlines use: the data set's official one, else accuracy."""
    known = metrics_of(cell.rows) or ["accuracy"]
    official = str(cell.data.get("metric"))
    official = OFFICIAL.get(official, official)
    return official if official in known else known[0]


def measured(row: Row | None, metric: str) -> dict[str, Any]:
    """Return what a row says of a metric, or nothing."""
    return ((row or {}).get("metrics") or {}).get(metric) or {}


def mean_of(row: Row | None, metric: str) -> float | None:
    """Return a row's mean of a metric, if it is a number."""
    value = measured(row, metric).get("mean")
    return float(value) if value is not None and is_number(value) else None


def strongest_floor(cell: Cell, metric: str) -> Row | None:
    """Return the floor with the best mean; one that is given the embedding is no floor to it."""
    floors = [r for r in cell.rows if r.get("kind") == "floor" and mean_of(r, metric) is not None]
    plain = [row for row in floors if not str(row.get("row")).endswith("+embedding")]
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    return max(plain, key=lambda row: sign * (mean_of(row, metric) or 0.0), default=None)


def difference(
    cell: Cell, treatment: Row | None, row: Row | None, metric: str, own: bool = False
) -> Row | None:
    """Return a treatment's difference to a row, by the row's evaluator or else its own.

    With ``own`` by its own alone, for sentences that tell this row's mean beside it.
    """
    if treatment is None or row is None:
        return None
    mine, theirs = treatment.get("evaluator"), row.get("evaluator")
    found = [
        d
        for d in cell.differences
        if (d.get("treatment"), d.get("reference")) == (treatment.get("row"), row.get("row"))
        and d.get("metric") == metric
        and d.get("reference_evaluator", theirs) == theirs
    ]
    by = {d.get("evaluator"): d for d in reversed(found)}
    return by.get(mine) if own else by.get(theirs) or by.get(mine)


def folds_of(row: Row | None, metric: str) -> str:
    """Return ``(5 seeds x 10 folds)``, as far as it is known."""
    said = measured(row, metric)
    parts = [
        f"{said[key]}{HARD}{word if said[key] == 1 else word + 's'}"
        for key, word in (("n_seeds", "seed"), ("n_folds", "fold"))
        if is_number(said.get(key))
    ]
    return f" ({f'{HARD}{TIMES}{HARD}'.join(parts)})" if parts else ""


def names(row: Row) -> tuple[str, str]:
    """Return the label of a row and of its evaluator."""
    return label_of(row), str(row.get("evaluator_label") or row.get("evaluator") or NOT_MEASURED)
