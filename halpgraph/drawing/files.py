"""Strips and moving figures as files: PNG and GIF through Matplotlib, SVG as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.drawing.picture import LEFT, MIDDLE, RIGHT, Limbs, Picture, stills, strip
from halpgraph.drawing.scene import make_scene
from halpgraph.drawing.svg import FADED, strip_svg
from halpgraph.errors import UserError
from halpgraph.files import write_text, write_with
from halpgraph.layout import Layout

PAPER, INK, RULE = "#ffffff", "#1b1f24", "#d9dee4"
COLOURS = {LEFT: "#0072b2", RIGHT: "#d55e00", MIDDLE: INK}
INCH = 100.0  # pixels of a picture that are an inch of Matplotlib's
FINE = 2.0  # pixels of a PNG for one of the picture
MOST_FRAMES = 120  # of a GIF


def save_strip(
    path: Path, clip: Clip | NDArray[Any], layout: Layout, frames: int = 8, turn: float = 0.0
) -> int:
    """Write a strip of stick figures as ``.png`` or ``.svg``; return how many frames it shows.

    Args:
        path: the file; what is there is replaced.
        clip: what to draw, or its poses.
        layout: of its joints.
        frames: how many, evenly spread.
        turn: degrees that the viewer walks around the up axis (poses in space only).

    Shapes: clip [M, T, V, C].

    Raises:
        UserError: another ending, not poses of this layout, or settings that cannot be drawn.
        RunError: the file cannot be written.
    """
    if path.suffix not in (".png", ".svg"):
        raise UserError(f"{path}: a strip is drawn as .png or .svg")
    pose = clip.pose if isinstance(clip, Clip) else clip
    scene = make_scene(pose, layout, frames, turn)
    if path.suffix == ".svg":
        write_text(path, strip_svg(pose, layout, frames, turn, alone=True) + "\n")
    else:
        figure = _figure(strip(scene))
        write_with(path, lambda out: figure.savefig(out, format="png", dpi=INCH * FINE))
    return len(scene.frames)


def save_gif(
    path: Path,
    clip: Clip | NDArray[Any],
    layout: Layout,
    frames: int | None = None,
    turn: float = 0.0,
    fps: float = 20.0,
) -> int:
    """Write a moving figure as ``.gif``; return how many frames it has.

    Args:
        path: the file; what is there is replaced.
        clip: what to draw, or its poses.
        layout: of its joints.
        frames: how many, evenly spread; all by default, of a long clip 120.
        turn: degrees that the viewer walks around the up axis (poses in space only).
        fps: frames a second.

    Shapes: clip [M, T, V, C].

    Raises:
        UserError: another ending, not poses of this layout, or settings that cannot be drawn.
        RunError: the file cannot be written.
    """
    if path.suffix != ".gif":
        raise UserError(f"{path}: a moving figure is drawn as .gif")
    if not fps > 0:
        raise UserError(f"fps: must be above 0 (got {fps:g})")
    pose = clip.pose if isinstance(clip, Clip) else clip
    scene = make_scene(pose, layout, frames or MOST_FRAMES, turn)
    images = [_image(picture) for picture in stills(scene)]
    first, rest = images[0], images[1:]
    pause = round(1000 / fps)

    def write(out: Any) -> None:
        first.save(
            out, format="GIF", save_all=True, append_images=rest, duration=pause, loop=0, disposal=2
        )

    write_with(path, write)
    return len(images)


def _image(picture: Picture) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(_figure(picture))
    canvas.draw()
    colours = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return colours.quantize(64, dither=Image.Dither.NONE)


def _colour(limbs: Limbs) -> tuple[float, ...]:
    """Return the colour of limbs, mixed with that of the paper where they are paler."""
    from matplotlib.colors import to_rgb

    share = FADED if limbs.faded else 1.0
    both = zip(to_rgb(COLOURS[limbs.side]), to_rgb(PAPER), strict=True)
    return tuple(share * own + (1 - share) * paper for own, paper in both)


def _figure(picture: Picture) -> Any:
    """Return a picture as a Matplotlib figure, one unit a pixel."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    size = (round(picture.width) / INCH, round(picture.height) / INCH)
    figure = Figure(figsize=size, dpi=INCH, facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    axes.axis("off")
    point = 72 / INCH * picture.size
    rules = [[(a, y), (b, y)] for a, b, y in picture.ground]
    axes.add_collection(LineCollection(rules, colors=RULE, linewidths=72 / INCH))
    for order, limbs in enumerate(picture.limbs, start=2):
        colour = _colour(limbs)
        bones = [[(a, b), (c, d)] for a, b, c, d in limbs.lines]
        lines = LineCollection(bones, colors=[colour], linewidths=2 * point, capstyle="round")
        lines.set_zorder(order)
        axes.add_collection(lines)
        across, down = zip(*limbs.dots, strict=True)
        axes.plot(across, down, "o", ms=4.4 * point, mew=0, color=colour, zorder=order)
    anchors = {"middle": "center", "start": "left"}
    for x, y, text, anchor in picture.words:
        axes.text(x, y, text, ha=anchors[anchor], size=11 * 72 / INCH, color=INK)
    return figure
