"""Which way is right, up and towards the viewer: skeletons are drawn and compared by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halpgraph.layout import AXES, Layout

Floats = NDArray[np.float64]
NAMES = ("x", "y", "z")


def view_axes(layout: Layout) -> Floats:
    """Return the directions right, up and towards the viewer, one a row; 2-D: right and up.

    Poses in space are seen as the sensor saw them: its z axis points away from it (Kinect,
    MediaPipe). Where z points upwards there is no sensor, and the viewer stands at negative y. A
    person who faces the viewer has the left hand on the right. Poses in images stay as they are.

    Shapes: [S, S].
    """
    axis, sign = AXES[layout.up]
    up = np.zeros(layout.space)
    up[axis] = sign
    if layout.space == 2:
        return np.stack([np.eye(2)[1 - axis], up])  # [2, 2]
    towards = -np.eye(3)[1 if axis == 2 else 2]
    return np.stack([np.cross(up, towards), up, towards])  # [3, 3]


def turned(axes: Floats, degrees: float) -> Floats:
    """Return the directions after the viewer has walked around the up axis, to the right first.

    Shapes: [3, 3].
    """
    angle = np.deg2rad(degrees)
    right, up, towards = axes
    return np.stack(
        [
            np.cos(angle) * right - np.sin(angle) * towards,
            up,
            np.sin(angle) * right + np.cos(angle) * towards,
        ]
    )


def axis_name(direction: Floats) -> str:
    """Return the axis that a direction lies along, ``-x`` for instance; empty if along none."""
    main = int(np.abs(direction).argmax())
    if abs(direction[main]) < 0.999:
        return ""
    return ("-" if direction[main] < 0 else "") + NAMES[main]
