"""Finished pieces of a set being prepared: written whole, taken up again by the same command."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from halpgraph.data._files import DAMAGED
from halpgraph.data.clips import Clip
from halpgraph.data.readers._base import Dropped, Got, Outcome
from halpgraph.errors import RunError, UserError
from halpgraph.files import digest, write_with

TRIES = 100
LAYOUT = 1  # of the parts; counts up when it, or what any reader makes, changes


class Parts:
    """The scratch folder of one set: ``.NAME.parts`` beside it.

    Args:
        out: where the set will be.
        key: everything the pieces depend on: files with their sizes, and settings. Pieces of
            another key are not taken up.
    """

    def __init__(self, out: Path, key: Any) -> None:
        self.folder = out.parent / f".{out.name}.parts"
        self.key = digest([LAYOUT, key])[:16]

    def path(self, chunk: int) -> Path:
        """Return where a piece is or will be."""
        return self.folder / f"{self.key}-{chunk:05d}.npz"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for another process that prepares the same set, then have it to oneself.

        Raises:
            RunError: the folder cannot be written.
        """
        with self._handle() as handle:
            with contextlib.suppress(ImportError):  # no such locks on Windows
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _handle(self) -> TextIO:
        for attempt in range(TRIES):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                return open(self.folder / "lock", "w", encoding="utf-8")
            except OSError as error:
                # One who is done may remove the folder between the two.
                if not isinstance(error, FileNotFoundError) or attempt == TRIES - 1:
                    why = f"cannot be written: {error.strerror}; choose another --out"
                    raise RunError(f"{self.folder}: {why}") from None
        raise AssertionError("not reached")

    def remove(self) -> None:
        """Remove this folder's pieces, and nothing else; the set is finished."""
        with contextlib.suppress(OSError):
            for path in [*self.folder.glob("*-?????.npz"), *self.folder.glob(".*.npz.*.tmp")]:
                path.unlink()
        self.leave()

    def leave(self) -> None:
        """Remove the lock, and the folder if nothing else is in it."""
        with contextlib.suppress(OSError):
            (self.folder / "lock").unlink()
            self.folder.rmdir()


def write_part(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write what some files gave, whole or not at all.

    Raises:
        RunError: the disk is full or read-only.
    """
    rows, poses = list[dict[str, Any]](), [np.empty(0, np.float32)]
    for outcome in outcomes:
        if isinstance(outcome, Dropped):
            rows.append({"dropped": asdict(outcome)})
            continue
        clip = outcome.clip
        rows.append(
            {
                "name": clip.name,
                "label": clip.label,
                "fields": clip.fields,
                "shape": clip.pose.shape,
                "mended": outcome.mended,
            }
        )
        poses.append(np.asarray(clip.pose, np.float32).ravel())
    header = np.frombuffer(json.dumps(rows).encode(), np.uint8)
    flat = np.concatenate(poses)
    write_with(path, lambda out: np.savez(out, header=header, flat=flat))


def read_part(path: Path) -> list[Outcome] | None:
    """Read a piece; None where there is none, or a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as content:
            rows = json.loads(content["header"].tobytes())
            return list(_outcomes(rows, content["flat"]))
    except (*DAMAGED, OSError, KeyError):
        return None


def _outcomes(rows: Sequence[dict[str, Any]], flat: NDArray[Any]) -> Iterator[Outcome]:
    at = 0
    for row in rows:
        if "dropped" in row:
            yield Dropped(**row["dropped"])
            continue
        size = int(np.prod(row["shape"]))
        pose = flat[at : at + size].reshape(row["shape"])  # [M, T, V, C]
        at += size
        yield Got(Clip(row["name"], pose, row["label"], row["fields"]), row["mended"])


def part_of(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    """Return how many clips, and how many dropped samples, a piece has."""
    lost = sum(isinstance(outcome, Dropped) for outcome in outcomes)
    return len(outcomes) - lost, lost


def damaged(name: str, error: UserError) -> Dropped:
    """Return the report of a file that could not be read."""
    return Dropped(name, "damaged or unusable", str(error), getattr(error, "line", None))
