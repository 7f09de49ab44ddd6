"""UTD-MHAD: 861 sequences, 20 joints, 27 actions, 8 subjects, up to 4 trials each."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

CLASSES = (
    "swipe left",
    "swipe right",
    "wave",
    "clap",
    "throw",
    "arm cross",
    "basketball shoot",
    "draw X",
    "draw circle clockwise",
    "draw circle counter clockwise",
    "draw triangle",
    "bowling",
    "boxing",
    "baseball swing",
    "tennis swing",
    "arm curl",
    "tennis serve",
    "push",
    "knock",
    "catch",
    "pick up and throw",
    "jog",
    "walk",
    "sit to stand",
    "stand to sit",
    "lunge",
    "squat",
)
NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_skeleton\.mat")


def find(raw: Raw) -> Found:
    """List the sequences."""
    ending = len("_skeleton.mat")
    return Found([Unit(name[:-ending], member) for name, member in raw.named(NAME).items()])


def read(raw: Raw, unit: Unit, convention: str) -> list[Outcome]:
    """Read one sequence."""
    where = raw.where(unit.member)
    action, subject, trial = _numbers(unit.name)
    if not 1 <= action <= len(CLASSES):
        raise DamagedError(f"{where}: there is no action {action} in UTD-MHAD")
    joints = _matrix(raw.read(unit.member), where)
    if joints.ndim != 3 or joints.shape[:2] != (20, 3):
        raise DamagedError(f"{where}: d_skel is {joints.shape}, not (20, 3, frames)")
    pose, mended = without_nan(joints.transpose(2, 0, 1))  # [T, V, C]
    fields = {"subject": subject, "trial": trial}
    return [Got(Clip(unit.name, pose[None], action - 1, fields), mended)]


def _matrix(content: bytes, where: str) -> NDArray[Any]:
    from scipy.io import loadmat

    try:
        return np.asarray(loadmat(io.BytesIO(content))["d_skel"], np.float64)
    except Exception as error:  # a damaged .mat file raises whatever its bytes lead to
        what = "it holds no d_skel" if isinstance(error, KeyError) else str(error)
        raise DamagedError(f"{where}: not a skeleton of UTD-MHAD ({what})") from None


def _numbers(name: str) -> tuple[int, ...]:
    found = NAME.fullmatch(f"{name}_skeleton.mat")
    return tuple(int(part) for part in found.groups()) if found else ()


def _xsub(raw: Raw, names: Sequence[str], fields: Mapping[str, Ints]) -> Ints:
    """Odd subjects train, even subjects test."""
    return np.where(fields["subject"] % 2 == 0, 1, 0)


READER = Reader(
    name="utd_mhad",
    layout="utd20",
    classes=CLASSES,
    conventions={"raw": "as published: metres before the camera, nothing centred, turned or cut"},
    about={
        "title": "UTD Multimodal Human Action Dataset",
        "source": "https://personal.utdallas.edu/~kehtar/UTD-MHAD.html",
        "licence": "for research, with citation (see the project's page)",
        "citation": "Chen, Jafari and Kehtarnavaz. UTD-MHAD: a multimodal dataset for human action "
        "recognition utilizing a depth camera and a wearable inertial sensor. ICIP 2015",
    },
    files="aA_sS_tT_skeleton.mat",
    find=find,
    read=read,
    rules={"xsub": Rule(_xsub, "subject", (431, 430))},
    expected=861,
)
