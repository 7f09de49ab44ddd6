"""The convention of the AGCN line (2s-AGCN, ISC, CMD, HaLP, HiCo, UmURL, USDRL)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.readers._by_position import by_position
from halpgraph.data.readers._skeleton_text import Recording

READ, KEPT = 4, 2
SPINE, SHOULDERS = (0, 1), (8, 4)  # from, to: laid along z; and then (right - left) along x
CENTRE = 1
TINY = 1e-6


def agcn(recording: Recording) -> NDArray[Any]:
    """Return the bodies of a recording by the AGCN convention. Shapes: [M, T, V, 3].

    Up to four bodies are read by their position in the file and the two of most energy kept (the
    sum over x, y, z of the standard deviation over the frames in which they are seen). A body
    whose first frame is empty loses all its empty frames; what is then missing at the end is
    filled by playing it again. Joint 2 of the first body is subtracted frame by frame, and one
    rotation, told from its first frame, lays its spine along z and then its shoulders along x.

    As published, with two differences: a clip keeps its own length (the published arrays, cut to
    ``num_frame``), and among bodies without any energy those that are seen come first.

    Reference: Shi et al., CVPR 2019, https://github.com/lshiwjx/2s-AGCN (data_gen).
    """
    pose = by_position(recording, READ)
    seen = [bool(body.any()) for body in pose]
    order = sorted(range(READ), key=lambda m: (-energy(pose[m]), not seen[m]))
    pose = np.stack([filled(pose[m]) for m in order[:KEPT]])
    pose = np.where(pose.any(-1, keepdims=True), pose - pose[:1, :, CENTRE : CENTRE + 1], 0)
    for (low, high), axis in ((SPINE, 2), (SHOULDERS, 0)):
        ends = pose[0, 0, [low, high]]
        along = ends[1] - ends[0] if axis == 2 else ends[0] - ends[1]
        pose = pose @ turn_to(along, axis).T
    return pose


def energy(body: NDArray[Any]) -> float:
    """Return how much a body is spread over space and time. Shapes: body [T, V, 3]."""
    there = body[body.any((1, 2))]
    return float(there.std((0, 1)).sum()) if len(there) else 0.0


def filled(body: NDArray[Any]) -> NDArray[Any]:
    """Return a body without empty frames at its start or end. Shapes: [T, V, 3].

    Gaps in the middle of a body that is there in the first frame stay, as in the published code.
    """
    there: NDArray[np.bool_] = np.asarray(body.any((1, 2)))
    if not there.any():
        return body
    if not there[0]:
        body = body[there]
        known = len(body)
    else:
        known = int(np.flatnonzero(there)[-1]) + 1
    return body[np.arange(len(there)) % known]


def turn_to(vector: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return the rotation by the smallest angle that lays a vector along an axis. Shapes: [3, 3].

    Rodrigues' formula. A vector of no length, or one that lies there already, is not turned.
    """
    target = np.zeros(3)
    target[axis] = 1
    size = float(np.linalg.norm(vector))
    around = np.cross(vector, target)
    if np.abs(around).sum() < TINY or np.abs(vector).sum() < TINY:
        return np.eye(3)
    cosine = float(np.clip(vector[axis] / size, -1, 1))
    x, y, z = around / np.linalg.norm(around)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine = np.sqrt(1 - cosine**2)
    return np.asarray(np.eye(3) + sine * cross + (1 - cosine) * cross @ cross)
