"""The tables of a report, as plain text cells; page, Markdown and console draw the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halpgraph.reports.source import Cell, Row, Run, label_of
from halpgraph.reports.verdict import control_of
from halpgraph.reports.words import (
    HARD,
    NOT_MEASURED,
    difference,
    folds_of,
    interval,
    is_number,
    mean_of,
    measured,
    metric_name,
    metrics_of,
    names,
    primary,
    show,
    strongest_floor,
)

ORDER = {"floor": 0, "control": 1, "arm": 2, "treatment": 3}
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Line:
    """One line of a table: ``kind`` colours it, ``tag`` is a remark beside its name."""

    cells: tuple[str, ...]
    kind: str = ""
    tag: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first ``words`` columns are text, the others numbers."""

    caption: str
    header: tuple[str, ...]
    lines: tuple[Line, ...]
    words: int = 1
    note: str = ""


def ordered(rows: Sequence[Row]) -> list[Row]:
    """Return the rows as floors, control, other arms, treatment; the recipe's order within."""
    return sorted(rows, key=lambda row: ORDER.get(str(row.get("kind")), 2))


def results(cell: Cell) -> Table:
    """Return a cell's main table: every row and evaluator, spreads labelled apart."""
    metric, rows = primary(cell), ordered(cell.rows)
    others = [m for m in metrics_of(rows) if m != metric]
    floor, treatment = strongest_floor(cell, metric), compared(cell)
    many = len(cell.treatments()) > 1
    minus = f"{label_of(treatment)} minus this row" if treatment else ""
    minus = "minus its control" if treatment and many else minus
    header: tuple[str, ...] = ("Row", "Evaluator", metric_name(metric), f"95{HARD}% interval")
    header += ("sd over seeds",)
    header += ("sd over folds", *[metric_name(m) for m in others], *([minus] if minus else []))
    lines = []
    for row in rows:
        label, evaluator = names(row)
        said = measured(row, metric)
        cells = [label, evaluator, show(said.get("mean"), metric), interval(said.get("ci"), metric)]
        cells += [_spread(said, metric), show(said.get("sd_folds"), metric)]
        cells += [show(mean_of(row, m), m) for m in others]
        if treatment:
            cells.append(minus_of(cell, row, treatment, metric))
        tag = "strongest floor" if row is floor else ""
        lines.append(Line(tuple(cells), str(row.get("kind", "")), tag))
    caption = cell.title + folds_of(cell.main(), metric)
    return Table(caption, header, tuple(lines), words=2, note=_notes(rows))


def compared(cell: Cell) -> Row | None:
    """Return the row that others are compared with: the first treatment, or arm."""
    main = cell.main()
    return main if main is not None and main.get("kind") != "control" else None


def _spread(said: Row, metric: str) -> str:
    """Return the spread over seeds; one seed has none."""
    if said.get("n_seeds") == 1:
        return "one seed"
    return show(said.get("sd_seeds"), metric)


def minus_of(cell: Cell, row: Row, treatment: Row, metric: str) -> str:
    """Return the treatment minus a row; of several treatments, each of them minus its control."""
    if len(cell.treatments()) > 1:
        other = control_of(cell, row) if row.get("kind") in ("treatment", "arm") else None
        found = difference(cell, row, other, metric)
        if found is None or other is None:
            return NOTHING
        return f"{with_interval(found, metric)} to {label_of(other)}"
    if row.get("kind") == treatment.get("kind"):
        return NOTHING
    found = difference(cell, treatment, row, metric)
    return with_interval(found, metric) if found else NOT_MEASURED


def with_interval(found: Row, metric: str) -> str:
    """Return a difference and its interval: ``+0.2 (-1.1 to +1.5)``."""
    return f"{show(found.get('mean'), metric, True)} ({interval(found.get('ci'), metric, True)})"


def _notes(rows: Sequence[Row]) -> str:
    """Return what is noted of rows, each note once: of whom, or of what all rows are judged by."""
    said: dict[str, list[Row]] = {}
    for row in rows:
        for note in row.get("notes") or []:
            said.setdefault(str(note).rstrip("."), []).append(row)
    return " ".join(f"{_whose(rows, noted)}: {note}." for note, noted in said.items())


def _whose(rows: Sequence[Row], noted: Sequence[Row]) -> str:
    """Return the evaluators, where all they judged is noted, several rows; otherwise the rows."""
    by = {row.get("evaluator") for row in noted}
    judged = [row for row in rows if row.get("evaluator") in by]
    several = len({label_of(row) for row in noted}) > 1
    if several and len(judged) == len(noted):
        return "; ".join(dict.fromkeys(names(row)[1] for row in noted))
    return ", ".join(dict.fromkeys(label_of(row) for row in noted))


def overview(run: Run) -> Table:
    """Return one table over all cells: rows down, cells across, and the difference at the foot."""
    keys: dict[tuple[str, str], Row] = {}
    for cell in run.cells:
        for row in ordered(cell.rows):
            keys.setdefault((str(row.get("row")), str(row.get("evaluator"))), row)
    many = len({evaluator for _, evaluator in keys}) > 1
    lines = []
    for (name, evaluator), row in sorted(
        keys.items(), key=lambda item: ORDER.get(str(item[1].get("kind")), 2)
    ):
        twice = many and sum(row_name == name for row_name, _ in keys) > 1
        label = ", ".join(names(row)) if twice else label_of(row)
        cells = [_overview_cell(cell, name, evaluator) for cell in run.cells]
        lines.append(Line((label, *cells), str(row.get("kind", ""))))
    if any(row.get("kind") == "treatment" for row in keys.values()):
        lines.append(Line((_minus_control(run.cells[0]), *map(_headline, run.cells)), "difference"))
    header = ("", *[cell.title for cell in run.cells])
    metric = metric_name(primary(run.cells[0])) if run.cells else ""
    return Table(
        f"Overview: {metric.lower()}, mean \N{PLUS-MINUS SIGN} sd over seeds",
        header,
        tuple(lines),
        note="* strongest floor of the column. Differences: 95 % interval in brackets.",
    )


def _minus_control(cell: Cell) -> str:
    treatment, control = cell.first("treatment"), cell.first("control")
    if treatment is None or control is None:
        return "Treatment minus control"
    return f"{label_of(treatment)} minus {label_of(control)}"


def _overview_cell(cell: Cell, name: str, evaluator: str) -> str:
    metric = primary(cell)
    row = next(
        (r for r in cell.rows if (str(r.get("row")), str(r.get("evaluator"))) == (name, evaluator)),
        None,
    )
    if row is None or mean_of(row, metric) is None:
        return NOT_MEASURED
    return value_and_spread(row, metric) + (" *" if row is strongest_floor(cell, metric) else "")


def value_and_spread(row: Row, metric: str) -> str:
    """Return ``mean ± sd over seeds``, the mean alone where there is one seed."""
    said = measured(row, metric)
    text = show(said.get("mean"), metric)
    if said.get("n_seeds") == 1 or not is_number(said.get("sd_seeds")):
        return text
    return f"{text} \N{PLUS-MINUS SIGN} {show(said['sd_seeds'], metric)}"


def _headline(cell: Cell) -> str:
    found = difference(cell, cell.first("treatment"), cell.first("control"), primary(cell))
    return with_interval(found, primary(cell)) if found else NOT_MEASURED


def per_seed(cell: Cell) -> Table:
    """Return every row's mean of every seed."""
    metric = primary(cell)
    many = [row for row in ordered(cell.rows) if measured(row, metric).get("per_seed")]
    width = max((len(measured(row, metric)["per_seed"]) for row in many), default=0)
    lines = []
    for row in many:
        values = [show(value, metric) for value in measured(row, metric)["per_seed"]]
        values += [NOTHING] * (width - len(values))
        lines.append(Line((*names(row), *values), str(row.get("kind", ""))))
    header = ("Row", "Evaluator", *[f"Seed {k + 1} of {width}" for k in range(width)])
    return Table(f"{cell.title}: {metric_name(metric)}, each seed", header, tuple(lines), words=2)
