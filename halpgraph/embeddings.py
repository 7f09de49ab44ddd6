"""Embeddings as files: out of a run, and any file of embeddings through the evaluators."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from halpgraph import registry
from halpgraph.contracts import Evaluator, Fold, Scores
from halpgraph.device import threads
from halpgraph.errors import UserError, did_you_mean
from halpgraph.files import read_json, write_with
from halpgraph.folds import class_labels, official, stratified
from halpgraph.judging import parts_of
from halpgraph.rundir import RunDir
from halpgraph.statistics import summarise

Arrays = dict[str, np.ndarray[Any, Any]]
SPLITS = ("train", "valid", "val", "validation", "test")


def export(
    run: Path,
    out: Path,
    cell: str | None = None,
    arm: str | None = None,
    seed: int | None = None,
    on: str | None = None,
    root: str | Path | None = None,
    split: str | None = None,
) -> dict[str, Any]:
    """Write the embeddings of one training of a run to a file of the user's.

    Args:
        run: the run's folder.
        out: the ``.npz`` file to write: z [n, D], y [n], id [n].
        cell: data set or grid point; needed where the run has several.
        arm: by default the first of the recipe.
        seed: by default the first of the recipe.
        on: another skeleton set to embed with the trained encoder (transfer).
        root: where that set is looked for first.
        split: a named split of that set.

    Raises:
        UserError: there is no such training, or it has not been finished.
    """
    folder = RunDir.open(run)
    recipe = folder.recipe
    cells = sorted(path.parent.name for path in folder.path.glob("*/data.json"))
    if cell is None and len(cells) > 1:
        raise UserError(f"--cell: the run has several, choose one of {', '.join(cells)}")
    cell = _one_of(cell, cells, "--cell")
    arm = _one_of(arm, list(recipe["arms"]), "--arm")
    seed = int(_one_of(None if seed is None else str(seed), map(str, recipe["seeds"]), "--seed"))
    source = folder.job(cell, arm, seed) / "embeddings.npz"
    if not source.is_file():
        raise UserError(f"{source}: not there yet; run the same command again to finish the run")
    content = read_arrays(source)
    notes: list[str] = []
    if on is not None:
        from halpgraph.recipe import validate
        from halpgraph.transfer import embed_on

        of_cell = validate(recipe).cells()[cell].arm(arm)
        info = read_json(folder.path / cell / "data.json")
        checkpoint = source.with_name("checkpoint.pt")
        content, notes = embed_on(of_cell, info, checkpoint, seed, on, root, split)
    elif split is not None:
        raise UserError("--split: of the set named with --on; the run has its own split")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)  # type: ignore[arg-type]
    write_with(out, lambda file: file.write(buffer.getvalue()))
    graphs, width = content["z"].shape
    return {
        "out": str(out),
        "cell": cell,
        "arm": arm,
        "seed": seed,
        "graphs": graphs,
        "width": width,
        "on": on,
        "notes": notes,
    }


def _one_of(wanted: str | None, known: Any, where: str) -> str:
    known = list(known)
    if not known:
        raise UserError(f"{where}: the run has none yet; run the same command again to finish it")
    if wanted is None:
        return str(known[0])
    if wanted not in known:
        raise UserError(f"{where} {wanted}: not in this run{did_you_mean(wanted, known)}")
    return wanted


def read_arrays(path: Path) -> Arrays:
    """Read an ``.npz`` file without running anything in it.

    Raises:
        UserError: missing, damaged, or with pickled objects inside.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except Exception as error:
        why = str(error).split(". If you trust")[0]  # NumPy's advice to run what is inside
        why = why if zipfile.is_zipfile(path) else "no archive"
        raise UserError(
            f"{path}: not a readable .npz file of plain arrays ({why}); "
            "write one with numpy.savez(file, z=z, y=y)"
        ) from None


def evaluate_file(
    path: Path, names: Sequence[str], folds: int = 10, seeds: int = 5
) -> list[dict[str, Any]]:
    """Evaluate any embeddings file as the reports do; one entry an evaluator.

    Args:
        path: ``.npz`` with ``z [n, D]`` and ``y [n]``, optional ``id [n]`` and optional named
            splits ``train``, ``test`` (and ``valid``), as positions; optional ``groups [n]``, kept
            together where something is chosen inside named splits; optional ``parts`` and
            ``widths``, the names and widths of streams side by side, for ``ensemble``.
        names: evaluators.
        folds: outer folds, where there are no named splits.
        seeds: how many different splits into folds; named splits are one, and judged once.

    Raises:
        UserError: arrays missing or of the wrong shape, unknown evaluators, too small a class.
    """
    content = read_arrays(path)
    z, y = _checked(content, path)
    evaluators: dict[str, Evaluator] = {
        name: registry.evaluators.build(name, "--with") for name in names
    }
    for name, evaluator in evaluators.items():
        if evaluator.needs_encoder:
            raise UserError(
                f"--with {name}: {name} needs the encoder: name it in a recipe's evaluators"
            )
    for evaluator in evaluators.values():
        evaluator.parts = parts_of(content)
    named: Arrays = {name: content[name] for name in SPLITS if name in content}
    groups = content.get("groups")
    splits = [official(named, len(y))] if named else []
    if groups is not None:
        splits = [[replace(fold, groups=groups) for fold in folds_] for folds_ in splits]
    splits = splits or [stratified(y, folds, seed) for seed in range(seeds)]
    with threads(1):
        return [_row(name, e, z, y, splits) for name, e in evaluators.items()]


def _row(
    name: str,
    evaluator: Evaluator,
    z: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    splits: Sequence[list[Fold]],
) -> dict[str, Any]:
    found: list[Scores] = [evaluator(z, y, folds, seed) for seed, folds in enumerate(splits)]
    metrics = {m: asdict(summarise([s.metrics[m] for s in found])) for m in found[0].metrics}
    notes = sorted({note for scores in found for note in scores.notes})
    return {"evaluator": name, "metrics": metrics, "notes": notes}


def _checked(content: Arrays, path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    for name in ("z", "y"):
        if name not in content:
            has = ", ".join(content) or "nothing"
            raise UserError(f"{path}: no array '{name}' (it has {has}); z [n, D], y [n] are needed")
    z, y = np.asarray(content["z"]), class_labels(content["y"])
    if z.ndim != 2 or not np.issubdtype(z.dtype, np.number):
        raise UserError(f"{path}: z must be numbers of shape [n, D], not {z.dtype} {z.shape}")
    if len(z) != len(y):
        raise UserError(f"{path}: z has {len(z)} rows and y {len(y)}; they must be one a graph")
    if "id" in content and len(np.unique(content["id"])) != len(z):
        raise UserError(f"{path}: id must name each of the {len(z)} rows once")
    if "groups" in content and content["groups"].shape != (len(z),):
        raise UserError(f"{path}: groups must be one number for each of the {len(z)} rows")
    if not np.isfinite(z).all():
        row = int(np.flatnonzero(~np.isfinite(z).all(1))[0])
        raise UserError(f"{path}: z has NaN or infinite values (first in row {row})")
    return z.astype(np.float64), y
