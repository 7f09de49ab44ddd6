"""The table at the end of a run, for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from halpgraph.reports.source import Cell, Row, label_of
from halpgraph.reports.tables import NOTHING, compared, minus_of, ordered, with_interval
from halpgraph.reports.verdict import verdicts
from halpgraph.reports.words import (
    NOT_MEASURED,
    difference,
    measured,
    metric_name,
    primary,
    show,
    strongest_floor,
)

STYLES = {"floor": "dim", "treatment": "bold"}
TONES = {"better": "green", "worse": "red"}


def print_scores(scores: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the scores of a run: a table and a finding a cell."""
    (console or Console()).print(scores_view(scores))


def scores_view(scores: Mapping[str, Any]) -> RenderableType:
    """Return what ``print_scores`` prints."""
    parts: list[RenderableType] = []
    for entry in scores.get("cells") or []:
        cell = Cell(
            name=str(entry.get("name", "?")),
            data=entry.get("data") or {},
            rows=list(entry.get("rows") or []),
            differences=list(entry.get("differences") or []),
        )
        parts.append(_table(cell))
        parts += [Text(v.sentence, style=TONES.get(v.tone, "")) for v in verdicts(cell)]
        parts.append(Text())
    return Group(*parts)


def _table(cell: Cell) -> Table:
    metric, floor = primary(cell), strongest_floor(cell, primary(cell))
    table = Table(title=cell.title, title_justify="left", box=None, pad_edge=False, expand=False)
    table.add_column("", overflow="fold", ratio=3)
    table.add_column("evaluator", overflow="fold", ratio=2)
    table.add_column(metric_name(metric), justify="right", no_wrap=True)
    for word in ("sd over\nseeds", "sd over\nfolds"):
        table.add_column(word, justify="right", no_wrap=True)
    treatment = compared(cell)
    if treatment is not None:
        many = len(cell.treatments()) > 1
        what = "minus its control" if many else f"{label_of(treatment)} minus row"
        table.add_column(f"{what}\n(95 % interval)", justify="right", no_wrap=not many)
    for row in ordered(cell.rows):
        label = Text(label_of(row) + (" *" if row is floor else ""))
        cells = [label, Text(_judge(row)), *_numbers(row, metric)]
        if treatment is not None:
            cells.append(Text(_minus(cell, row, treatment, metric)))
        table.add_row(*cells, style=STYLES.get(str(row.get("kind")), ""))
    if floor is not None:
        table.caption, table.caption_justify = "* strongest floor", "left"
    return table


def _judge(row: Row) -> str:
    """Return the evaluator's name without its protocol, which the report tells."""
    return str(row.get("evaluator_label") or row.get("evaluator", "")).split(", ")[0]


def _numbers(row: Row, metric: str) -> list[Text]:
    said = measured(row, metric)
    values = [_short(show(said.get(key), metric)) for key in ("mean", "sd_seeds", "sd_folds")]
    return [Text(value) for value in values]


def _minus(cell: Cell, row: Row, treatment: Row, metric: str) -> str:
    if len(cell.treatments()) > 1:
        return minus_of(cell, row, treatment, metric)
    if row.get("kind") == treatment.get("kind"):
        return ""
    found = difference(cell, treatment, row, metric)
    return with_interval(found, metric) if found else NOTHING


def _short(value: str) -> str:
    """Return a dash for what was not measured; the report says it in words."""
    return NOTHING if value == NOT_MEASURED else value
