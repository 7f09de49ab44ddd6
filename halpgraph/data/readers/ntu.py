"""NTU RGB+D and NTU RGB+D 120: 56,578 and 113,945 usable sequences, 25 joints, 1 or 2 persons."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from numpy.typing import NDArray

from halpgraph.data.clips import Clip
from halpgraph.data.readers._actions import NTU
from halpgraph.data.readers._agcn import agcn
from halpgraph.data.readers._base import (
    DamagedError,
    Dropped,
    Found,
    Got,
    Outcome,
    Reader,
    Unit,
    without_nan,
)
from halpgraph.data.readers._crossclr import crossclr
from halpgraph.data.readers._raw import Raw
from halpgraph.data.readers._sgn import plain, sgn
from halpgraph.data.readers._skeleton_text import Recording, parse
from halpgraph.data.readers._splits import SPLITS_60, SPLITS_120
from halpgraph.data.readers.ntu_missing import SETUPS_60, missing

NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})\.skeleton")
FIELDS = ("setup", "camera", "subject", "replication", "action")
LISTED = "on the authors' list of missing or incomplete skeletons"
CONVENTIONS: dict[str, tuple[Callable[[Recording], NDArray[Any]], str]] = {
    "halpgraph": (
        plain,
        "bodies by id, those that are mostly wider than high removed, the most moving first, at "
        "most two; frames without a body dropped; metres before the camera, not centred or turned",
    ),
    "sgn": (
        sgn,
        "as the SGN and CTR-GCN scripts: bodies by id, short and wide ones removed, sorted by "
        "motion; frames without a body dropped; one origin a clip; not turned",
    ),
    "agcn": (
        agcn,
        "as the AGCN scripts: bodies by position in the file, two by energy; empty frames at both "
        "ends filled; centred on joint 2 frame by frame; spine to z, shoulders to x",
    ),
    "crossclr": (
        crossclr,
        "as the CrosSCLR scripts: the first two bodies in the file; empty frames kept; centred on "
        "joint 21 and turned about the vertical, body by body and frame by frame",
    ),
}


def find(setups: int, raw: Raw) -> Found:
    """List the sequences of the first so many setups, without those listed as missing."""
    listed, found, others = missing(setups), Found([]), 0
    for file, member in raw.named(NAME).items():
        name = file[: -len(".skeleton")]
        if int(name[1:4]) > setups:
            others += 1
        elif name in listed:
            found.dropped.append(Dropped(name, LISTED, LISTED))
        else:
            found.units.append(Unit(name, member))
    if others:
        found.notes.append(f"{others} files of setups above {setups} are not of this set")
    return found


def read(classes: int, raw: Raw, unit: Unit, convention: str) -> list[Outcome]:
    """Read one sequence."""
    found = NAME.fullmatch(f"{unit.name}.skeleton")
    numbers = [int(part) for part in found.groups()] if found else [0] * 5
    where = raw.where(unit.member)
    if not 1 <= numbers[-1] <= classes:
        raise DamagedError(f"{where}: there is no action {numbers[-1]} in this set")
    recording = parse(raw.read(unit.member), where)
    if not recording.body:
        return [Dropped(unit.name, "no body in it", f"{where}: no body in any frame")]
    recording.xyz, nan = without_nan(recording.xyz)
    pose = CONVENTIONS[convention][0](recording)
    if not pose.any():
        return [Dropped(unit.name, "no body left", f"{where}: no body is left after cleaning")]
    more = "had more than two bodies" if len(set(recording.body)) > 2 else None
    mended = "; ".join(word for word in (nan, more) if word) or None
    clip = Clip(unit.name, pose, numbers[-1] - 1, dict(zip(FIELDS, numbers, strict=True)))
    return [Got(clip, mended)]


def _reader(name: str, setups: int, classes: int, title: str, citation: str) -> Reader:
    return Reader(
        name=name,
        layout="ntu25",
        classes=NTU[:classes],
        conventions={key: words for key, (_, words) in CONVENTIONS.items()},
        about={
            "title": title,
            "source": "https://rose1.ntu.edu.sg/dataset/actionRecognition/",
            "licence": "by agreement with the ROSE Lab, NTU Singapore: academic research only, not "
            "to be passed on",
            "citation": citation,
        },
        files="SsssCcccPpppRrrrAaaa.skeleton",
        find=partial(find, setups),
        read=partial(read, classes),
        rules=SPLITS_60 if classes == 60 else SPLITS_120,
        expected=56578 if classes == 60 else 113945,
    )


READERS = {
    "ntu60": _reader(
        "ntu60",
        SETUPS_60,
        60,
        "NTU RGB+D (60 actions)",
        "Shahroudy, Liu, Ng and Wang. NTU RGB+D: a large scale dataset for 3D human activity "
        "analysis. CVPR 2016",
    ),
    "ntu120": _reader(
        "ntu120",
        32,
        120,
        "NTU RGB+D 120",
        "Liu, Shahroudy, Perez, Wang, Duan and Kot. NTU RGB+D 120: a large-scale benchmark for 3D "
        "human activity understanding. TPAMI 2020",
    ),
}
