"""PKU-MMD, phases 1 and 2: long videos, 25 joints, 51 actions, cut into instances by labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Clip, Ints
from halpgraph.data.readers._actions import PKU
from halpgraph.data.readers._base import (
    DamagedError,
    Dropped,
    Found,
    Got,
    Outcome,
    Reader,
    Rule,
    Unit,
    without_nan,
)
from halpgraph.data.readers._raw import Raw
from halpgraph.errors import UserError

COLUMNS, LONGEST = 150, 300
VIDEO = {1: r"(\d{4})-([LMR])", 2: r"(A\d\dN\d\d)-([LMR])"}
VIEWS = {"L": 1, "M": 2, "R": 3}
SPLIT_FILES = {
    "xsub": re.compile(r"cross[-_]subject(_v2)?\.txt"),
    "xview": re.compile(r"cross[-_]view(_v2)?\.txt"),
}


@dataclass(frozen=True)
class Instance:
    """A line of a label file: an action from ``start`` to ``end``, as written there."""

    line: int
    action: int
    start: int
    end: int


def find(phase: int, raw: Raw) -> Found:
    """List the videos that have both a skeleton and a label file."""
    pattern = re.compile(VIDEO[phase] + r"\.(txt|skeleton)")
    skeletons, labels = dict[str, str](), dict[str, str]()
    for member in sorted(raw.sizes):
        folder, _, file = member.rpartition("/")
        if pattern.fullmatch(file):
            texts = file.endswith(".txt") and "label" in folder.lower()
            (labels if texts else skeletons).setdefault(file.rpartition(".")[0], member)
    both = sorted(skeletons.keys() & labels.keys())
    found = Found([Unit(name, skeletons[name], (labels[name],)) for name in both])
    if skeletons and not labels:
        found.notes.append("no label files: they must lie in a folder with 'label' in its name")
    found.dropped += [
        Dropped(name, "video without labels", f"{raw.where(skeletons[name])}: no label file")
        for name in sorted(skeletons.keys() - labels.keys())
    ]
    return found


def read(phase: int, raw: Raw, unit: Unit, convention: str) -> list[Outcome]:
    """Cut one video into its instances."""
    where = raw.where(unit.member)
    frames, mended = without_nan(_frames(raw.read(unit.member), where))  # [T, M, V, 3]
    label_where, out = raw.where(unit.extra[0]), list[Outcome]()
    for number, row in enumerate(raw.read(unit.extra[0]).splitlines(), start=1):
        if not row.strip():
            continue
        name = f"{unit.name}-{number:03d}"
        try:
            instance = _instance(row, number, label_where)
        except DamagedError as error:
            out.append(Dropped(name, "damaged or unusable", str(error), error.line))
            continue
        out.append(_cut(name, frames, instance, convention, _fields(phase, unit.name), mended))
    return out


def _cut(
    name: str,
    frames: NDArray[Any],
    instance: Instance,
    convention: str,
    fields: dict[str, int],
    mended: str | None,
) -> Outcome:
    part = frames[rows(instance.start, instance.end, convention)]
    said = f"frames {instance.start} to {instance.end} of {len(frames)}"
    if not len(part):
        return Dropped(name, "instance outside its video", said, instance.line)
    if not part.any():
        return Dropped(name, "nobody in it (all joints are zero)", said, instance.line)
    return Got(Clip(name, part.transpose(1, 0, 2, 3), instance.action - 1, fields), mended)


def rows(start: int, end: int, convention: str) -> slice:
    """Return the rows (from 0) of an instance.

    ``cmd`` takes rows start to end - 1 and of them the first 300. ``aimclr`` counts the frames of
    the labels from 1 and takes both ends, rows start - 1 to end - 1, and of them the middle 300.
    """
    if convention == "cmd":
        return slice(start, min(end, start + LONGEST))
    first, more = max(start - 1, 0), max(end - max(start - 1, 0) - LONGEST, 0)
    return slice(first + more // 2, first + more // 2 + LONGEST if more else end)


def _frames(content: bytes, where: str) -> NDArray[Any]:
    """Read a video, two bodies of 25 joints a line. Shapes: [T, M, V, 3]."""
    cells, lines = content.split(), content.splitlines()
    try:
        if len(cells) != COLUMNS * sum(bool(line.strip()) for line in lines):
            raise ValueError
        return np.array(cells).astype(np.float64).reshape(-1, 2, 25, 3)  # [T, M, V, 3]
    except ValueError:
        for number, line in enumerate(lines, start=1):
            if line.strip() and not _is_frame(line):
                raise DamagedError(
                    f"{where}, line {number}: expected {COLUMNS} numbers; the file is damaged",
                    number,
                ) from None
        raise DamagedError(f"{where}: not numbers; the file is damaged") from None


def _is_frame(line: bytes) -> bool:
    try:
        return len(np.array(line.split()).astype(np.float64)) == COLUMNS
    except ValueError:
        return False


def _instance(row: bytes, number: int, where: str) -> Instance:
    try:
        action, start, end = (int(float(cell)) for cell in row.split(b",")[:3])
    except (ValueError, OverflowError):
        text = row[:40].decode("ascii", "replace")
        raise DamagedError(
            f"{where}, line {number}: expected 'label,start,end,confidence', found {text!r}", number
        ) from None
    if not 1 <= action <= len(PKU) or start < 0 or end < start:
        raise DamagedError(
            f"{where}, line {number}: label {action} (of 1 to {len(PKU)}), frames {start} to {end}",
            number,
        )
    return Instance(number, action, start, end)


def _fields(phase: int, video: str) -> dict[str, int]:
    name, _, view = video.partition("-")
    fields = {"video": int(re.sub(r"\D", "", name)), "view": VIEWS[view]}
    return fields | ({"subject": int(name[4:])} if phase == 2 else {})


def _by_file(split: str, raw: Raw, names: Sequence[str], fields: Mapping[str, Ints]) -> Ints | None:
    """Return a split as its published file has it; None where that file is not there."""
    found = raw.named(SPLIT_FILES[split])
    if not found:
        return None
    member = next(iter(found.values()))
    lines = raw.read(member).decode("utf-8", "replace").splitlines()
    if len(lines) < 4:
        raise UserError(
            f"{raw.where(member)}: a split file has the training videos in line 2 and those for "
            f"validation in line 4, this one has {len(lines)} lines"
        )
    train, test = ({n.strip() for n in lines[at].split(",") if n.strip()} for at in (1, 3))
    videos = [name.rsplit("-", 1)[0] for name in names]
    return np.array([0 if v in train else 1 if v in test else -1 for v in videos], np.int64)


def _reader(phase: int, expected: int, sizes: dict[str, tuple[int, int] | None]) -> Reader:
    inner = {"xsub": "subject" if phase == 2 else "video", "xview": "view"}
    return Reader(
        name=f"pku{phase}",
        layout="ntu25",
        classes=PKU,
        conventions={
            "cmd": "frames start to end - 1 of the labels counted from 0, of them the first 300 "
            "(as CMD, HaLP, MAMP); two bodies as they lie in the file, metres before the camera",
            "aimclr": "frames start to end of the labels counted from 1, of them the middle 300 "
            "(as AimCLR); two bodies as they lie in the file, metres before the camera",
        },
        about={
            "title": f"PKU-MMD, phase {phase}",
            "source": "https://www.icst.pku.edu.cn/struct/Projects/PKUMMD.html",
            "licence": "for research, on request from the authors",
            "citation": "Liu, Hu, Li, Song and Liu. PKU-MMD: a large scale benchmark for "
            "continuous multi-modal human action understanding. arXiv 1703.07475, 2017",
        },
        files=f"{'XXXX' if phase == 1 else 'AxxNxx'}-V.txt (or .skeleton), with label files of the "
        "same names in a folder called label",
        find=partial(find, phase),
        read=partial(read, phase),
        rules={k: Rule(partial(_by_file, k), inner[k], size) for k, size in sizes.items()},
        expected=expected,
        chunk=8,
    )


READERS = {
    "pku1": _reader(1, 21545, {"xsub": (18841, 2704), "xview": (14357, 7188)}),
    "pku2": _reader(2, 6952, {"xsub": (5339, 1613), "xview": None}),
}
