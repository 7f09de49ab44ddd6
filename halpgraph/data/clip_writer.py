"""Writing prepared skeleton sets clip by clip: checked, streamed, and renamed when whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import (
    FORMAT,
    VERSION,
    Clip,
    Prepared,
    Split,
    checksum,
    dump,
    read_prepared,
)
from halpgraph.errors import RunError, UserError
from halpgraph.layout import Layout

TALL = 20.0  # a torso longer than this is not in metres


class ClipWriter:
    """Write a prepared set; nothing is at ``folder`` until ``finish`` has written all of it.

    Args:
        folder: where the set will be; must not exist.
        name: of the set.
        layout: of every clip.
        classes: names of the classes, in the order of the labels; may be empty.
        convention: how the raw poses were read, cleaned, centred and turned, in one word.
        dtype: ``float32``, or ``float16`` (of poses that are centred).
        about: anything else to be kept in ``meta.json``.

    Raises:
        UserError: there is something at ``folder`` already.
        RunError: the disk is full or read-only.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        layout: Layout,
        classes: Sequence[str] = (),
        convention: str = "as given",
        dtype: str = "float32",
        about: Mapping[str, Any] | None = None,
    ) -> None:
        if folder.exists():
            raise UserError(f"{folder}: is there already; nothing is overwritten, choose another")
        if dtype not in ("float32", "float16"):
            raise UserError(f"dtype: must be float32 or float16, not {dtype}")
        self.folder, self.name, self.layout = folder, name, layout
        self.classes, self.convention = list(classes), convention
        self.dtype, self.about = np.dtype(dtype), dict(about or {})
        self.names: dict[str, None] = {}
        self.labels: list[int | None] = []
        self.fields: list[dict[str, int]] = []
        self.lengths: list[int] = []
        self.persons: list[list[int]] = []
        self.torsos: list[float] = []
        with _disk(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            self.scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            self.out = open(self.scratch / "frames.bin", "wb")  # noqa: SIM115 - closed in finish

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.out.close()
        shutil.rmtree(self.scratch, ignore_errors=True)  # its own scratch folder, never the user's

    def add(self, clip: Clip) -> None:
        """Check a clip and append it.

        Raises:
            UserError: wrong shape, NaN, no frames, nobody in it, a name that was there, a label
                outside the classes. The set is as before; the caller may skip the clip.
        """
        pose = check_clip(clip, self.layout, self.classes)
        if clip.name in self.names:
            raise UserError(f"{clip.name}: this name was there already; names must be unique")
        there = [m for m in range(len(pose)) if pose[m].any()]
        with _disk(self.folder):
            for m in there:
                frames = pose[m].transpose(0, 2, 1)  # [T, C, V]
                self.out.write(np.ascontiguousarray(frames, self.dtype).tobytes())
        self.names[clip.name] = None
        self.labels.append(clip.label)
        self.fields.append(dict(clip.fields))
        self.lengths.append(pose.shape[1])
        self.persons.append(there)
        self.torsos.append(_torso(pose[there[0]], self.layout))

    def finish(
        self, splits: Mapping[str, Split] | None = None, notes: Iterable[str] = ()
    ) -> Prepared:
        """Write the index, check the whole, put it in its place and open it.

        Raises:
            UserError: no clips, labels or fields for some clips only, or not in metres.
        """
        index = self._index(splits or {})
        notes = [*notes, *self._units()]
        with _disk(self.folder):
            self.out.close()
            np.savez_compressed(self.scratch / "index.npz", **index)  # type: ignore[arg-type]
            meta = self._meta(splits or {}, notes, int(index["frame_ptr"][-1]))
            (self.scratch / "meta.json").write_text(dump(meta), encoding="utf-8")
            os.chmod(self.scratch, 0o777 & ~_umask())
            os.rename(self.scratch, self.folder)
        return read_prepared(self.folder)

    def _index(self, splits: Mapping[str, Split]) -> dict[str, NDArray[Any]]:
        if not self.names:
            raise UserError(f"{self.name}: no clip could be used")
        bodies = np.array([len(there) for there in self.persons])
        lengths = np.repeat(self.lengths, bodies)
        index: dict[str, NDArray[Any]] = {
            "frame_ptr": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            "body_ptr": np.concatenate([[0], np.cumsum(bodies)]).astype(np.int64),
            "person": np.array([m for there in self.persons for m in there], np.int64),
            "num_frames": np.array(self.lengths, np.int64),
            "names": np.array(list(self.names)),
        }
        without = sum(label is None for label in self.labels)
        if without not in (0, len(self.labels)):
            raise UserError(f"{self.name}: {without} clips have no label, others have")
        if not without:
            index["y"] = np.array(self.labels, np.int64)
        for key in self.fields[0]:
            if any(key not in fields for fields in self.fields):
                raise UserError(f"{self.name}: field {key} is missing from some clips")
            index[f"field.{key}"] = np.array([f[key] for f in self.fields], np.int64)
        for key, split in splits.items():
            if len(split.part) != len(self.labels):
                raise UserError(f"split {key}: {len(split.part)} entries for {len(self)} clips")
            index[f"split.{key}"] = np.asarray(split.part, np.int64)
        return index

    def __len__(self) -> int:
        return len(self.names)

    def _meta(
        self, splits: Mapping[str, Split], notes: Sequence[str], frames: int
    ) -> dict[str, Any]:
        files = {
            name: {
                "bytes": (self.scratch / name).stat().st_size,
                "sha256": checksum(self.scratch / name),
            }
            for name in ("frames.bin", "index.npz")
        }
        channels, joints = len(self.layout.channels), self.layout.num_joints
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "layout_name": self.layout.name,
            "layout": self.layout.content(),
            "convention": self.convention,
            "classes": self.classes,
            "dtype": self.dtype.name,
            "frames_shape": [frames, channels, joints],
            "clips": len(self),
            "inner": {key: split.inner for key, split in splits.items() if split.inner},
            "notes": list(notes),
            "about": self.about,
            "files": files,
        }

    def _units(self) -> list[str]:
        known = [size for size in self.torsos if size > 0]
        if known and self.layout.space == 3 and float(np.median(known)) > TALL:
            raise UserError(
                f"{self.name}: a torso measures {np.median(known):.0f} in the median, so the poses "
                "are not in metres (millimetres?); scale them first (`data import --scale 0.001`)"
            )
        return []


def check_clip(clip: Clip, layout: Layout, classes: Sequence[str] = ()) -> NDArray[Any]:
    """Return a clip's pose [M, T, V, C] as float32.

    Raises:
        UserError: says what is wrong with it, and what it should be.
    """
    pose = np.asarray(clip.pose)
    want = (layout.num_joints, len(layout.channels))
    if pose.ndim != 4 or not np.issubdtype(pose.dtype, np.number):
        raise UserError(f"{clip.name}: a pose must be numbers [M, T, V, C], not {pose.shape}")
    if pose.shape[2:] != want:
        raise UserError(
            f"{clip.name}: {pose.shape[2]} joints with {pose.shape[3]} channels, but layout "
            f"{layout.name} has {want[0]} with {want[1]} ({', '.join(layout.channels)})"
        )
    if pose.shape[0] == 0 or pose.shape[1] == 0:
        raise UserError(f"{clip.name}: no frames")
    pose = pose.astype(np.float32)
    if not np.isfinite(pose).all():
        frame = int(np.flatnonzero(~np.isfinite(pose).all((0, 2, 3)))[0])
        raise UserError(f"{clip.name}: NaN or infinite joints (first in frame {frame})")
    if not pose.any():
        raise UserError(f"{clip.name}: nobody in it (all joints are zero)")
    if clip.label is not None and clip.label < 0:
        raise UserError(f"{clip.name}: label {clip.label} is negative; count from 0")
    if clip.label is not None and classes and clip.label >= len(classes):
        raise UserError(f"{clip.name}: label {clip.label}, but there are {len(classes)} classes")
    return pose


def _torso(body: NDArray[Any], layout: Layout) -> float:
    """Return the median length of a body's torso, 0 where it cannot be told."""
    if layout.torso is None:
        return 0.0
    ends = body[:, list(layout.torso), : layout.space]  # [T, 2, S]
    seen = (ends != 0).any(2).all(1)
    if not seen.any():
        return 0.0
    return float(np.median(np.linalg.norm(ends[seen, 0] - ends[seen, 1], axis=1)))


@contextlib.contextmanager
def _disk(folder: Path) -> Any:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{folder}: cannot be written: {error.strerror or error}; nothing was left there. Free "
            "some space or choose another folder, then run the same command again"
        ) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
