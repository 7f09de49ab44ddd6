"""What is seen of a clip: chosen frames, turned towards the viewer and flattened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.axes import axis_name, turned, view_axes
from halpgraph.errors import UserError
from halpgraph.layout import Layout

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, eq=False)
class Scene:
    """Joints in the plane of the picture, right and up, in the units of the data.

    ``frames`` are the frames shown, of ``total``; ``axes`` says in words what lies right and up.

    Shapes: points [M, K, V, 2], seen [M, K, V], frames [K].
    """

    points: NDArray[np.float64]
    seen: NDArray[np.bool_]
    frames: NDArray[np.int64]
    total: int
    layout: Layout
    axes: str

    @property
    def persons(self) -> int:
        """Return how many persons are seen at all."""
        return int(self.seen.any((1, 2)).sum())


def make_scene(
    pose: NDArray[Any], layout: Layout, frames: int | None = 8, turn: float = 0.0
) -> Scene:
    """Choose frames and look at them.

    Args:
        pose: a clip.
        layout: of its joints.
        frames: how many, evenly spread from the first to the last; all of a shorter clip, or with
            None.
        turn: degrees that the viewer walks around the up axis; poses in space only.

    Shapes: pose [M, T, V, C].

    Raises:
        UserError: not poses of this layout, or settings that cannot be drawn.
    """
    want = (layout.num_joints, len(layout.channels))
    if pose.ndim != 4 or pose.shape[2:] != want or 0 in pose.shape:
        raise UserError(
            f"layout {layout.name}: poses [M, T, {want[0]}, {want[1]}] are needed, "
            f"not {tuple(pose.shape)}"
        )
    if frames is not None and frames < 1:
        raise UserError(f"frames: {frames} is too few; draw 1 or more")
    if turn and layout.space == 2:
        raise UserError(f"turn: the poses of layout {layout.name} are flat; leave it at 0")
    total = pose.shape[1]
    shown = np.arange(total) if frames is None else _spread(total, frames)
    some = np.asarray(pose[:, shown], np.float64)  # [M, K, V, C]
    axes = view_axes(layout)
    if turn:
        axes = turned(axes, turn)
    points = some[..., : layout.space] @ axes[:2].T  # [M, K, V, 2]
    return Scene(points, seen_joints(some, layout), shown, total, layout, _words(axes, turn))


def _spread(total: int, count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(np.int64))


def seen_joints(pose: NDArray[Any], layout: Layout) -> NDArray[np.bool_]:
    """Tell which joints were seen: those that are not zero.

    Clips that were centred have the origin joint at zero; it counts as seen where the joints of
    its body stand around it.

    Shapes: [M, K, V, C] -> [M, K, V].
    """
    space = pose[..., : layout.space]
    seen: NDArray[np.bool_] = (space != 0).any(-1)  # [M, K, V]
    known = seen[..., None]
    low = np.where(known, space, np.inf).min(2)  # [M, K, S]
    high = np.where(known, space, -np.inf).max(2)
    around = ((low < 0) & (high > 0)).all(-1)  # [M, K]
    seen[..., layout.origin] |= around
    return seen


def _words(axes: NDArray[np.float64], turn: float) -> str:
    right, up = (axis_name(axis).replace("-", MINUS) for axis in axes[:2])
    if right:
        return f"→ {right}  ↑ {up}"
    return f"turned by {turn:g}°  ↑ {up}"
