"""The text of an NTU ``.skeleton`` file: frames, in each any number of bodies, 25 joints each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Ints
from halpgraph.data.readers._base import DamagedError

JOINTS, COLUMNS, HEAD = 25, 12, 10


@dataclass
class Recording:
    """What one file says: K sightings of a body in a frame, in the order of the file.

    ``body`` are whole numbers of up to 64 bits, kept exactly (as floats some would be equal).

    Shapes: frame [K], slot [K] (the position among the bodies of the frame), xyz [K, V, 3].
    """

    frames: int
    frame: Ints
    slot: Ints
    body: list[int]
    xyz: NDArray[Any]


class _Lines:
    """The lines of a file, and where in it the reader is."""

    def __init__(self, content: bytes, where: str) -> None:
        self.lines, self.where, self.at = content.split(b"\n"), where, 0
        while self.lines and not self.lines[-1].strip():
            self.lines.pop()

    def next(self, what: str) -> bytes:
        if self.at >= len(self.lines):
            line = len(self.lines)
            raise DamagedError(f"{self.where}, line {line}: the file ends before {what}", line)
        self.at += 1
        return self.lines[self.at - 1]

    def count(self, what: str, most: int) -> int:
        text = self.next(what)
        if not text.strip().isdigit() or int(text) > most:
            raise self.wrong(what)
        return int(text)

    def wrong(self, what: str, at: int | None = None) -> DamagedError:
        line = self.at if at is None else at + 1
        text = self.lines[line - 1][:40].decode("ascii", "replace").strip()
        return DamagedError(
            f"{self.where}, line {line}: expected {what}, found {text!r}; the file is damaged", line
        )


def parse(content: bytes, where: str) -> Recording:
    """Read a file in one pass.

    Args:
        content: of the file.
        where: the file's name, for messages.

    Raises:
        DamagedError: truncated or not as it should be; the message and ``line`` say where.
    """
    lines = _Lines(content, where)
    count = lines.count("the number of frames", 1_000_000)
    frame, slot, body, cells = list[int](), list[int](), list[int](), list[bytes]()
    for t in range(count):
        bodies = lines.count(f"the number of bodies in frame {t + 1} of {count}", 99)
        for position in range(bodies):
            body.append(_body(lines))
            frame.append(t)
            slot.append(position)
            cells += _joints(lines)
    return Recording(
        count, np.array(frame, np.int64), np.array(slot, np.int64), body, _numbers(lines, cells)
    )


def _body(lines: _Lines) -> int:
    what = f"a body: its number and {HEAD - 1} more values"
    head = lines.next(what).split()
    try:
        if len(head) != HEAD:
            raise ValueError
        return int(head[0])
    except ValueError:
        raise lines.wrong(what) from None


def _joints(lines: _Lines) -> list[bytes]:
    """Return x, y, z of 25 joints as text, [75] of them."""
    if lines.count(f"the number of joints, {JOINTS}", 999) != JOINTS:
        raise lines.wrong(f"the number of joints, {JOINTS}")
    start, end = lines.at, lines.at + JOINTS
    if end > len(lines.lines):
        lines.at = len(lines.lines)
        lines.next(f"all {JOINTS} joints of a body")
    lines.at = end
    out = list[bytes]()
    for at in range(start, end):
        line = lines.lines[at]
        if line.count(b" ") != COLUMNS - 1 and len(line.split()) != COLUMNS:
            raise lines.wrong(f"a joint: {COLUMNS} numbers", at)
        out += line.split(None, 3)[:3]
    if len(out) != JOINTS * 3:
        raise lines.wrong(f"{JOINTS} joints of {COLUMNS} numbers", start)
    return out


def _numbers(lines: _Lines, cells: list[bytes]) -> NDArray[Any]:
    if not cells:
        return np.empty((0, JOINTS, 3))
    try:
        return np.array(list(map(float, cells))).reshape(-1, JOINTS, 3)  # [K, V, 3]
    except ValueError:
        raise _blame(lines) from None


def _blame(lines: _Lines) -> DamagedError:
    """Find the first joint that is not three numbers; slow, so used only after failing."""
    for at, line in enumerate(lines.lines):
        cells = line.split()
        if len(cells) != COLUMNS:
            continue
        try:
            list(map(float, cells[:3]))
        except ValueError:
            return lines.wrong("a joint: x, y, z and 9 more numbers", at)
    return DamagedError(f"{lines.where}: not numbers; the file is damaged")
