"""Folders of padded arrays [N, C, T, V, M] with labels beside them (2s-AGCN, CrosSCLR)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.data.imports._arrays import open_npy
from halpgraph.data.imports._labels import ntu_fields
from halpgraph.data.imports._pickles import read_pickle
from halpgraph.data.imports._source import RawClip, Skipped, Source
from halpgraph.data.imports._splits import OFFICIAL
from halpgraph.data.imports._tidy import mismatch
from halpgraph.data.imports.ctrgcn import last_frame
from halpgraph.errors import UserError
from halpgraph.layout import Layout

PARTS = {"train": "train", "val": "test", "test": "test", "valid": "valid"}


@dataclass
class Part:
    """One part of a set: mapped poses [N, C, T, V, M], names, labels and valid lengths."""

    poses: NDArray[Any]
    names: list[str]
    labels: list[int]
    lengths: NDArray[Any] | None


def read_stacked(path: Path, layout: Layout, files: Sequence[str]) -> Source:
    """Open the parts of a folder; poses are mapped, not read.

    Args:
        path: the folder.
        layout: that of the poses.
        files: names that a part's poses may have, with ``{part}`` in them.

    Raises:
        UserError: files are missing, damaged, or not those of the layout.
    """
    if not path.is_dir():
        raise UserError(f"{path}: must be a folder that holds {files[0].format(part='train')}")
    found: dict[str, Part] = {}
    for part in PARTS:
        there = [f for f in (path / name.format(part=part) for name in files) if f.is_file()]
        if there:
            found[part] = _part(path, there[0], part, layout)
        elif part == "train":
            wanted = " or ".join(name.format(part="train") for name in files)
            raise UserError(f"{path}: {wanted} is missing")
    split: dict[str, list[str]] = {}
    for part, own in found.items():
        code = "valid" if part == "val" and "test" in found else PARTS[part]
        split.setdefault(code, []).extend(own.names)
    notes = []
    if any(own.lengths is None for own in found.values()):
        notes.append("no num_frame file: clips are as long as their arrays without the zero tail")
    splits = {OFFICIAL: split} if "test" in split else {}
    return Source(_clips(list(found.values())), splits=splits, notes=notes)


def _part(folder: Path, place: Path, part: str, layout: Layout) -> Part:
    poses = open_npy(place)
    if poses.ndim != 5:
        raise UserError(f"{place}: must be [N, C, T, V, M], not {poses.shape}")
    channels, joints = poses.shape[1], poses.shape[3]
    if (joints, channels) != (layout.num_joints, len(layout.channels)):
        text = f"{joints} joints with {channels} channels"
        raise mismatch(place, text, joints, channels, layout)
    names, labels = _labels(folder, part, len(poses))
    lengths = None
    if (numbers := folder / f"{part}_num_frame.npy").is_file():
        lengths = open_npy(numbers)
        if lengths.shape != (len(poses),):
            raise UserError(f"{numbers}: {lengths.shape} numbers for {len(poses)} clips")
    return Part(poses, names, labels, lengths)


def _labels(folder: Path, part: str, count: int) -> tuple[list[str], list[int]]:
    pickled, plain = folder / f"{part}_label.pkl", folder / f"{part}_label.npy"
    if pickled.is_file():
        content = read_pickle(pickled)
        if not isinstance(content, (tuple, list)) or len(content) != 2:
            raise UserError(f"{pickled}: must be (names, labels)")
        names, labels = list(content[0]), np.asarray(content[1])
        names = [str(name).removesuffix(".skeleton") for name in names]
        place = pickled
    elif plain.is_file():
        labels, place = np.asarray(open_npy(plain)), plain
        names = [f"{part}{number:06d}" for number in range(count)]
    else:
        raise UserError(f"{pickled}: is missing; every part needs its labels")
    if labels.size != count or len(names) != count:
        raise UserError(f"{place}: {len(names)} names, {labels.size} labels for {count} clips")
    if not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"{place}: labels must be whole numbers, not {labels.dtype}")
    return names, [int(label) for label in labels.reshape(-1)]


def _clips(parts: list[Part]) -> Iterator[Clip | Skipped]:
    names = [name for part in parts for name in part.names]
    fields = iter(ntu_fields(names))
    for part in parts:
        for i, name in enumerate(part.names):
            pose = np.asarray(part.poses[i]).transpose(3, 1, 2, 0)  # [M, T, V, C]
            if part.lengths is None:
                count = last_frame(pose.transpose(1, 0, 2, 3))
            else:
                count = int(part.lengths[i])
            own = next(fields)
            if not 0 <= count <= pose.shape[1]:
                yield Skipped(name, f"{count} frames are stated, its array has {pose.shape[1]}")
                continue
            yield RawClip(name, pose[:, :count], part.labels[i], own)
