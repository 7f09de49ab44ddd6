"""CTR-GCN's .npz, written row by row: x [N, T, M V C] padded with zeros, y one-hot."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from halpgraph.data.clips import Ints, Prepared
from halpgraph.errors import UserError

PERSONS = 2  # CTR-GCN's loader always expects two; the second is zero where nobody is


def write(found: Prepared, out: Path, split: str | None, frames: int) -> tuple[int, list[str]]:
    """Write the parts of one split; returns the number of clips and what could not be kept.

    Raises:
        UserError: there are no labels.
    """
    if found.y is None:
        raise UserError(f"{found.name}: has no labels, and CTR-GCN's form needs them")
    parts, notes = _parts(found, split)
    longest = int(found.num_frames.max())
    length = frames or longest
    cut = int((found.num_frames > length).sum())
    if cut:
        notes.append(f"{cut} clips were cut to {length} frames (the longest has {longest})")
    width = max(int(found.y.max()) + 1, len(found.classes))
    persons = max(int(found.person.max()) + 1, PERSONS)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part, ids in parts.items():
            _write_x(archive, part, found, ids, (length, persons))
            _write_array(archive, f"y_{part}", np.eye(width, dtype=np.float32)[found.y[ids]])
            names = np.array([found.names[i] for i in ids], dtype=np.str_)
            _write_array(archive, f"names_{part}", names)
    return sum(map(len, parts.values())), notes


def _parts(found: Prepared, split: str | None) -> tuple[dict[str, Ints], list[str]]:
    none = np.empty(0, np.int64)
    name = split or next(iter(found.splits), None)
    if name is None:
        words = "there is no split: all clips are in x_train, x_test is empty"
        return {"train": np.arange(len(found)), "test": none}, [words]
    ids = found.splits[name].positions()
    parts = {"train": ids.get("train", none), "test": ids.get("test", none)}
    if "valid" in ids:
        parts["val"] = ids["valid"]
    left = int((found.splits[name].part < 0).sum())
    return parts, [f"{left} clips are in no part of split {name} and were left out"] * (left > 0)


def _write_x(
    archive: zipfile.ZipFile, part: str, found: Prepared, ids: Ints, size: tuple[int, int]
) -> None:
    length, persons = size
    joints, channels = found.layout.num_joints, len(found.layout.channels)
    shape = (len(ids), length, persons * joints * channels)
    with archive.open(f"x_{part}.npy", "w", force_zip64=True) as stream:
        head = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(stream, head)
        for i in ids:
            pose = found.clip(int(i)).pose[:, :length]  # [M, T, V, C]
            row = np.zeros((length, persons, joints, channels), "<f4")
            row[: pose.shape[1], : len(pose)] = pose.transpose(1, 0, 2, 3)
            stream.write(row.tobytes())


def _write_array(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        npy.write_array(stream, array, allow_pickle=False)
