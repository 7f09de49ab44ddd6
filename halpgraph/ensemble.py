"""Late fusion: the certainties of several trained encoders (streams), added up clip by clip.

Members are read from finished runs, matched by the id of each clip and never by its position.
Weights are given or equal; nothing is ever searched on the labels that it is judged by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from halpgraph.contracts import FloatArray, IntArray
from halpgraph.embeddings import read_arrays
from halpgraph.errors import UserError, did_you_mean
from halpgraph.evaluators._nested import Outcome, metrics
from halpgraph.files import read_json
from halpgraph.judging import evaluator_keys
from halpgraph.pose_floors import POSE_FLOORS
from halpgraph.rundir import RunDir
from halpgraph.statistics import compare, summarise

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


def ensemble(
    names: Sequence[str],
    weights: Sequence[float] | Literal["search"] | None = None,
    evaluator: str | None = None,
    root: str | Path | None = None,
) -> dict[str, Any]:
    """Fuse rows of finished runs and judge them together; nothing is written.

    Args:
        names: ``RUN``, ``RUN:ARM`` or ``RUN:CELL/ARM``, two or more in all; a ``*`` in CELL or ARM
            stands for all arms that fit, as in ``RUN:stream-*/moco``. ARM may be a floor that has
            embeddings, too, such as ``untrained``.
        weights: one a member; equal ones where left out; ``search`` looks for them, seed by seed,
            in the training part alone (see the evaluator ``ensemble``).
        evaluator: whose certainties; by default the first of the first run.
        root: where the data set is looked for first; a search needs its splits.

    Raises:
        UserError: a member is missing, or was judged on other clips, labels, folds or seeds.
    """
    names = [each for name in names for each in _expanded(name)]
    if len(names) < 2:
        raise UserError("ensemble: give two members or more (RUN or RUN:ARM)")
    searching = weights == "search"
    shares = checked_weights(None if isinstance(weights, str) else weights, len(names))
    members = [member(name) for name in names]
    evaluator = evaluator or members[0].evaluators[0]
    seeds = _shared_seeds(members)
    fused: dict[str, list[list[float]]] = {}
    alone: list[dict[str, list[list[float]]]] = [{} for _ in members]
    found_weights: list[list[float]] = []
    for seed in seeds:
        found = [read(one, seed, evaluator) for one in members]
        aligned = align(found, [f"{one.name}, seed {seed}" for one in members])
        first, tables = found[0], [one.probabilities for one in aligned]
        if searching:
            from halpgraph.ensemble_search import search

            shares = search(members, seed, evaluator, root)
            found_weights.append(shares)
        _add(fused, score(first, fuse(tables, shares)))
        for own, table in zip(alone, tables, strict=True):
            _add(own, score(first, table))
    if searching:
        shares = np.mean(found_weights, axis=0).tolist()
    rows = [
        {"name": one.name, "weight": weight, "metrics": _summaries(own)}
        for one, weight, own in zip(members, shares, alone, strict=True)
    ]
    gaps = {m: asdict(compare(fused[m], alone[0][m], name="ensemble")) for m in fused}
    return {
        "evaluator": evaluator,
        "seeds": seeds,
        "members": rows,
        "searched": dict(zip(map(str, seeds), found_weights, strict=False)) if searching else None,
        "metrics": _summaries(fused),
        "reference": members[0].name,
        "differences": gaps,
    }


def checked_weights(weights: Sequence[float] | None, count: int) -> list[float]:
    """Return weights that sum to 1.

    Raises:
        UserError: not one a member, negative, or all of them 0.
    """
    values = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(values) != count:
        raise UserError(f"--weights: {len(values)} for {count} members; give one a member")
    if not all(np.isfinite(values)) or min(values) < 0 or sum(values) == 0:
        raise UserError("--weights: numbers from 0 on, not all of them 0 (such as 0.6,0.6,0.4)")
    return [value / sum(values) for value in values]


def fuse(tables: Sequence[FloatArray], weights: Sequence[float]) -> FloatArray:
    """Return the weighted sum of members' certainties. Shapes: [m, k] each -> [m, k]."""
    return np.asarray(np.einsum("s,smk->mk", np.asarray(weights), np.stack(tables)))


def score(truth: Certainty, probabilities: FloatArray) -> dict[str, list[float]]:
    """Return one value a fold for each metric; of equal certainties the lower class is predicted.

    Shapes: probabilities [m, k].
    """
    out: dict[str, list[float]] = {}
    y = np.searchsorted(truth.classes, truth.y)
    for fold in np.unique(truth.fold):
        at = truth.fold == fold
        decision = probabilities[at, 1] if len(truth.classes) == 2 else None
        judged = Outcome(probabilities[at].argmax(1).astype(np.int64), decision, {})
        for metric, value in metrics(y[at], judged, len(truth.classes)).items():
            out.setdefault(metric, []).append(value)
    return out


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


def _expanded(text: str) -> list[str]:
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


def _shared_seeds(members: Sequence[Member]) -> list[int]:
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


def _add(tables: dict[str, list[list[float]]], values: Mapping[str, list[float]]) -> None:
    for metric, row in values.items():
        tables.setdefault(metric, []).append(row)


def _summaries(tables: Mapping[str, list[list[float]]]) -> dict[str, Any]:
    return {metric: asdict(summarise(table)) for metric, table in tables.items()}
