"""Prepared skeleton sets: a folder of plain arrays, whole or not there, mapped rather than read.

    NAME/
      meta.json      format, version, name, layout, convention, classes, splits, notes, checksums
      frames.bin     [S, C, V]: every frame of every body that is there, clip after clip
      index.npz      frame_ptr [R + 1], body_ptr [n + 1], person [R], num_frames [n], y [n], names,
                     field.NAME [n] (subject, view, ...), split.NAME [n] (0 train, 1 test, 2 valid)

Nothing is padded: a body that is never there takes no room, and clips keep their own lengths.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.errors import UserError
from halpgraph.files import read_json
from halpgraph.layout import Layout, make_layout

FORMAT, VERSION = "halpgraph-skeletons", 1
PARTS = ("train", "test", "valid")  # codes 0, 1, 2 of a split; -1 is in no part
VERIFY_BELOW = 256 << 20  # larger frames.bin are checked by size at loading, by `data check` wholly
Ints = NDArray[np.int64]


@dataclass
class Clip:
    """One sequence as a reader hands it on.

    ``pose`` is [M, T, V, C] (float), the main actor first; bodies and joints that were not seen
    are zero. ``label`` counts from 0; None where there is none. ``fields`` are whole numbers by
    which sets are split: ``subject``, ``view``, ``setup``, ...
    """

    name: str
    pose: NDArray[Any]
    label: int | None = None
    fields: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Which clips are for what: 0 train, 1 test, 2 valid, -1 none of them.

    ``inner`` names the field whose groups are kept together when something is chosen inside the
    training part (leave a subject or a view out), None for plain folds. Shapes: part [n].
    """

    part: Ints
    inner: str | None = None

    def positions(self) -> dict[str, Ints]:
        """Return the positions of each part that is there."""
        found = {name: np.flatnonzero(self.part == code) for code, name in enumerate(PARTS)}
        return {name: ids.astype(np.int64) for name, ids in found.items() if len(ids)}


@dataclass
class Prepared:
    """A prepared set; ``frames`` may be memory-mapped. Shapes as at the top of this file."""

    name: str
    layout: Layout
    frames: NDArray[Any]
    frame_ptr: Ints
    body_ptr: Ints
    person: Ints
    num_frames: Ints
    y: Ints | None
    names: list[str]
    classes: list[str]
    fields: dict[str, Ints]
    splits: dict[str, Split]
    meta: dict[str, Any]

    def __len__(self) -> int:
        return len(self.num_frames)

    def clip(self, index: int) -> Clip:
        """Return one clip as it was handed in (float32), empty slots filled with zeros."""
        bodies = range(int(self.body_ptr[index]), int(self.body_ptr[index + 1]))
        slots = int(self.person[bodies].max()) + 1
        count, channels, joints = int(self.num_frames[index]), *self.frames.shape[1:]
        pose = np.zeros((slots, count, joints, channels), np.float32)
        for r in bodies:
            part = self.frames[self.frame_ptr[r] : self.frame_ptr[r + 1]]  # [T, C, V]
            pose[self.person[r]] = part.transpose(0, 2, 1)
        label = None if self.y is None else int(self.y[index])
        fields = {k: int(v[index]) for k, v in self.fields.items()}
        return Clip(self.names[index], pose, label, fields)


def read_prepared(folder: Path, verify: bool | None = None) -> Prepared:
    """Open a prepared set; frames are mapped, not read.

    Args:
        folder: holds ``meta.json`` and the rest.
        verify: compare checksums; by default those of ``frames.bin`` only where that is quick.

    Raises:
        UserError: not a prepared set, of another version, incomplete or damaged.
    """
    meta = _meta(folder)
    _verify(folder, meta, verify)
    layout = make_layout(meta["layout_name"], meta["layout"], f"{folder / 'meta.json'}: layout")
    with np.load(folder / "index.npz", allow_pickle=False) as found:
        index = {name: found[name] for name in found.files}
    shape = tuple(meta["frames_shape"])
    dtype = np.dtype(meta["dtype"])
    frames: NDArray[Any] = np.memmap(folder / "frames.bin", dtype=dtype, mode="r", shape=shape)
    inner = meta.get("inner", {})
    splits = {
        key[6:]: Split(value.astype(np.int64), inner.get(key[6:]))
        for key, value in index.items()
        if key.startswith("split.")
    }
    return Prepared(
        name=meta["name"],
        layout=layout,
        frames=frames,
        frame_ptr=index["frame_ptr"],
        body_ptr=index["body_ptr"],
        person=index["person"],
        num_frames=index["num_frames"],
        y=index.get("y"),
        names=[str(name) for name in index["names"]],
        classes=list(meta["classes"]),
        fields={k[6:]: v for k, v in index.items() if k.startswith("field.")},
        splits=splits,
        meta=meta,
    )


def is_prepared(folder: Path) -> bool:
    """Tell whether a folder says that it is a prepared set."""
    return (folder / "meta.json").is_file()


def _meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    if not path.is_file():
        raise UserError(f"{folder}: not a prepared skeleton set (it holds no meta.json)")
    meta = read_json(path)
    if not isinstance(meta, Mapping) or meta.get("format") != FORMAT:
        raise UserError(f"{path}: not that of a prepared skeleton set; prepare it again")
    if meta.get("version") != VERSION:
        raise UserError(
            f"{path}: format version {meta.get('version')}, this halpgraph reads {VERSION}; "
            "prepare the set again"
        )
    return dict(meta)


def _verify(folder: Path, meta: Mapping[str, Any], verify: bool | None) -> None:
    for name, stated in meta["files"].items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else -1
        if size != stated["bytes"]:
            found = "missing" if size < 0 else f"{size} bytes instead of {stated['bytes']}"
            raise UserError(f"{path}: damaged ({found}); prepare the set again")
        whole = verify if verify is not None else size < VERIFY_BELOW
        if whole and checksum(path) != stated["sha256"]:
            raise UserError(f"{path}: damaged (its checksum is another); prepare the set again")


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    total = hashlib.sha256()
    with open(path, "rb") as content:
        while chunk := content.read(1 << 22):
            total.update(chunk)
    return total.hexdigest()


def dump(meta: Mapping[str, Any]) -> str:
    """Return meta.json's text."""
    return json.dumps(meta, indent=1) + "\n"
