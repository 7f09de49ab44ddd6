"""Small pieces of SVG: scales, ticks, axes, lines. Colours are CSS variables, so themes apply."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

COLOURS = 8
DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Scale:
    """A linear map from data ``low..high`` to pixels ``start..end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


@dataclass(frozen=True)
class Frame:
    """Size of a plot and the room left for its axes."""

    width: int = 340
    height: int = 210
    left: int = 44
    right: int = 10
    top: int = 10
    bottom: int = 34

    def x(self, low: float, high: float) -> Scale:
        """Return the horizontal scale."""
        return Scale(low, high, self.left, self.width - self.right)

    def y(self, low: float, high: float) -> Scale:
        """Return the vertical scale; larger is higher."""
        return Scale(low, high, self.height - self.bottom, self.top)


def colour(index: int) -> str:
    """Return the CSS variable of a colour of the palette."""
    return f"var(--c{index % COLOURS})"


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round values inside ``low..high``."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float, unit: str = "") -> str:
    """Return a short label of a tick, with a true minus sign."""
    text = f"{abs(value):.6g}"
    return ("\N{MINUS SIGN}" if value < 0 else "") + text + unit


def limits(values: Iterable[float], room: float = 0.06) -> tuple[float, float]:
    """Return the range of the finite values with some room; 0..1 where there are none."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    pad = (high - low) * room or abs(high) * 0.05 or 0.5
    return low - pad, high + pad


def line(points: Sequence[tuple[float, float]], style: str) -> Markup:
    """Return a line through pixels; it breaks where a value is missing."""
    path, pen = [], "M"
    for x, y in points:
        if math.isfinite(y):
            path.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
        else:
            pen = "M"
    return Markup('<path d="{}" class="line" style="{}"/>').format("".join(path), style)


def text(x: float, y: float, words: str, anchor: str = "middle", turn: bool = False) -> Markup:
    """Return a text; ``turn`` sets it upright along the vertical axis."""
    spin = Markup(' transform="rotate(-90 {:.0f} {:.0f})"').format(x, y) if turn else Markup("")
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>').format(
        x, y, anchor, spin, words
    )


def axes(frame: Frame, x: Scale, y: Scale, x_label: str, y_label: str) -> Markup:
    """Return grid lines, tick labels and names of both axes."""
    parts = []
    for value in ticks(y.low, y.high):
        at = y(value)
        parts.append(_rule(x.start, at, x.end, at, "grid"))
        parts.append(text(x.start - 5, at + 4, tick_label(value), "end"))
    whole = x_label == "epoch"  # there is no epoch and a half
    for value in (v for v in ticks(x.low, x.high) if not whole or v == round(v)):
        parts.append(_rule(x(value), y.start, x(value), y.start + 4, "axis"))
        parts.append(text(x(value), y.start + 16, tick_label(value)))
    parts.append(_rule(x.start, y.start, x.end, y.start, "axis"))
    parts.append(text((x.start + x.end) / 2, frame.height - 3, x_label))
    if y_label:
        parts.append(text(10, (y.start + y.end) / 2, y_label, turn=True))
    return Markup("").join(parts)


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" class="{}"/>').format(
        x1, y1, x2, y2, kind
    )


def picture(frame: Frame, body: Markup, said: str) -> Markup:
    """Wrap a drawing; ``said`` tells those who cannot see it what it shows."""
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(frame.width, frame.height, said, said, body)


def swatch(index: int, dash: str = "") -> Markup:
    """Return the sample of a line for a legend."""
    style = f"stroke:{colour(index)};stroke-dasharray:{escape(dash) or 'none'}"
    return Markup(
        '<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true">'
        '<path d="M0 5H26" class="line" style="{}"/></svg>'
    ).format(style)
