"""Pickles of pyskl and mmaction2; any version of NumPy reads them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph.data.clips import PARTS, Prepared, Split


class _Pickler(pickle.Pickler):
    """Writes arrays as ``numpy.ndarray(shape, dtype, bytes)``, which NumPy 1 and 2 both have."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is np.ndarray:
            content = bytearray(np.ascontiguousarray(value).tobytes())
            return np.ndarray, (value.shape, value.dtype.str, content)
        return NotImplemented


def write(found: Prepared, out: Path, split: str | None, frames: int) -> tuple[int, list[str]]:
    """Write all clips and all splits; returns their number and what could not be kept.

    Lists are named SPLIT_train and SPLIT_val (the test part, as pyskl calls it), or _train, _valid
    and _test where there are three parts. Fields are whole numbers in each annotation.
    """
    rows = [_annotation(found, i) for i in range(len(found))]
    lists: dict[str, list[str]] = {}
    for name, own in found.splits.items():
        lists |= _lists(found, name, own)
    with open(out, "wb") as stream:
        _Pickler(stream, protocol=4).dump({"split": lists, "annotations": rows})
    notes = []
    if found.classes:
        notes.append("pyskl keeps no names of classes; pass them again with --classes")
    return len(rows), notes


def _annotation(found: Prepared, index: int) -> dict[str, Any]:
    clip, space = found.clip(index), found.layout.space
    row: dict[str, Any] = dict(clip.fields)
    row |= {"frame_dir": clip.name, "total_frames": clip.pose.shape[1]}
    row["keypoint"] = clip.pose[..., :space]
    if found.layout.score:
        row["keypoint_score"] = clip.pose[..., -1]
    if clip.label is not None:
        row["label"] = clip.label
    return row


def _lists(found: Prepared, name: str, split: Split) -> dict[str, list[str]]:
    parts = split.positions()
    word = {"train": "train", "test": "test" if "valid" in parts else "val", "valid": "valid"}
    return {
        f"{name}_{word[part]}": [found.names[i] for i in parts[part]]
        for part in PARTS
        if part in parts
    }
