"""One's own .npz: all clips in one file, or a folder with one file a clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.data.imports._arrays import Npz
from halpgraph.data.imports._folder import ClipFolder
from halpgraph.data.imports._labels import to_numbers
from halpgraph.data.imports._source import RawClip, Skipped, Source
from halpgraph.data.imports._splits import OFFICIAL
from halpgraph.data.imports._tidy import mismatch
from halpgraph.errors import UserError
from halpgraph.layout import Layout

OWN = ("pose", "frames", "frame_ptr", "y", "names", "classes", "num_frames")
PARTS = ("train", "test", "valid")


def read(path: Path, layout: Layout) -> Source:
    """Open one's own poses.

    One file: ``pose`` [n, T, V, C] or [n, M, T, V, C], perhaps with ``num_frames`` [n]; or, for
    clips of different lengths, ``frames`` [S, V, C] or [S, M, V, C] and ``frame_ptr`` [n + 1].
    Optional: ``y`` [n], ``names`` [n], ``classes``; positions ``train``, ``test``, ``valid``; every
    other array of n whole numbers or texts is a field (``subject``, ``view``).

    A folder: one .npz a clip with ``pose`` [T, V, C] or [M, T, V, C]; ``y`` and fields are single
    numbers in it, or stand in ``labels.csv``.

    Raises:
        UserError: cannot be read, or arrays do not fit each other or the layout.
    """
    if path.is_dir():
        return ClipFolder(path, ".npz", lambda file: _one(file)).source()
    file = Npz(path)
    poses, shape = _poses(file)
    count = len(file.array("frame_ptr")) - 1 if "frames" in file else shape[0]
    if shape[-2:] != (layout.num_joints, len(layout.channels)):
        text = f"{shape[-2]} joints with {shape[-1]} channels"
        raise mismatch(path, text, shape[-2], shape[-1], layout)
    values: dict[str, list[str]] = {}
    fields = _fields(file, count, values)
    names = [f"clip{number:06d}" for number in range(count)]
    if "names" in file:
        names = [str(name) for name in _column(file, "names", count)]
    labels, classes = _labels(file, count)
    lengths = _column(file, "num_frames", count) if "num_frames" in file else None
    split = {part: [names[i] for i in _ids(file, part, count)] for part in PARTS if part in file}
    clips = _clips(poses, names, labels, fields, lengths)
    splits = {OFFICIAL: split} if {"train", "test"} <= set(split) else {}
    return Source(clips, classes, splits=splits, values=values)


def _poses(file: Npz) -> tuple[Iterator[NDArray[Any]], tuple[int, ...]]:
    """Return poses [M, T, V, C] one by one, and the shape of the array they are in."""
    if "pose" in file:
        shape = file.shape("pose")
        if len(shape) not in (4, 5):
            raise UserError(
                f"{file.path}: pose must be [n, T, V, C] or [n, M, T, V, C], not {shape}"
            )
        rows = file.rows("pose")
        return (row if row.ndim == 4 else row[None] for row in rows), shape
    if "frames" not in file or "frame_ptr" not in file:
        there = ", ".join(file.members) or "nothing"
        raise UserError(
            f"{file.path}: needs pose, or frames and frame_ptr (found {there}); "
            "see docs/own_poses.md"
        )
    return _ragged(file)


def _ragged(file: Npz) -> tuple[Iterator[NDArray[Any]], tuple[int, ...]]:
    shape, ptr = file.shape("frames"), file.array("frame_ptr")
    if len(shape) not in (3, 4):
        raise UserError(f"{file.path}: frames must be [S, V, C] or [S, M, V, C], not {shape}")
    whole = ptr.ndim == 1 and len(ptr) > 0 and np.issubdtype(ptr.dtype, np.integer)
    if not whole or ptr[0] != 0 or ptr[-1] != shape[0] or (np.diff(ptr) < 0).any():
        raise UserError(
            f"{file.path}: frame_ptr must be n + 1 whole numbers that rise from 0 to {shape[0]}, "
            "the number of frames"
        )

    def poses() -> Iterator[NDArray[Any]]:
        rows = file.rows("frames")
        empty = np.zeros((0, *shape[1:]))
        for length in np.diff(ptr):
            one = np.stack([next(rows) for _ in range(length)]) if length else empty
            yield one[None] if one.ndim == 3 else one.transpose(1, 0, 2, 3)  # [M, T, V, C]
        for _ in rows:  # nothing is left; the archive checks its checksum
            pass

    return poses(), shape


def _column(file: Npz, key: str, count: int) -> NDArray[Any]:
    found = file.array(key)
    if found.shape != (count,):
        raise UserError(f"{file.path}: {key} must have one entry a clip: {found.shape} for {count}")
    return found


def _fields(file: Npz, count: int, values: dict[str, list[str]]) -> list[dict[str, int]]:
    rows: list[dict[str, int]] = [{} for _ in range(count)]
    for key in file.members:
        if key in OWN or key in PARTS:
            continue
        found = file.array(key)
        if found.shape != (count,) or found.dtype.kind not in "biuUS":
            raise UserError(
                f"{file.path}: {key}: a field must be {count} whole numbers or texts, one a clip "
                f"(it is {found.dtype} {found.shape}); other arrays have no place here"
            )
        numbers, texts = _numbers(found)
        if texts:
            values[key] = texts
        for row, number in zip(rows, numbers, strict=True):
            row[key] = number
    return rows


def _numbers(found: NDArray[Any]) -> tuple[list[int], list[str]]:
    if found.dtype.kind in "US":
        return to_numbers([str(text) for text in found.astype(str)])
    return [int(number) for number in found], []


def _labels(file: Npz, count: int) -> tuple[list[int | None], list[str]]:
    classes = [str(name) for name in file.array("classes")] if "classes" in file else []
    if "y" not in file:
        return [None] * count, classes
    found = _column(file, "y", count)
    if found.dtype.kind not in "biuUS":
        raise UserError(f"{file.path}: y must be whole numbers or texts, not {found.dtype}")
    numbers, texts = _numbers(found)
    if texts and classes:
        place = {name: i for i, name in enumerate(classes)}
        return [place.get(texts[number], -1) for number in numbers], classes
    return list(numbers), texts or classes


def _ids(file: Npz, part: str, count: int) -> list[int]:
    ids = file.array(part)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or ((ids < 0) | (ids >= count)).any():
        raise UserError(f"{file.path}: {part} must be positions of clips, 0 to {count - 1}")
    return [int(i) for i in ids]


def _clips(
    poses: Iterator[NDArray[Any]],
    names: list[str],
    labels: list[int | None],
    fields: list[dict[str, int]],
    lengths: NDArray[Any] | None,
) -> Iterator[Clip | Skipped]:
    for i, pose in enumerate(poses):
        count = pose.shape[1] if lengths is None else int(lengths[i])
        if not 0 <= count <= pose.shape[1]:
            yield Skipped(names[i], f"num_frames is {count}, its array has {pose.shape[1]}")
            continue
        yield RawClip(names[i], pose[:, :count], labels[i], fields[i])


def _one(path: Path) -> RawClip:
    """Return the clip of one file.

    Raises:
        UserError: cannot be read, or not of that form.
    """
    file = Npz(path)
    if "pose" not in file:
        raise UserError(f"{path}: needs pose [T, V, C] or [M, T, V, C]")
    pose = file.array("pose")
    if pose.ndim not in (3, 4):
        raise UserError(f"{path}: pose must be [T, V, C] or [M, T, V, C], not {pose.shape}")
    fields = {}
    for key in file.members:
        found = file.array(key)
        if key not in OWN and found.size == 1 and found.dtype.kind in "biu":
            fields[key] = int(found.reshape(())[()])
    label = file.array("y").reshape(-1) if "y" in file else np.empty(0, int)
    if label.size > 1 or label.dtype.kind not in "biu":
        raise UserError(f"{path}: y must be one whole number; texts belong into labels.csv")
    number = int(label[0]) if label.size else None
    return RawClip(path.stem, pose if pose.ndim == 4 else pose[None], number, fields)
