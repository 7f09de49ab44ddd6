"""A scene as strokes, dots and words on paper (pixels, downwards), for any way of drawing them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from halpgraph.drawing.scene import Scene
from halpgraph.layout import Layout

TALL, WIDE = 150.0, 130.0  # the most that a body takes of a strip
LARGE, BOX = 2.0, 370.0  # how much larger a moving figure is, and the least its box is wide
NARROW = 44.0  # the least that a frame takes
PAD, WORDS, LETTER = 8.0, 16.0, 6.4
MIDDLE, LEFT, RIGHT = "middle", "left", "right"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limbs:
    """Bones and joints of one person and side in a frame: lines (x1, y1, x2, y2), dots."""

    side: str
    faded: bool
    lines: list[tuple[float, float, float, float]]
    dots: list[tuple[float, float]]


@dataclass
class Picture:
    """What is drawn: limbs, ground lines (x1, x2, y), words (x, y, text), the legend's samples."""

    width: float
    height: float
    limbs: list[Limbs] = field(default_factory=list)
    ground: list[tuple[float, float, float]] = field(default_factory=list)
    words: list[tuple[float, float, str, str]] = field(default_factory=list)
    size: float = 1.0


def strip(scene: Scene, legend: bool = True, cell: float = NARROW) -> Picture:
    """Draw frames side by side: one scale, one ground; each frame is centred on who is in it.

    ``cell`` is the least that a frame takes.
    """
    low, high = _limits(scene)  # [K, 2], [K, 2]
    bottom, top = low[:, 1].min(), high[:, 1].max()
    span = (high[:, 0] - low[:, 0]).max()
    scale = min(TALL / ((top - bottom) or 1.0), WIDE / (span or 1.0))
    cell = max(span * scale + 2 * PAD, cell)
    ground = PAD + (top - bottom) * scale
    picture = Picture(cell * len(scene.frames), ground + PAD + WORDS)
    for k, frame in enumerate(scene.frames):
        middle = (low[k, 0] + high[k, 0]) / 2
        centre = cell * (k + 0.5)
        at = (scene.points[:, k] - [middle, bottom]) * [scale, -scale] + [centre, ground]
        _draw(picture, at, scene.seen[:, k], scene.layout)
        picture.ground.append((centre - cell / 2 + 3, centre + cell / 2 - 3, ground + 4))
        said = f"frame {frame}" if k == 0 and cell > 7 * LETTER else str(frame)
        picture.words.append((centre, ground + PAD + WORDS - 4, said, "middle"))
    if legend:
        _legend(
            picture, scene, [f"frames 0 to {scene.total - 1}" if scene.total > 1 else "1 frame"]
        )
    return picture


def stills(scene: Scene) -> list[Picture]:
    """Draw every frame alone, all of them in one box, so that bodies move about in it."""
    low, high = (end.reshape(-1, 2) for end in _limits(scene))
    low, high = low.min(0), high.max(0)
    span, height = np.maximum(high - low, 1e-9)
    scale = LARGE * min(TALL / height, 2 * WIDE / span)
    wide, ground = max(span * scale, BOX) + 2 * PAD, PAD + height * scale
    pictures = []
    for k, frame in enumerate(scene.frames):
        picture = Picture(wide, ground + PAD + WORDS, size=1.5)
        corner = [(low[0] + high[0]) / 2, low[1]]
        at = (scene.points[:, k] - corner) * [scale, -scale] + [wide / 2, ground]
        _draw(picture, at, scene.seen[:, k], scene.layout)
        picture.ground.append((3, wide - 3, ground + 4))
        said = f"frame {frame} (0 to {scene.total - 1})"
        picture.words.append((wide / 2, ground + PAD + WORDS - 4, said, "middle"))
        _legend(picture, scene, [])
        pictures.append(picture)
    return pictures


def _limits(scene: Scene) -> tuple[Floats, Floats]:
    """Return the corners of what is seen in each frame; frames without anybody take no room."""
    seen = scene.seen[..., None]
    low = np.where(seen, scene.points, np.inf).min((0, 2))  # [K, 2]
    high = np.where(seen, scene.points, -np.inf).max((0, 2))
    empty = ~scene.seen.any((0, 2))
    if empty.all():
        return np.zeros_like(low), np.zeros_like(high)
    low[empty], high[empty] = low[~empty][0], low[~empty][0]
    return low, high


def sides(layout: Layout) -> list[str]:
    """Return the side of the body that each joint is on."""
    found = [MIDDLE] * layout.num_joints
    for left, right in layout.pairs:
        found[left], found[right] = LEFT, RIGHT
    return found


def _draw(picture: Picture, at: Floats, seen: NDArray[np.bool_], layout: Layout) -> None:
    """Add the bodies of one frame, the main actor last; a bone has the side of its child."""
    side = sides(layout)
    there = [m for m in range(len(at)) if seen[m].any()]
    for m in reversed(there):
        for one in (MIDDLE, RIGHT, LEFT):
            joints = [v for v in range(layout.num_joints) if side[v] == one and seen[m, v]]
            bones = [(v, p) for v, p in layout.bones if v in joints and seen[m, p]]
            lines = [(*_pixel(at[m, v]), *_pixel(at[m, p])) for v, p in bones]
            if joints:
                dots = [_pixel(at[m, v]) for v in joints]
                picture.limbs.append(Limbs(one, m > 0, lines, dots))


def _pixel(point: Floats) -> tuple[float, float]:
    return round(float(point[0]), 1), round(float(point[1]), 1)


def _legend(picture: Picture, scene: Scene, more: list[str]) -> None:
    """Add a row: samples of the sides, who is paler, which axes point right and up."""
    there = sides(scene.layout)
    x, y = PAD, picture.height + 9
    picture.height += 18
    samples = [(side, False, side) for side in (LEFT, RIGHT, MIDDLE) if side in there]
    if scene.persons > 1:
        samples.append((MIDDLE, True, "second person" if scene.persons == 2 else "others"))
    for side, faded, said in samples:
        picture.limbs.append(Limbs(side, faded, [(x, y, x + 14, y)], [(x, y), (x + 14, y)]))
        picture.words.append((x + 20, y + 4, said, "start"))
        x += 34 + LETTER * len(said)
    for said in (*more, scene.axes):
        picture.words.append((x, y + 4, said, "start"))
        x += 14 + LETTER * len(said)
    picture.width = max(picture.width, x)
