"""Pickles of pyskl and mmaction2: a list of annotations, and named lists of clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph.data.clips import Clip
from halpgraph.data.imports._labels import ntu_fields
from halpgraph.data.imports._pickles import read_pickle
from halpgraph.data.imports._source import RawClip, Skipped, Source
from halpgraph.data.imports._splits import pair_lists
from halpgraph.errors import UserError
from halpgraph.layout import Layout

OWN = ("frame_dir", "label", "total_frames", "keypoint", "keypoint_score")


def read(path: Path, layout: Layout) -> Source:
    """Open a pickle of ``split`` (lists by name) and ``annotations``, or of annotations alone.

    2-D keypoints and their ``keypoint_score`` become channels x, y, score. Whole numbers of an
    annotation under other names (``subject``, say) become fields.

    Raises:
        UserError: cannot be read, refused, or not of that form.
    """
    content = read_pickle(path)
    lists, rows = {}, content
    if isinstance(content, dict):
        lists, rows = content.get("split", {}), content.get("annotations")
    if not isinstance(rows, list) or not isinstance(lists, dict):
        raise UserError(
            f"{path}: not a pyskl pickle; needs a dict with 'split' and 'annotations', a list"
        )
    for key, names in lists.items():
        if not isinstance(names, (list, tuple)):
            raise UserError(f"{path}: split {key}: must be a list of names (frame_dir)")
    splits, left = pair_lists({str(key): names for key, names in lists.items()})
    notes = [f"lists that are part of no split: {', '.join(left)}"] if left else []
    return Source(_clips(rows), splits=splits, notes=notes)


def _clips(rows: list[Any]) -> Iterator[Clip | Skipped]:
    names = [_name(row, i) for i, row in enumerate(rows)]
    fields = ntu_fields(names)
    shared = _shared(rows)
    for i, row in enumerate(rows):
        try:
            clip = _clip(row, names[i])
        except (KeyError, ValueError, TypeError) as error:
            yield Skipped(names[i], _words(error))
            continue
        clip.fields = fields[i] | {key: int(row[key]) for key in shared}
        yield clip
        rows[i] = None  # its memory is free for the next


def _name(row: Any, number: int) -> str:
    name = row.get("frame_dir") if isinstance(row, Mapping) else None
    return str(name) if name else f"annotation{number}"


def _shared(rows: list[Any]) -> list[str]:
    """Return the keys of whole numbers that every annotation has, other than pyskl's own."""
    keys: set[str] | None = None
    for row in rows:
        if isinstance(row, Mapping):
            here = {str(k) for k, v in row.items() if _whole(v) and k not in OWN}
            keys = here if keys is None else keys & here
    return sorted(keys or ())


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _clip(row: Any, name: str) -> RawClip:
    if not isinstance(row, Mapping):
        raise ValueError("the annotation is not a dict")
    pose = np.asarray(row["keypoint"])
    if pose.ndim != 4:
        raise ValueError(f"keypoint must be [M, T, V, C], not {pose.shape}")
    score = row.get("keypoint_score")
    if score is not None:
        score = np.asarray(score)
        if score.shape != pose.shape[:3]:
            raise ValueError(f"keypoint_score {score.shape} does not fit keypoint {pose.shape}")
        pose = np.concatenate([pose, score[..., None]], 3, dtype=np.float32)  # [M, T, V, C + 1]
    total = row.get("total_frames", pose.shape[1])
    if total != pose.shape[1]:
        raise ValueError(f"total_frames is {total}, but keypoint has {pose.shape[1]} frames")
    label = row.get("label")
    if label is not None and not _whole(label):
        raise ValueError(f"label {label!r} is no whole number")
    number = None if label is None else int(label)
    return RawClip(name, pose, number, {}, score is not None or None, _image(row))


def _image(row: Mapping[str, Any]) -> tuple[int, int] | None:
    size = row.get("img_shape")
    return None if size is None else (int(size[0]), int(size[1]))


def _words(error: Exception) -> str:
    return f"no {error.args[0]} in it" if isinstance(error, KeyError) else str(error)
