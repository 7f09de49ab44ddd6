"""What a run found, one sentence or two a cell, saying no more than the numbers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halpgraph.reports.source import Cell, Row, label_of
from halpgraph.reports.words import (
    HARD,
    LOWER_IS_BETTER,
    difference,
    folds_of,
    inside,
    interval,
    is_number,
    mean_of,
    names,
    points,
    primary,
    show,
    strongest_floor,
)

MANY = 3  # treatments, beyond which floors, and pairs without evidence, are told together


@dataclass(frozen=True)
class Verdict:
    """A finding: ``tone`` is better, worse, none (no evidence) or unknown (not tested).

    ``items`` are pairs that the text says the same of.
    """

    cell: str
    title: str
    tone: str
    text: str
    floor: str
    items: tuple[str, ...] = ()

    @property
    def opening(self) -> str:
        """Return the finding without what stands behind it."""
        return f"{self.title}: {self.text}"

    @property
    def sentence(self) -> str:
        """Return the whole finding as plain text."""
        items = f"{'; '.join(self.items)}." if self.items else ""
        return " ".join(part for part in (self.opening, items, self.floor) if part)


def verdicts(cell: Cell) -> list[Verdict]:
    """Put a cell's findings into words: each treatment against control and strongest floor.

    Of more than ``MANY`` treatments the floor is told once, in front; what was measured but not
    tested (one seed) in one sentence, and more than ``MANY`` pairs without evidence of a difference
    in one list.
    """
    rows = cell.treatments()
    found = [_verdict(cell, row, len(rows) <= MANY) for row in rows]
    if len(rows) > MANY:
        found = _shortened(cell, rows, found)
    nothing = "no arm was trained."
    if cell.data.get("num_classes") == 0:
        nothing = "the graphs have no class labels: they were embedded, nothing was evaluated."
    return found or [Verdict(cell.name, cell.title, "unknown", nothing, "")]


def _shortened(cell: Cell, rows: Sequence[Row], found: Sequence[Verdict]) -> list[Verdict]:
    """Tell together what is to be said of many rows."""
    pairs = list(zip(rows, found, strict=True))
    alike = [row for row, one in pairs if one.tone == "none"]
    bare = [row for row, one in pairs if one.tone == "unknown" and _gap(cell, row)]
    many = [(_untested, bare)] * (len(bare) > 1) + [(_alike, alike)] * (len(alike) > MANY)
    told = {id(row) for _, some in many for row in some}
    floor = Verdict(cell.name, cell.title, "unknown", _all_and_floor(cell, rows), "")
    apart = [one for row, one in pairs if id(row) not in told]
    return [floor, *apart, *(tell(cell, some) for tell, some in many)]


def _verdict(cell: Cell, main: Row, with_floor: bool) -> Verdict:
    metric = primary(cell)
    control = control_of(cell, main)
    found = difference(cell, main, control, metric)
    if found is None or control is None or not is_number(found.get("mean")):
        text, tone = _alone(main, control, metric), "unknown"
    else:
        tone = tone_of(found, metric)
        text = _compared(label_of(main), label_of(control), found, metric, tone)
        text += f"{folds_of(main, metric)}."
    floor = _floor(cell, main, metric) if with_floor else ""
    return Verdict(cell.name, cell.title, tone, text, floor)


def control_of(cell: Cell, main: Row) -> Row | None:
    """Return what a row is compared with: the arm it names, else the run's control."""
    named = main.get("control")
    return next(
        (
            row
            for row in cell.rows
            if row.get("evaluator") == main.get("evaluator")
            and (row.get("row") == named if named else row.get("kind") == "control")
        ),
        None,
    )


def tone_of(found: Row, metric: str) -> str:
    """Return better or worse where the interval leaves zero out, none where not, else unknown."""
    ci = found.get("ci") or []
    if len(ci) != 2 or not all(is_number(end) for end in (*ci, found.get("p"))):
        return "unknown"
    if ci[0] <= 0 <= ci[1]:
        return "none"
    return "better" if (ci[0] > 0) != (metric in LOWER_IS_BETTER) else "worse"


def _compared(treatment: str, control: str, found: Row, metric: str, tone: str) -> str:
    opening = {
        "none": f"no evidence of a difference between {treatment} and {control}",
        "better": f"{treatment} is better than {control}",
        "worse": f"{treatment} is worse than {control}",
        "unknown": f"the difference between {treatment} and {control} was measured, not tested",
    }[tone]
    tail = ""
    if tone != "unknown":
        tail = f", 95{HARD}% interval {interval(found.get('ci'), metric, True)}"
    return f"{opening}: {points(found['mean'], metric)}{tail}"


def _alone(main: Row, control: Row | None, metric: str) -> str:
    missing = "no control to compare it with" if control is None else "no difference was measured"
    if main is control:
        missing = "no treatment was run"
    reached = f"{label_of(main)} reaches {show(mean_of(main, metric), metric)}"
    return f"{reached}{folds_of(main, metric)}; {missing}."


def _untested(cell: Cell, rows: Sequence[Row]) -> Verdict:
    """Say in one sentence how far each row lies from its control where nothing could be tested."""
    said: dict[str, list[str]] = {}
    for row in rows:
        whose = label_of(control_of(cell, row) or row)
        said.setdefault(whose, []).append(f"{label_of(row)} {_gap(cell, row)}")
    each = "; ".join(f"to {whose}: {', '.join(gaps)}" for whose, gaps in said.items())
    text = f"differences measured, not tested{folds_of(rows[0], primary(cell))}, {each}."
    return Verdict(cell.name, cell.title, "unknown", text, "")


def _alike(cell: Cell, rows: Sequence[Row]) -> Verdict:
    """Put together pairs between which there is no evidence of a difference."""
    metric, items = primary(cell), []
    for row in rows:
        control = control_of(cell, row)
        found = difference(cell, row, control, metric) or {}
        tested = f"{points(found.get('mean'), metric)}, {interval(found.get('ci'), metric, True)}"
        items.append(f"{label_of(row)} minus {label_of(control or row)}: {tested}")
    text = f"no evidence of a difference{folds_of(rows[0], metric)}; 95{HARD}% intervals:"
    return Verdict(cell.name, cell.title, "none", text, "", tuple(items))


def _gap(cell: Cell, row: Row) -> str:
    """Return how far a row lies from its control, in points; nothing where it was not measured."""
    metric = primary(cell)
    found = difference(cell, row, control_of(cell, row), metric) or {}
    return points(found["mean"], metric) if is_number(found.get("mean")) else ""


def _all_and_floor(cell: Cell, rows: Sequence[Row]) -> str:
    """Say which of many rows reach more than the strongest floor."""
    metric = primary(cell)
    floor = strongest_floor(cell, metric)
    if floor is None:
        return f"{len(rows)} treatments, no floor was measured."
    sign, best = (-1 if metric in LOWER_IS_BETTER else 1), mean_of(floor, metric)
    above = [
        f"{label_of(row)} ({show(mean_of(row, metric), metric)})"
        for row in rows
        if sign * (mean_of(row, metric) or 0.0) > sign * (best or 0.0)
    ]
    evaluator = names(floor)[1].split(",")[0]
    return (
        f"the strongest floor, {inside(label_of(floor))}{_judged(evaluator)}, reaches "
        f"{show(best, metric)}; above it: {', '.join(above) or 'none'}, "
        f"{len(above)} of {len(rows)}."
    )


def _by(evaluator: str) -> str:
    """Name a classifier behind a label; the majority class has none."""
    return "" if evaluator in ("", "none") else f" by {inside(evaluator)}"


def _judged(evaluator: str) -> str:
    """Name a classifier behind a floor, whose label may have commas of its own."""
    by = _by(evaluator)
    return f", judged{by}" if by else ""


def _floor(cell: Cell, main: Row, metric: str) -> str:
    """Say where the strongest floor stands, and where the main row stands to it."""
    floor = strongest_floor(cell, metric)
    if floor is None:
        return "No floor was measured."
    best, own = mean_of(floor, metric), mean_of(main, metric)
    theirs, mine = (names(row)[1].split(",")[0] for row in (floor, main))
    judged, by = (_judged(theirs), _by(mine)) if theirs != mine else ("", "")
    opening = (
        f"The strongest floor, {inside(label_of(floor))}{judged}, reaches {show(best, metric)}"
    )
    if best is None or own is None:
        return f"{opening}."
    found = difference(cell, main, floor, metric, own=True)
    place = "above" if own > best else "below" if own < best else "level with"
    said, tail = f"is {place} it", ""
    if found and tone_of(found, metric) != "unknown":
        tail = f" ({points(found['mean'], metric)}, {interval(found['ci'], metric, True)})"
        if tone_of(found, metric) == "none":
            said = "shows no evidence of a difference from it"
    return f"{opening}; {label_of(main)}{by}, at {show(own, metric)}, {said}{tail}."
