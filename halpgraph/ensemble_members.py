"""Members of an ensemble: rows of finished runs, and what their classifiers were certain of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph.contracts import FloatArray, IntArray
from halpgraph.embeddings import read_arrays
from halpgraph.errors import UserError, did_you_mean
from halpgraph.files import read_json
from halpgraph.judging import evaluator_keys
from halpgraph.pose_floors import POSE_FLOORS
from halpgraph.rundir import RunDir

EMBEDDED = ("untrained", "calibrated", *POSE_FLOORS)  # floors that are judged as embeddings are


@dataclass(frozen=True)
class Member:
    """One row of one finished run: where the scores of its seeds lie."""

    name: str
    folders: Mapping[int, Path]  # by seed
    evaluators: Sequence[str]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    cell: str = ""


@dataclass(frozen=True)
class Certainty:
    """What one evaluator was certain of, with one seed.

    Shapes: id, fold, y [m], classes [k], probabilities [m, k].
    """

    id: IntArray
    fold: IntArray
    y: IntArray
    classes: IntArray
    probabilities: FloatArray


def align(found: Sequence[Certainty], names: Sequence[str]) -> list[Certainty]:
    """Return all in the order of the first one's ids.

    Raises:
        UserError: other clips, labels, folds or classes than the first one's.
    """
    first = found[0]
    out = [first]
    for one, name in zip(found[1:], names[1:], strict=True):
        odd = np.setxor1d(one.id, first.id)
        if len(odd):
            _refuse(name, names[0], f"{len(odd)} clips are in one of the two only (id {odd[0]})")
        if not np.array_equal(one.classes, first.classes):
            _refuse(name, names[0], "the classes are not the same")
        order = np.argsort(one.id)[np.searchsorted(np.sort(one.id), first.id)]
        moved = Certainty(
            first.id, one.fold[order], one.y[order], one.classes, one.probabilities[order]
        )
        for what, mine, theirs in (
            ("labels", moved.y, first.y),
            ("test folds", moved.fold, first.fold),
        ):
            if not np.array_equal(mine, theirs):
                odd = first.id[mine != theirs]
                _refuse(name, names[0], f"{len(odd)} clips have other {what} (id {odd[0]})")
        out.append(moved)
    return out


def _refuse(name: str, other: str, why: str) -> None:
    raise UserError(
        f"ensemble: {name} does not go with {other}: {why}; "
        "fuse runs on the same data with the same seeds and splits"
    )


def member(text: str) -> Member:
    """Find a member by ``RUN``, ``RUN:ARM`` or ``RUN:CELL/ARM``; ARM may be a floor that embeds.

    Raises:
        UserError: no finished run there, no such arm or cell, or several to choose from.
    """
    path, _, row = text.rpartition(":") if not Path(text).is_dir() else (text, "", "")
    folder = RunDir.open(path or text)
    _ = folder.scores  # is it finished?
    recipe = folder.recipe
    wanted, _, arm = row.rpartition("/")
    cells = sorted(found.parent.name for found in folder.path.glob("*/data.json"))
    cell = _one_of(wanted, cells, text, "CELL/ARM")
    floors = [name for name in recipe["floors"] if name in EMBEDDED]
    known = list(recipe["arms"]) + (floors if arm else [])
    arm, seeds = _one_of(arm, known, text, "ARM"), recipe["seeds"]
    if arm in recipe["arms"]:
        places = [folder.job(cell, arm, seed) for seed in seeds]
    else:
        places = folder.floor_seeds(cell, arm, seeds, read_json(folder.path / cell / "data.json"))
    folders = {int(seed): place for seed, place in zip(seeds, places, strict=True)}
    keys = list(evaluator_keys(recipe["evaluators"]))
    return Member(f"{folder.path.name}:{cell}/{arm}", folders, keys, recipe, cell)


def expanded(text: str) -> list[str]:
    """Return the members that a name with ``*`` in CELL or ARM stands for; others stand alone."""
    path, _, row = text.rpartition(":")
    if "*" not in row or not path:
        return [text]
    folder = RunDir.open(path)
    wanted, _, arm = row.rpartition("/")
    cells = sorted(found.parent.name for found in folder.path.glob("*/data.json"))
    arms = [*folder.recipe["arms"], *([arm] if arm in EMBEDDED else [])]
    there = {cell: [f"{cell}/{name}" for name in arms] for cell in cells}
    pattern = f"{wanted or '*'}/{arm or '*'}"
    known = [name for names in there.values() for name in names]
    fitting = [name for name in known if fnmatchcase(name, pattern)]
    if not fitting:
        raise UserError(f"ensemble: {text}: nothing fits; there are {', '.join(known)}")
    return [f"{path}:{name}" for name in fitting]


def _one_of(wanted: str, known: list[str], text: str, how: str) -> str:
    if not wanted and len(known) == 1:
        return known[0]
    if not wanted:
        raise UserError(
            f"ensemble: {text}: choose one of {', '.join(known)} and write it as RUN:{how}"
        )
    if wanted not in known:
        raise UserError(f"ensemble: {text}: {wanted} is not there{did_you_mean(wanted, known)}")
    return wanted


def shared_seeds(members: Sequence[Member]) -> list[int]:
    """Return the seeds that all have.

    Raises:
        UserError: they have others.
    """
    first = list(members[0].folders)
    for one in members[1:]:
        odd = sorted(set(one.folders) ^ set(first))
        if odd:
            raise UserError(
                f"ensemble: {one.name} has the seeds {list(one.folders)}, {members[0].name} has "
                f"{first}; run both with the same ones"
            )
    return first


def read(one: Member, seed: int, evaluator: str) -> Certainty:
    """Read what an evaluator was certain of.

    Raises:
        UserError: it was not run there, or tells no certainties.
    """
    path = one.folders[seed] / f"{evaluator}.json"
    if not path.is_file():
        raise UserError(
            f"ensemble: {one.name}: no {evaluator} with seed {seed} "
            f"(evaluators of the run: {', '.join(one.evaluators)}); choose one by --evaluator"
        )
    certain = path.with_suffix(".npz")
    if not certain.is_file():
        raise UserError(
            f"ensemble: {certain}: not there; {evaluator} tells no certainty of classes, or an "
            "older version ran it - use linear, svm, knn or probe, and run the recipe again"
        )
    content, told = read_arrays(certain), read_json(path)
    place = {name: i for i, name in enumerate(told["id"])}
    y = np.array([told["y"][place[name]] for name in content["id"].tolist()]).reshape(-1)
    return Certainty(
        content["id"],
        content["fold"],
        y.astype(np.int64),
        content["classes"],
        content["probabilities"].astype(np.float64),
    )


def grouped(seeds: Sequence[int], each: int) -> list[list[int]]:
    """Return seeds, as many together as make one result.

    Raises:
        UserError: some would be left over.
    """
    if each < 1 or len(seeds) % each:
        raise UserError(
            f"--each {each}: does not divide the {len(seeds)} seeds of the runs, and none is left "
            "out; give a divisor, or run more seeds"
        )
    return [list(seeds[at : at + each]) for at in range(0, len(seeds), each)]


def read_all(members: Sequence[Member], group: Sequence[int], evaluator: str) -> list[Certainty]:
    """Read what an evaluator was certain of, member by member with every seed of a group.

    All are in the order of the first one's ids.

    Raises:
        UserError: they do not go together; or the seeds of a group have test folds of their own.
    """
    wanted = [(one, seed) for one in members for seed in group]
    found = [read(one, seed, evaluator) for one, seed in wanted]
    if len(group) > 1:
        _refuse_folds(members[0].name, found[: len(group)])
    return align(found, [f"{one.name}, seed {seed}" for one, seed in wanted])


def _refuse_folds(name: str, found: Sequence[Certainty]) -> None:
    folds = [one.fold[np.argsort(one.id)] for one in found]
    if any(not np.array_equal(fold, folds[0]) for fold in folds[1:]):
        raise UserError(
            f"--each {len(found)}: {name}: every seed has test folds of its own, so one training's "
            "classifier has learnt from what another's is tested on; a named split has not"
        )
