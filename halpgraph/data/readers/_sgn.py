"""The convention of the SGN scripts (SGN, CTR-GCN, InfoGCN, HD-GCN, MAMP), and halpgraph's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Ints
from halpgraph.data.readers._skeleton_text import JOINTS, Recording

SHORT = 11  # bodies of so many frames or fewer are noise
WIDE, NOISY = 0.8, 0.69754  # a frame wider than 0.8 of its height; a body with so many of them
CENTRE = 1


@dataclass
class Body:
    """One body id: the frames it is seen in, and how much it moves. Shapes: xyz [k, V, 3]."""

    frame: Ints
    xyz: NDArray[Any]
    motion: float

    @property
    def ends(self) -> tuple[int, int]:
        """Return its first and last frame."""
        return int(self.frame[0]), int(self.frame[-1])


def sgn(recording: Recording) -> NDArray[Any]:
    """Return the bodies of a recording by the SGN convention. Shapes: [M, T, V, 3].

    Frames without a body are dropped. Bodies are told apart by their ids; where there are several,
    those of 11 frames or fewer go, then those that are mostly wider than high, and the rest is
    sorted by motion. The first is actor 1; each other one joins the first actor (1 or 2) whose
    time it does not overlap. Joint 2 of actor 1, where it is first seen, becomes the origin.

    Two traps of the published scripts are not reproduced. They give a body that comes back after a
    gap the frames right after the gap's start, shifting it in time; here true frames are kept. For
    NTU-120 they fill a second body that is not there with a copy of the first; here it stays away.

    Reference: Zhang et al., CVPR 2020, https://github.com/microsoft/SGN (data/ntu).
    """
    pose = actors(recording, SHORT)
    first = np.flatnonzero(pose[0].any((1, 2)))
    if not len(first):
        return pose
    there = pose.any((2, 3), keepdims=True)  # [M, T, 1, 1]
    return np.where(there, pose - pose[0, first[0], CENTRE], 0)


def plain(recording: Recording) -> NDArray[Any]:
    """Return the bodies of a recording by halpgraph's own convention. Shapes: [M, T, V, 3].

    As ``sgn``, but short bodies are kept, and nothing is moved: metres before the camera.
    """
    return actors(recording, 0)


def actors(recording: Recording, short: int) -> NDArray[Any]:
    """Return up to two actors, in the frames in which one of them is there. [M, T, V, 3]."""
    bodies, count = tracks(recording)
    if len(bodies) > 1:
        bodies = cleaned([body for body in bodies if len(body.frame) > short])
    pose = np.zeros((2, count, JOINTS, 3))
    ends = [(0, 0), (0, 0)]
    for number, body in enumerate(bodies):
        start, end = body.ends
        for m in (0, 1):
            low, high = ends[m]
            if number == 0 or min(high, end) - max(low, start) <= 0:
                pose[m, body.frame] = body.xyz
                ends[m] = (start, end) if number == 0 else (min(low, start), max(high, end))
                break
    return pose[:, pose.any((0, 2, 3))]


def tracks(recording: Recording) -> tuple[list[Body], int]:
    """Return the bodies in the order of their appearance, and the number of frames with any."""
    frames, inverse = np.unique(recording.frame, return_inverse=True)
    rows: dict[int, dict[int, int]] = {}
    for k, body in enumerate(recording.body):
        rows.setdefault(body, {})[int(inverse[k])] = k  # twice in one frame: the later one
    found = []
    for seen in rows.values():
        xyz = recording.xyz[list(seen.values())]
        found.append(Body(np.array(list(seen), np.int64), xyz, _motion(xyz)))
    return found, len(frames)


def cleaned(bodies: Sequence[Body]) -> list[Body]:
    """Drop bodies that are mostly wider than high (but the last one), and sort by motion."""
    if len(bodies) == 1:
        return list(bodies)
    kept = list(bodies)
    for body in bodies:
        if len(kept) == 1:
            break
        extent = body.xyz.max(1) - body.xyz.min(1)  # [k, 3]
        good = extent[:, 0] <= WIDE * extent[:, 1]
        if 1 - good.mean() >= NOISY:
            kept = [other for other in kept if other is not body]
        elif not good.all():
            body.motion = min(body.motion, _motion(body.xyz[good]))
    return sorted(kept, key=lambda body: -body.motion)


def _motion(xyz: NDArray[Any]) -> float:
    """Return the sum over x, y, z of the variance over frames and joints."""
    return float(xyz.reshape(-1, 3).var(0).sum())  # [k * V, 3]
