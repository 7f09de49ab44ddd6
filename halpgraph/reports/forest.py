"""Forest plot of differences: a point and its interval a line, and where zero lies.

Positions are per cent of the strip, so that the plot is as wide as the screen allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from halpgraph.reports import svg
from halpgraph.reports.source import Cell, Row
from halpgraph.reports.verdict import tone_of
from halpgraph.reports.words import NOT_FRACTIONS, difference, interval, is_number, primary, show


@dataclass(frozen=True)
class ForestLine:
    """One difference: what is said beside it, and its strip."""

    label: str
    detail: str
    strip: Markup
    numbers: str
    verdict: str


@dataclass(frozen=True)
class Forest:
    """Lines over one common axis."""

    lines: list[ForestLine]
    axis: Markup
    unit: str


def cell_forest(cell: Cell) -> Forest | None:
    """Draw a cell's differences in its main metric: to the control, then to the floors."""
    metric = primary(cell)
    found = _chosen(cell, metric)
    many = len({d.get("evaluator") for d in found}) > 1
    labelled = [(*_words(cell, d, many), d) for d in found]
    return forest(labelled, metric)


def _chosen(cell: Cell, metric: str) -> list[Row]:
    """Return differences to trained arms by every evaluator, to floors by the main one."""
    kinds = {row.get("row"): row.get("kind") for row in cell.rows}
    main = (cell.main() or {}).get("evaluator")
    found = [d for d in cell.differences if d.get("metric") == metric]
    arms = [d for d in found if kinds.get(d.get("reference")) != "floor"]
    floors = [d for d in found if kinds.get(d.get("reference")) == "floor"]
    return arms + ([d for d in floors if d.get("evaluator") == main] or floors)


def run_forest(cells: Sequence[Cell]) -> Forest | None:
    """Draw treatment minus control of every cell over one axis."""
    labelled = []
    for cell in cells:
        found = difference(cell, cell.first("treatment"), cell.first("control"), primary(cell))
        if found:
            labelled.append((cell.title, "", found))
    return forest(labelled, primary(cells[0])) if labelled else None


def _words(cell: Cell, found: Row, many: bool) -> tuple[str, str]:
    treatment = cell.label(str(found.get("treatment")))
    reference = str(found.get("reference_label") or found.get("reference"))
    evaluators = {r.get("evaluator"): r.get("evaluator_label") for r in cell.rows}
    name = found.get("evaluator")
    detail = str(evaluators.get(name) or name) if many else ""
    return f"{treatment} \N{MINUS SIGN} {reference}", detail


def forest(labelled: Sequence[tuple[str, str, Row]], metric: str) -> Forest | None:
    """Draw differences, given as label, detail and what was found."""
    factor = 1.0 if metric in NOT_FRACTIONS else 100.0
    known = [(a, b, d) for a, b, d in labelled if is_number(d.get("mean"))]
    if not known:
        return None
    low, high = svg.limits([factor * end for end in _in_sight([d for _, _, d in known])], 0.08)
    scale = svg.Scale(low, high, 0.0, 100.0)
    marks = svg.ticks(low, high, 7)
    lines = [
        ForestLine(
            label,
            detail,
            _strip(found, scale, factor, marks, metric),
            f"{show(found['mean'], metric, True)} ({interval(found.get('ci'), metric, True)})",
            str(found.get("verdict") or ""),
        )
        for label, detail, found in known
    ]
    return Forest(lines, _axis(scale, marks), "" if factor == 1.0 else "percentage points")


def _in_sight(found: Sequence[Row]) -> list[float]:
    """Return the ends that the axis shows: one far line must not squeeze all the others."""
    widest = max((abs(end - d["mean"]) for d in found for end in _ends(d)), default=0.0)
    near = [d for d in found if min(map(abs, (*_ends(d), d["mean"]))) <= 2 * widest]
    return [0.0, *(end for d in near or found for end in (*_ends(d), d["mean"]))]


def _ends(found: Row) -> list[float]:
    ci = found.get("ci") or []
    return [float(end) for end in ci if is_number(end)]


def _strip(
    found: Row, scale: svg.Scale, factor: float, marks: Sequence[float], metric: str
) -> Markup:
    parts = [_upright(scale(mark), "grid") for mark in marks]
    parts.append(_upright(scale(0.0), "zero"))
    style = "var(--c0)" if tone_of(found, metric) in ("better", "worse") else "var(--quiet)"
    at, ends = scale(factor * found["mean"]), [scale(factor * end) for end in _ends(found)]
    if not 0 <= at <= 100:  # an arrow at the edge; the numbers stand beside it
        arrow = '<text x="{}%" y="19" text-anchor="{}" class="far" style="fill:{}">{}</text>'
        far = (100, "end", style, "\u25b6") if at > 100 else (0, "start", style, "\u25c0")
        parts.append(Markup(arrow).format(*far))
    elif len(ends) == 2:
        bar = (
            '<line x1="{:.2f}%" x2="{:.2f}%" y1="14" y2="14" style="stroke:{};stroke-width:3;'
            'stroke-linecap:round"/>'
        )
        parts.append(Markup(bar).format(*(min(max(end, 0), 100) for end in ends), style))
    if 0 <= at <= 100:
        dot = '<circle cx="{:.2f}%" cy="14" r="5.5" style="fill:{}"/>'
        parts.append(Markup(dot).format(at, style))
    return Markup('<svg class="strip" height="28" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )


def _upright(at: float, kind: str) -> Markup:
    return Markup('<line x1="{:.2f}%" x2="{:.2f}%" y1="0" y2="28" class="{}"/>').format(
        at, at, kind
    )


def _axis(scale: svg.Scale, marks: Sequence[float]) -> Markup:
    label = '<text x="{:.2f}%" y="13" text-anchor="{}">{}</text>'
    parts = []
    for mark in marks:
        at = scale(mark)
        anchor = "start" if at < 4 else "end" if at > 96 else "middle"
        sign = "+" if mark > 0 else ""
        parts.append(Markup(label).format(at, anchor, sign + svg.tick_label(mark)))
    return Markup('<svg class="strip" height="18" aria-hidden="true">{}</svg>').format(
        Markup("").join(parts)
    )
