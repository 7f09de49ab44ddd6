"""What the evaluators of a recipe find of one training, and the files they leave.

For each evaluator there is a JSON (scores, predictions by id, what was chosen) and, where it tells
how certain it was of every class, an ``.npz`` of the same name: ``id``, ``fold``, ``classes`` and
``probabilities [m, classes]`` of all that was judged. Ensembles are made of these.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from halpgraph import registry
from halpgraph.building import build_method
from halpgraph.contracts import Build, Evaluator, Method, Scores
from halpgraph.data.dataset import DataSet
from halpgraph.device import pick_device
from halpgraph.errors import RunError
from halpgraph.files import read_json, write_json, write_with
from halpgraph.folds import class_labels, make_folds
from halpgraph.recipe import Recipe

Weights = Callable[[], dict[str, Any]]


def builder(
    recipe: Recipe, seed: int, data: DataSet, weights: Weights | None, device: torch.device
) -> Build:
    """Return what makes copies of a trained method for evaluators that train it further.

    Args:
        recipe: of the training.
        seed: of the training; fresh weights are drawn from it.
        data: what it was trained on.
        weights: reads the trained weights; None where nothing was trained.
        device: where the copies are put.

    Raises:
        RunError: of the call: the weights do not fit, to the last name and shape.
    """
    known: dict[str, Any] = {}

    def build(trained: bool = True) -> Method:
        method = build_method(data.fit_store, recipe, seed)
        if trained and weights is not None:
            known.update(known or weights())
            try:
                method.load_state_dict(known, strict=True)
            except RuntimeError as error:
                raise RunError(
                    f"checkpoint.pt: does not fit the recipe's method ({error}); remove it and "
                    "embeddings.npz to train anew"
                ) from None
        return method.to(device)

    return build


def evaluate_all(
    folder: Path,
    recipe: Recipe,
    seed: int,
    data: DataSet,
    z: np.ndarray[Any, Any],
    weights: Weights | None = None,
    encoder: bool = True,
    parts: Mapping[str, int] | None = None,
) -> None:
    """Judge one training by every evaluator of its recipe, and write what each found.

    Args:
        folder: of the training.
        recipe: of the training.
        seed: of the training and the folds.
        data: what is judged.
        z: its embeddings.
        weights: reads the trained weights; None where nothing was trained.
        encoder: False for features that no encoder made: what trains one further is left out.
        parts: names and widths of the streams that lie side by side in ``z``.

    Shapes: z [n, D].
    """
    if data.y is None:
        return
    folds = make_folds(data, recipe.folds, seed)
    device = pick_device(recipe.train.device)
    for key, spec in evaluator_keys(recipe.evaluators).items():
        evaluator: Evaluator = registry.evaluators.build(spec, f"evaluators.{key}")
        if evaluator.needs_encoder and not encoder:
            continue
        evaluator.parts = parts or {}
        work = partial(evaluator, z, data.y, folds, seed)
        if evaluator.needs_encoder:
            build = builder(recipe, seed, data, weights, device)
            work = partial(evaluator.tune, build, data.store.to(device), data.y, folds, seed)
        once(folder / f"{key}.json", data, work)


def once(path: Path, data: DataSet, work: Callable[[], Scores]) -> None:
    """Write an evaluator's scores with the ids and labels they are about, unless they are there."""
    if path.is_file():
        read_json(path)
        return
    cpu = time.process_time()
    scores = asdict(work())
    scores["seconds"] = time.process_time() - cpu
    _write_certainty(path.with_suffix(".npz"), scores.pop("probabilities"), scores["fold"], data)
    write_json(path, scores | {"id": data.store.id, "y": data.y})


def _write_certainty(
    path: Path,
    probabilities: np.ndarray[Any, Any] | None,
    fold: np.ndarray[Any, Any],
    data: DataSet,
) -> None:
    """Write how certain an evaluator was of each class, for ensembles, if it says so."""
    if probabilities is None:
        return
    at = np.flatnonzero(fold >= 0)
    content: dict[str, Any] = {
        "id": data.store.id.cpu().numpy()[at],
        "fold": fold[at],
        "classes": np.unique(class_labels(data.y)),
        "probabilities": probabilities[at].astype(np.float32),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    write_with(path, lambda out: out.write(buffer.getvalue()))


def parts_as_arrays(parts: Mapping[str, int]) -> dict[str, np.ndarray[Any, Any]]:
    """Return names and widths of streams as arrays of an embeddings file."""
    if not parts:
        return {}
    return {"parts": np.array(list(parts)), "widths": np.array(list(parts.values()), np.int64)}


def parts_of(content: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, int]:
    """Return names and widths of streams, as an embeddings file holds them."""
    if "parts" not in content or "widths" not in content:
        return {}
    pairs = zip(content["parts"].tolist(), content["widths"].tolist(), strict=True)
    return {str(name): int(width) for name, width in pairs}


def evaluator_keys(specs: Sequence[Any]) -> dict[str, Any]:
    """Return a file name for each evaluator of a recipe: its name, numbered if it comes twice."""
    keys: dict[str, Any] = {}
    for spec in specs:
        name = spec["name"]
        number = sum(key.split("-")[0] == name for key in keys) + 1
        keys[name if number == 1 else f"{name}-{number}"] = spec
    return keys
