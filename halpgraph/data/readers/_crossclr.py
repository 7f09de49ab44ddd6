"""The convention of the CrosSCLR line (CrosSCLR, AimCLR, HiCLR, PSTL, ActCLR, HYSP)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.readers._by_position import by_position
from halpgraph.data.readers._skeleton_text import Recording

KEPT, BASE, CENTRE = 2, 0, 20
LEFT, RIGHT = 4, 8
SOFT = 1e-4  # added to the length of the shoulder line, so that bodies that are away divide well


def crossclr(recording: Recording) -> NDArray[Any]:
    """Return the bodies of a recording by the CrosSCLR convention. Shapes: [M, T, V, 3].

    The first two bodies in the file, unsorted; joint 21 of each body is subtracted frame by frame;
    each body is turned about the vertical, frame by frame, until its shoulder line has no depth.
    The length is the number of frames in which joint 1 of the first body is there, and it is the
    first so many frames that are kept, gaps included.

    As published the sense of the turn is one for a whole clip and body (by the sum of the depths
    of the shoulder line), so frames in which the body faces the other way are turned wrongly. The
    published arrays are resized to 50 frames before they are turned; here the clip keeps its
    length and is resampled at loading.

    Reference: Li et al., CVPR 2021, https://github.com/LinguoLi/CrosSCLR (feeder).
    """
    pose = by_position(recording, KEPT)
    length = int(pose[0, :, BASE].any(-1).sum())
    pose = pose[:, :length]
    pose = pose - pose[:, :, CENTRE : CENTRE + 1]
    return np.stack([faced(body) for body in pose])


def faced(body: NDArray[Any]) -> NDArray[Any]:
    """Turn a body about y, frame by frame, by the angle of its shoulder line. Shapes: [T, V, 3]."""
    line = body[:, RIGHT] - body[:, LEFT]  # [T, 3]
    cosine = line[:, 0] / (np.hypot(line[:, 0], line[:, 2]) + SOFT)
    angle = np.arccos(cosine)
    if line[:, 2].sum() >= 0:
        angle = -angle
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = body[..., 0], body[..., 1], body[..., 2]
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], -1)  # [T, V, 3]
