"""Hand-made raw files of every set, as published."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

Frames = Sequence[Sequence[tuple[int, NDArray[Any]]]]  # of every frame: body id, joints [25, 3]
ID = 72057594037927936  # ids have 17 digits: as floats, ID and ID + 1 are the same


def skeleton_text(frames: Frames) -> str:
    """Return a ``.skeleton`` file."""
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body, xyz in bodies:
            lines += [f"{body} 0 1 1 0 0 0 -0.437266 -0.117168 2", "25"]
            lines += [
                f"{x!r} {y!r} {z!r} 277.4 191.8 1036.2 519.1 -0.2 0.05 0.9 -0.1 2"
                for x, y, z in np.asarray(xyz).tolist()
            ]
    return "\r\n".join(lines) + "\r\n"


def moving(count: int, seed: int = 0, size: float = 0.1) -> NDArray[Any]:
    """Return a standing body that sways, higher than wide. Shapes: [T, 25, 3]."""
    random = np.random.default_rng(seed)
    still = random.uniform(-1, 1, (25, 3)) * [0.3, 0.9, 0.2] + [0, 0, 3]
    sway = size * np.sin(np.arange(count)[:, None, None] * 0.3 + random.uniform(0, 6, (25, 3)))
    return np.round(still + sway, 6)


def frames_of(*bodies: tuple[int, Sequence[int], NDArray[Any]], count: int) -> list[Any]:
    """Return frames in which each body (id, frames, [k, 25, 3]) is there in some."""
    out: list[list[Any]] = [[] for _ in range(count)]
    for body, where, xyz in bodies:
        for k, t in enumerate(where):
            out[t].append((body, xyz[k]))
    return out


def write_ntu(folder: Path, names: Sequence[str], count: int = 14) -> Path:
    """Write ordinary files with one body, in some of them two."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        bodies = [(ID, range(count), moving(count, seed))]
        if seed % 3 == 0:
            bodies.append((ID + 1, range(2, count), moving(count, seed + 100, 0.3)))
        text = skeleton_text(frames_of(*bodies, count=count))
        (folder / f"{name}.skeleton").write_text(text, newline="")
    return folder


def ucla_json(name: str, frames: int, label: int, seed: int = 0) -> str:
    """Return a file of NW-UCLA."""
    pose = np.random.default_rng(seed).normal(size=(frames, 20, 3)) * 0.3
    return json.dumps({"file_name": name, "skeletons": pose.tolist(), "label": label})


def utd_mat(frames: int, seed: int = 0, shape: tuple[int, int] = (20, 3)) -> bytes:
    """Return a file of UTD-MHAD."""
    buffer = io.BytesIO()
    pose = np.random.default_rng(seed).normal(size=(*shape, frames)) * 0.3
    savemat(buffer, {"d_skel": pose})
    return buffer.getvalue()


def pku_text(pose: NDArray[Any]) -> str:
    """Return a skeleton file of PKU-MMD. Shapes: pose [T, 2, 25, 3]."""
    return "".join(" ".join(map(repr, row)) + "\n" for row in pose.reshape(len(pose), -1).tolist())
