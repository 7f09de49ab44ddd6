"""CTR-GCN's .npz: x_train, y_train, x_test, y_test, padded with zeros, read row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.data.imports._arrays import Npz
from halpgraph.data.imports._source import RawClip, Skipped, Source
from halpgraph.data.imports._splits import OFFICIAL
from halpgraph.data.imports._tidy import mismatch
from halpgraph.errors import UserError
from halpgraph.layout import Layout

PARTS = {"train": "train", "test": "test", "val": "valid"}


def read(path: Path, layout: Layout) -> Source:
    """Open a .npz with x [N, T, M V C] (person by person, joint by joint) and y, one-hot or [N].

    ``names_train`` and so on are names of clips, where there are any. Zero frames at the end of a
    clip are removed.

    Raises:
        UserError: cannot be read, parts are missing, or the columns are not those of the layout.
    """
    file = Npz(path)
    parts = [part for part in PARTS if f"x_{part}" in file]
    if "train" not in parts:
        there = ", ".join(file.members) or "nothing"
        raise UserError(f"{path}: not CTR-GCN's form; needs x_train and y_train (found {there})")
    labels, names, classes = {}, {}, set()
    for part in parts:
        count = _check(file, part, layout)
        labels[part], width = _labels(file, part, count)
        names[part] = _names(file, part, count)
        classes |= {width} if count and width else set()
    if len(classes) > 1:
        raise UserError(f"{path}: y has {' and '.join(map(str, sorted(classes)))} classes")
    split = {PARTS[part]: names[part] for part in parts if len(names[part])}
    return Source(
        _clips(file, labels, names, layout),
        num_classes=classes.pop() if classes else None,
        splits={OFFICIAL: split} if "test" in split else {},
    )


def _check(file: Npz, part: str, layout: Layout) -> int:
    shape = file.shape(f"x_{part}")
    if len(shape) != 3:
        raise UserError(f"{file.path}: x_{part} must be [N, T, M V C], not {shape}")
    body = layout.num_joints * len(layout.channels)
    if shape[2] == 0 or shape[2] % body:
        found = f"x_{part} has {shape[2]} columns a frame, no multiple of {body}"
        joints = 25 if shape[2] in (75, 150) else 20 if shape[2] in (60, 120) else 0
        raise mismatch(file.path, found, joints, 3 if joints else None, layout)
    return shape[0]


def _labels(file: Npz, part: str, count: int) -> tuple[list[int | str], int | None]:
    """Return a part's labels (or what is wrong with one), and the number of classes if known."""
    if f"y_{part}" not in file:
        raise UserError(f"{file.path}: y_{part} is missing; every part needs its labels")
    y = file.array(f"y_{part}")
    if len(y) != count:
        raise UserError(f"{file.path}: {len(y)} labels in y_{part} for {count} clips")
    if y.ndim == 1 and np.issubdtype(y.dtype, np.integer):
        return [int(label) for label in y], None
    if y.ndim != 2:
        raise UserError(f"{file.path}: y_{part} must be one-hot [N, classes] or whole numbers [N]")
    hot = ((y == 1).sum(1) == 1) & ((y != 0).sum(1) == 1)
    where = y.argmax(1)
    wrong = "its label is not one-hot: not exactly one 1 in its row of y"
    return [int(where[i]) if hot[i] else wrong for i in range(count)], y.shape[1]


def _names(file: Npz, part: str, count: int) -> list[str]:
    if f"names_{part}" not in file:
        return [f"{part}{number:06d}" for number in range(count)]
    names = [str(name) for name in file.array(f"names_{part}")]
    if len(names) != count:
        raise UserError(f"{file.path}: {len(names)} names in names_{part} for {count} clips")
    return names


def _clips(
    file: Npz, labels: dict[str, list[int | str]], names: dict[str, list[str]], layout: Layout
) -> Iterator[Clip | Skipped]:
    for part, own in names.items():
        for name, label, row in zip(own, labels[part], file.rows(f"x_{part}"), strict=True):
            if isinstance(label, str):
                yield Skipped(name, label)
                continue
            yield RawClip(name, _pose(row, layout), label)


def _pose(row: NDArray[Any], layout: Layout) -> NDArray[Any]:
    row = row[: last_frame(row)]
    pose = row.reshape(len(row), -1, layout.num_joints, len(layout.channels))  # [T, M, V, C]
    return pose.transpose(1, 0, 2, 3)


def last_frame(frames: NDArray[Any]) -> int:
    """Return the number of frames without the zero ones at the end; 1 where all are zero."""
    there = np.flatnonzero(frames.reshape(len(frames), -1).any(1))
    return int(there[-1]) + 1 if len(there) else min(len(frames), 1)
