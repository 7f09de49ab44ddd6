"""Northwestern-UCLA Multiview Action 3D: 1,484 sequences, 20 joints, 10 actions, 3 views."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np

from halpgraph.data.clips import Clip, Ints
from halpgraph.data.readers._base import (
    DamagedError,
    Found,
    Got,
    Outcome,
    Reader,
    Rule,
    Unit,
    without_nan,
)
from halpgraph.data.readers._raw import Raw

ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)  # labels 0 to 9
CLASSES = (
    "pick up with one hand",
    "pick up with two hands",
    "drop trash",
    "walk around",
    "sit down",
    "stand up",
    "donning",
    "doffing",
    "throw",
    "carry",
)
NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)\.json")


def find(raw: Raw) -> Found:
    """List the sequences."""
    return Found([Unit(name[:-5], member) for name, member in raw.named(NAME).items()])


def read(raw: Raw, unit: Unit, convention: str) -> list[Outcome]:
    """Read one sequence; one frame is enough."""
    where, content = raw.where(unit.member), raw.read(unit.member)
    action, subject, episode, view = _numbers(unit.name)
    if action not in ACTIONS:
        raise DamagedError(f"{where}: there is no action {action} in NW-UCLA")
    try:
        sequence = json.loads(content)
        pose = np.asarray(sequence["skeletons"], np.float64)  # [T, V, C]
        label = int(sequence["label"])
    except json.JSONDecodeError as error:
        raise DamagedError(f"{where}, line {error.lineno}: not JSON", error.lineno) from None
    except (UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(f"{where}: not a sequence of NW-UCLA ({error})") from None
    if pose.ndim != 3 or pose.shape[1:] != (20, 3):
        raise DamagedError(f"{where}: skeletons are {pose.shape}, not (frames, 20, 3)")
    if ACTIONS.index(action) != label - 1:
        raise DamagedError(f"{where}: label {label}, but the name says action {action}")
    pose, mended = without_nan(pose)
    fields = {"subject": subject, "view": view, "episode": episode}
    if len(pose) == 1:
        mended = "one frame only (kept)"
    return [Got(Clip(unit.name, pose[None], label - 1, fields), mended)]


def _numbers(name: str) -> tuple[int, ...]:
    found = NAME.fullmatch(f"{name}.json")
    return tuple(int(part) for part in found.groups()) if found else ()


def _xview(raw: Raw, names: Sequence[str], fields: Mapping[str, Ints]) -> Ints:
    """Views 1 and 2 train, view 3 tests."""
    return np.where(fields["view"] == 3, 1, 0)


READER = Reader(
    name="nw_ucla",
    layout="kinect20",
    classes=CLASSES,
    conventions={"raw": "as published: metres before the camera, nothing centred, turned or cut"},
    about={
        "title": "Northwestern-UCLA Multiview Action 3D",
        "source": "https://wangjiangb.github.io/my_data.html",
        "licence": "CC BY-NC 4.0 (as carried by the repackaged copy)",
        "citation": "Wang, Nie, Xia, Wu and Zhu. Cross-view action modeling, learning and "
        "recognition. CVPR 2014",
    },
    files="aAA_sSS_eEE_vVV.json",
    find=find,
    read=read,
    rules={"xview": Rule(_xview, "view", (1020, 464))},
    expected=1484,
)
