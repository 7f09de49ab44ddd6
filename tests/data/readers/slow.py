"""The conventions once more, frame by frame and joint by joint, from their published facts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

PADDED = 50


def position_array(frames: list[Any], slots: int) -> NDArray[Any]:
    out = np.zeros((slots, len(frames), 25, 3))
    for t, bodies in enumerate(frames):
        for m, (_, xyz) in enumerate(bodies):
            if m < slots:
                out[m, t] = xyz
    return out


def slow_agcn(frames: list[Any]) -> NDArray[Any]:
    pose = position_array(frames, 4)
    energies = []
    for body in pose:
        there = np.array([frame for frame in body if frame.sum() != 0])
        energies.append(sum(there[..., c].std() for c in range(3)) if len(there) else 0.0)
    best = sorted(range(4), key=lambda m: -energies[m])[:2]
    count = len(frames)
    out = np.zeros(
        (2, PADDED, 25, 3)
    )  # as published (there 300 frames): the tail filled by looping
    for place, m in enumerate(best):
        body = [pose[m, t] for t in range(count)] + [np.zeros((25, 3))] * (PADDED - count)
        if not any(frame.any() for frame in body):
            continue
        if not body[0].any():
            seen = [frame for frame in body if frame.any()]
            body = seen + [np.zeros((25, 3))] * (PADDED - len(seen))
        last = max(t for t in range(PADDED) if body[t].any())
        for t in range(last + 1, PADDED):
            body[t] = body[t - last - 1]
        out[place] = body
    first = out[0].copy()
    for m in range(2):
        for t in range(PADDED):
            for v in range(25):
                if out[m, t, v].any():
                    out[m, t, v] = out[m, t, v] - first[t, 1]
    for low, high, axis in ((0, 1, [0, 0, 1]), (4, 8, [1, 0, 0])):
        line = out[0, 0, high] - out[0, 0, low]
        turn = quaternion_turn(line, np.array(axis, float))
        for m in range(2):
            for t in range(PADDED):
                for v in range(25):
                    out[m, t, v] = turn @ out[m, t, v]
    return out[:, :count]


def quaternion_turn(vector: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """The rotation from a vector to a unit target, by the half-angle quaternion."""
    unit = vector / np.linalg.norm(vector)
    angle = math.acos(max(-1.0, min(1.0, float(unit @ target))))
    around = np.cross(unit, target)
    if np.abs(around).sum() < 1e-6:
        return np.eye(3)
    w, (x, y, z) = math.cos(angle / 2), math.sin(angle / 2) * around / np.linalg.norm(around)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def slow_crossclr(frames: list[Any]) -> NDArray[Any]:
    pose = position_array(frames, 2)
    length = sum(bool(pose[0, t, 0].any()) for t in range(len(frames)))
    pose = pose[:, :length].copy()
    for m in range(2):
        depth = 0.0
        for t in range(length):
            pose[m, t] = pose[m, t] - pose[m, t, 20]
            depth += pose[m, t, 8, 2] - pose[m, t, 4, 2]
        for t in range(length):
            dx, _, dz = pose[m, t, 8] - pose[m, t, 4]
            theta = math.acos(dx / (math.sqrt(dx * dx + dz * dz) + 0.0001))
            theta = -theta if depth >= 0 else theta
            for v in range(25):
                x, y, z = pose[m, t, v]
                pose[m, t, v] = (
                    math.cos(theta) * x - math.sin(theta) * z,
                    y,
                    math.sin(theta) * x + math.cos(theta) * z,
                )
    return pose


def slow_sgn(frames: list[Any], short: int = 11, centred: bool = True) -> NDArray[Any]:
    kept = [bodies for bodies in frames if bodies]
    seen: dict[int, dict[int, NDArray[Any]]] = {}
    for t, bodies in enumerate(kept):
        for body, xyz in bodies:
            seen.setdefault(body, {})[t] = xyz
    several = len(seen) > 1
    if several:
        seen = {body: where for body, where in seen.items() if len(where) > short}
    motion = {body: spread(list(where.values())) for body, where in seen.items()}
    if len(seen) > 1:
        for body in list(seen):
            if len(seen) == 1:
                break
            good = [x for x in seen[body].values() if np.ptp(x[:, 0]) <= 0.8 * np.ptp(x[:, 1])]
            noise = 1 - len(good) / len(seen[body])
            if noise >= 0.69754:
                del seen[body]
            elif noise > 0:
                motion[body] = min(motion[body], spread(good))
    order = sorted(seen, key=lambda body: motion[body], reverse=True)
    actors: list[dict[int, NDArray[Any]]] = [{}, {}]
    ends = [[0, 0], [0, 0]]
    for body in order:
        start, end = min(seen[body]), max(seen[body])
        for m in range(2):
            first = m == 0 and not actors[0]
            if first or min(ends[m][1], end) - max(ends[m][0], start) <= 0:
                actors[m].update(seen[body])
                ends[m] = [start, end] if first else [min(ends[m][0], start), max(ends[m][1], end)]
                break
    times = sorted(actors[0].keys() | actors[1].keys())
    out = np.zeros((2, len(times), 25, 3))
    origin = actors[0][min(actors[0])][1] if centred else np.zeros(3)
    for m in range(2):
        for place, t in enumerate(times):
            if t in actors[m]:
                out[m, place] = actors[m][t] - origin
    return out


def spread(poses: list[NDArray[Any]]) -> float:
    points = np.concatenate(poses)
    return float(sum(points[:, c].var() for c in range(3)))
