"""Strips as SVG text: needs nothing else, and takes its colours from the page it stands in."""

from __future__ import annotations

from typing import Any

from markupsafe import escape
from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.drawing.picture import LEFT, MIDDLE, NARROW, RIGHT, Limbs, Picture, strip
from halpgraph.drawing.scene import make_scene
from halpgraph.layout import Layout

COLOURS = {  # those of the report page; the second is for pages without its variables
    LEFT: "var(--c0,#0072b2)",
    RIGHT: "var(--c1,#d55e00)",
    MIDDLE: "var(--ink,currentColor)",
}
FADED = 0.4
THEME = (
    "<style>:root{--paper:#fff;--ink:#1b1f24;--c0:#0072b2;--c1:#d55e00;color:var(--ink)}"
    "@media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e9ec;--c0:#5ab4ee;"
    '--c1:#ff8a47}}</style><rect width="100%" height="100%" style="fill:var(--paper)"/>'
)


def strip_svg(
    clip: Clip | NDArray[Any],
    layout: Layout,
    frames: int = 8,
    turn: float = 0.0,
    legend: bool = True,
    said: str = "",
    alone: bool = False,
    cell: float = NARROW,
) -> str:
    """Draw a clip as a strip of stick figures.

    Args:
        clip: what to draw, or its poses.
        layout: of its joints.
        frames: how many, evenly spread.
        turn: degrees that the viewer walks around the up axis (poses in space only).
        legend: whether a row says what the colours are, and which axes point right and up.
        said: what it shows, for those who cannot see it.
        alone: whether it is to be a file of its own, which brings its colours along.
        cell: the least width of a frame, so that several strips can be of one size.

    Shapes: clip [M, T, V, C].

    Raises:
        UserError: not poses of this layout, or settings that cannot be drawn.
    """
    pose = clip.pose if isinstance(clip, Clip) else clip
    scene = make_scene(pose, layout, frames, turn)
    words = said or f"{scene.persons} persons, {len(scene.frames)} of {scene.total} frames"
    return picture_svg(strip(scene, legend, cell), words, alone)


def picture_svg(picture: Picture, said: str, alone: bool = False) -> str:
    """Return a picture as SVG text."""
    size = f"{picture.width:.0f} {picture.height:.0f}"
    head = f'<svg viewBox="0 0 {size}" class="poses" role="img" aria-label="{escape(said)}"'
    if alone:
        wide, high = size.split()
        head += f' xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}"'
    parts = [f"{head}><title>{escape(said)}</title>", THEME if alone else ""]
    if picture.ground:
        lines = "".join(f"M{a:.1f} {y:.1f}H{b:.1f}" for a, b, y in picture.ground)
        parts.append(f'<path d="{lines}" style="stroke:var(--rule,#8886);fill:none"/>')
    parts += [_limbs(limbs) for limbs in picture.limbs]
    parts.append('<g font-family="system-ui,sans-serif" font-size="11" fill="currentColor">')
    parts += [
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        for x, y, text, anchor in picture.words
    ]
    return "".join([*parts, "</g></svg>"])


def _limbs(limbs: Limbs) -> str:
    """Return bones as one path, and joints as another: lines without length, with round ends."""
    lines = "".join(f"M{a:g} {b:g}L{c:g} {d:g}" for a, b, c, d in limbs.lines)
    dots = "".join(f"M{a:g} {b:g}h0" for a, b in limbs.dots)
    style = f"stroke:{COLOURS[limbs.side]};stroke-linecap:round;fill:none"
    faded = f' opacity="{FADED}"' if limbs.faded else ""
    return (
        f'<g style="{style}"{faded}>'
        + (f'<path class="bones" d="{lines}" stroke-width="2"/>' if lines else "")
        + f'<path class="joints" d="{dots}" stroke-width="4.4"/></g>'
    )
