"""Line charts over epochs: seeds as thin lines, their mean as a thick one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from halpgraph.reports import svg
from halpgraph.reports.words import is_number

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Series:
    """One quantity over epochs: a run of points for each seed."""

    label: str
    runs: list[Points]
    colour: int = 0
    dash: str = ""

    def mean(self) -> Points:
        """Return the mean over seeds at every epoch that any seed has."""
        found: dict[float, list[float]] = {}
        for run in self.runs:
            for x, y in run:
                found.setdefault(x, []).append(y)
        return [(x, _mean(found[x])) for x in sorted(found)]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


@dataclass(frozen=True)
class Figure:
    """A picture with its legend and caption; ``panel`` parts stand side by side."""

    title: str
    picture: Markup
    legend: list[tuple[Markup, str]] = field(default_factory=list)
    caption: str = ""


def series(
    label: str,
    histories: Sequence[list[dict[str, Any]]],
    value: Callable[[dict[str, Any]], Any],
    colour: int = 0,
    dash: str = "",
) -> Series:
    """Take one quantity out of the epochs of every seed; what is no number is a gap."""
    runs = [
        [(float(e["epoch"]), float(v) if is_number(v := value(e)) else math.nan) for e in history]
        for history in histories
    ]
    return Series(label, runs, colour, dash)


def has_values(one: Series) -> bool:
    """Tell whether anything was measured."""
    return any(math.isfinite(y) for run in one.runs for _, y in run)


def line_chart(
    title: str,
    many: Sequence[Series],
    y_label: str = "",
    y_range: tuple[float | None, float | None] = (None, None),
    note: str = "",
    seeds: bool = False,
) -> Figure | None:
    """Draw series over epochs.

    Args:
        title: heading of the figure.
        many: what to draw; series without a value are left out.
        y_label: name of the vertical axis.
        y_range: its ends; those of the values where they are not given.
        note: what the reader should know.
        seeds: whether the seeds are drawn as thin lines under the mean.

    Returns:
        The figure, or nothing where nothing was measured.
    """
    many = [one for one in many if has_values(one)]
    if not many:
        return None
    frame = svg.Frame()
    low, high = svg.limits(y for one in many for run in one.runs for _, y in run)
    low = low if y_range[0] is None else y_range[0]
    high = high if y_range[1] is None else y_range[1]
    epochs = [x for one in many for run in one.runs for x, _ in run]
    x, y = frame.x(min(epochs), max(epochs)), frame.y(low, high)
    parts = [svg.axes(frame, x, y, "epoch", y_label)]
    if seeds:
        parts += [_thin(one, run, x, y) for one in many for run in one.runs if len(one.runs) > 1]
    parts += [_thick(one, x, y) for one in many]
    said = f"{title}: " + ", ".join(one.label for one in many) + " over epochs"
    legend = [(svg.swatch(one.colour, one.dash), one.label) for one in many]
    return Figure(title, svg.picture(frame, Markup("").join(parts), said), legend, note)


def _thin(one: Series, run: Points, x: svg.Scale, y: svg.Scale) -> Markup:
    style = f"stroke:{svg.colour(one.colour)};stroke-width:1;opacity:.35"
    return svg.line([(x(a), y(b)) for a, b in run], style)


def _thick(one: Series, x: svg.Scale, y: svg.Scale) -> Markup:
    pixels = [(x(a), y(b)) for a, b in one.mean()]
    seen = [(a, b) for a, b in pixels if math.isfinite(b)]
    if len(seen) == 1:  # one epoch is a dot
        (a, b) = seen[0]
        mark = '<circle cx="{:.1f}" cy="{:.1f}" r="3.5" style="fill:{}"/>'
        return Markup(mark).format(a, b, svg.colour(one.colour))
    style = f"stroke:{svg.colour(one.colour)};stroke-dasharray:{one.dash or 'none'}"
    return svg.line(pixels, style)
