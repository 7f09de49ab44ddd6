"""What a reader of raw skeleton files is: which files, how one is read, which splits there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip, Ints
from halpgraph.data.readers._raw import Raw
from halpgraph.errors import UserError


class DamagedError(UserError):
    """A raw file is not what it should be; it is reported with its line and skipped."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Unit:
    """One raw file, and the name of what is in it; ``extra`` is the reader's own."""

    name: str
    member: str
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """A sample that is not in the prepared set: ``kind`` groups the reasons in the table."""

    name: str
    kind: str
    reason: str
    line: int | None = None


@dataclass
class Found:
    """What a raw folder holds: files to be read, and samples dropped by name alone."""

    units: list[Unit]
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Got:
    """A clip, and a remark on what had to be mended in it (counted, not printed one by one)."""

    clip: Clip
    mended: str | None = None


Outcome = Got | Dropped


@dataclass(frozen=True)
class Rule:
    """A split: the part of every clip by names and fields (None: cannot be told), and the sizes."""

    part: Callable[[Raw, Sequence[str], Mapping[str, Ints]], Ints | None]
    inner: str | None = None
    expected: tuple[int, int] | None = None


@dataclass(frozen=True)
class Reader:
    """A data set as published.

    Args:
        name: of the set.
        layout: of its skeletons.
        classes: in the order of the labels.
        conventions: name and words; the first is the default.
        about: title, source, licence, citation.
        files: the files it is made of, in words.
        find: lists them.
        read: turns one into clips by a convention.
        rules: the splits.
        expected: how many clips there are when all files are there.
        chunk: how many files one piece of work has.
    """

    name: str
    layout: str
    classes: tuple[str, ...]
    conventions: Mapping[str, str]
    about: Mapping[str, str]
    files: str
    find: Callable[[Raw], Found]
    read: Callable[[Raw, Unit, str], list[Outcome]]
    rules: Mapping[str, Rule]
    expected: int | None = None
    chunk: int = 64


def without_nan(pose: NDArray[Any]) -> tuple[NDArray[Any], str | None]:
    """Return a pose [..., V, C] in which joints that are no numbers are zero, as if not seen."""
    wrong = ~np.isfinite(pose).all(-1, keepdims=True)
    if not wrong.any():
        return pose, None
    return np.where(wrong, 0, pose), "had joints that are not numbers (set to zero, as not seen)"
