"""A folder with one CSV a clip, in long form or as trackers such as DeepLabCut write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.imports._folder import ClipFolder
from halpgraph.data.imports._sheets import read_cells
from halpgraph.data.imports._source import RawClip, Source
from halpgraph.data.imports._tidy import mismatch
from halpgraph.errors import UserError, did_you_mean
from halpgraph.layout import Layout

AXES = ("x", "y", "z", "score")
SCORES = ("likelihood", "confidence", "visibility")
COLUMN = re.compile(rf"(.+)_({'|'.join((*AXES, *SCORES))})", re.IGNORECASE)
SPARSE = 20  # a clip with this many times more frame numbers than frames is not numbered by frames


@dataclass
class Values:
    """Numbers of a clip, one entry each: frame, person and joint as text, axis, value."""

    frame: list[str] = field(default_factory=list)
    person: list[str] = field(default_factory=list)
    joint: list[str] = field(default_factory=list)
    axis: list[str] = field(default_factory=list)
    value: list[str] = field(default_factory=list)

    def add(self, frame: str, person: str, joint: str, axis: str, value: str) -> None:
        """Append one number."""
        self.frame.append(frame)
        self.person.append(person)
        self.joint.append(joint)
        self.axis.append("score" if axis in SCORES else axis)
        self.value.append(value)


def read(path: Path, layout: Layout) -> Source:
    """Open a folder of CSV files and, if there is one, its ``labels.csv``.

    Long form: columns ``frame``, ``joint`` (name, or number from 0), ``x``, ``y``, perhaps
    ``person``, ``z``, ``score``; a row a joint. Wide form: columns JOINT_x, JOINT_y, perhaps
    JOINT_z, JOINT_score (or _likelihood), ``frame``, ``person``; a row a frame. The three or four
    header rows of DeepLabCut are understood too. Empty cells and absent rows are joints not seen.

    Raises:
        UserError: no such folder or files; the joints are not those of the layout.
    """
    seen: set[int] = set()

    def finish() -> None:
        if seen and len(seen) < layout.num_joints:
            never = [name for i, name in enumerate(layout.joints) if i not in seen]
            text = f"{len(seen)} joints in all files ({', '.join(never[:5])} never there)"
            raise mismatch(path, text, len(seen), None, layout)

    return ClipFolder(path, ".csv", lambda file: _clip(file, layout, seen), finish).source()


def _clip(path: Path, layout: Layout, seen: set[int]) -> RawClip:
    values = _values(path)
    if not values.value:
        raise UserError(f"{path}: no frames")
    axes = [axis for axis in AXES if axis in set(values.axis)]
    joint, number = _places(path, values.joint, layout)
    if max(joint) >= layout.num_joints:
        raise mismatch(path, f"joint number {max(joint)}", max(joint) + 1, len(axes), layout)
    frame = _frames(path, values.frame)
    people = sorted(set(values.person), key=lambda text: (len(text), text))
    person = [people.index(text) for text in values.person]
    pose = np.zeros((len(people), int(frame.max()) + 1, layout.num_joints, len(axes)), np.float32)
    at = (person, frame, joint, [axes.index(axis) for axis in values.axis])
    taken = np.ravel_multi_index(tuple(np.asarray(a) for a in at), pose.shape)
    if len(np.unique(taken)) < len(taken):
        raise UserError(f"{path}: the same joint of the same frame (and person) is there twice")
    pose[at] = [_float(path, text) for text in values.value]
    seen |= number
    return RawClip(path.stem, pose, score="score" in axes)


def _values(path: Path) -> Values:
    cells = read_cells(path)
    if not cells:
        raise UserError(f"{path}: empty")
    if cells[0][0].lower() == "scorer":
        return _wide(path, *_tracker(path, cells))
    head = [name.lower() for name in cells[0]]
    if "joint" in head:
        return _long(path, head, cells[1:])
    columns = [_column(name) for name in cells[0]]
    return _wide(path, columns, cells[1:])


def _long(path: Path, head: list[str], rows: list[list[str]]) -> Values:
    for needed in ("frame", "joint", "x", "y"):
        if needed not in head:
            raise UserError(f"{path}: no column {needed}{did_you_mean(needed, head)}")
    out = Values()
    axes = [(i, name) for i, name in enumerate(head) if name in (*AXES, *SCORES)]
    frame, joint = head.index("frame"), head.index("joint")
    person = head.index("person") if "person" in head else None
    for row in _equal(path, rows, len(head)):
        for i, axis in axes:
            who = "" if person is None else row[person]
            out.add(row[frame], who, row[joint], axis, row[i])
    return out


def _wide(path: Path, columns: Sequence[tuple[str, str, str]], rows: list[list[str]]) -> Values:
    """Read a row a frame; columns are (person, joint, axis), or ("", "", name) of any other."""
    other = {name.lower(): i for i, (_, joint, name) in enumerate(columns) if not joint}
    if len(other) == len(columns):
        raise UserError(
            f"{path}: neither a column 'joint' nor columns such as nose_x and nose_y "
            f"(found {', '.join(other)})"
        )
    out = Values()
    for number, row in enumerate(_equal(path, rows, len(columns))):
        frame = row[other["frame"]] if "frame" in other else str(number)
        for (who, joint, axis), cell in zip(columns, row, strict=True):
            if joint:
                out.add(
                    frame, row[other["person"]] if "person" in other else who, joint, axis, cell
                )
    return out


def _column(name: str) -> tuple[str, str, str]:
    found = COLUMN.fullmatch(name)
    return ("", found.group(1), found.group(2).lower()) if found else ("", "", name)


def _tracker(
    path: Path, cells: list[list[str]]
) -> tuple[list[tuple[str, str, str]], list[list[str]]]:
    """Return columns and rows below DeepLabCut's scorer, individuals, bodyparts and coords."""
    heads: dict[str, list[str]] = {}
    rows = iter(cells)
    for row in rows:
        heads[row[0].lower()] = row[1:]
        if row[0].lower() == "coords":
            break
    if not {"bodyparts", "coords"} <= set(heads):
        raise UserError(f"{path}: a file of DeepLabCut needs the rows bodyparts and coords")
    parts, coords = heads["bodyparts"], heads["coords"]
    who = heads.get("individuals", [""] * len(parts))
    columns = [("", "", "frame"), *zip(who, parts, [c.lower() for c in coords], strict=True)]
    return columns, list(rows)


def _equal(path: Path, rows: list[list[str]], width: int) -> list[list[str]]:
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise UserError(f"{path}: row {number} has {len(row)} cells under {width} columns")
    return rows


def _places(path: Path, joints: list[str], layout: Layout) -> tuple[list[int], set[int]]:
    """Return the number of every joint, and the set of them."""
    place = {name.lower(): i for i, name in enumerate(layout.joints)}
    names = {name: place.get(name.lower()) for name in dict.fromkeys(joints)}
    for name in names:
        if names[name] is None and name.isdigit():
            names[name] = int(name)
        if names[name] is None:
            text = f"joint {name} of {len(names)}{did_you_mean(name, layout.joints)}"
            raise mismatch(path, text, len(names), None, layout)
    numbers = {name: number for name, number in names.items() if number is not None}
    return [numbers[name] for name in joints], set(numbers.values())


def _frames(path: Path, texts: list[str]) -> NDArray[np.int64]:
    """Return frame numbers from 0; gaps stay, and hold nobody."""
    known = {text: _float(path, text or "nan") for text in dict.fromkeys(texts)}
    for text, value in known.items():
        if not value.is_integer():
            raise UserError(f"{path}: frame {text!r} is no whole number; count frames from 0")
    span = max(known.values()) - min(known.values()) + 1
    if span > SPARSE * len(known):
        raise UserError(
            f"{path}: {len(known)} frames are numbered over {span:.0f}; number them one by one"
        )
    first = min(known.values())
    return np.array([int(known[text] - first) for text in texts], np.int64)


def _float(path: Path, text: str) -> float:
    try:
        return float(text or 0)
    except ValueError:
        raise UserError(f"{path}: {text!r} is no number") from None
