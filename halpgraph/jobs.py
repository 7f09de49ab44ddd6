"""The work of one process: train one arm with one seed, embed, evaluate; each step taken up again.

A job writes only into its own folder, in this order: ``checkpoint.pt`` and ``metrics.jsonl`` while
it trains, ``embeddings.npz``, one JSON an evaluator, ``job.json``. What is there is not done again.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from halpgraph import registry
from halpgraph.contracts import Evaluator, Fold, Scores
from halpgraph.data.dataset import DataSet
from halpgraph.device import threads
from halpgraph.engine import Trainer, embed
from halpgraph.environment import peak_memory_mb
from halpgraph.errors import HalpgraphError, RunError
from halpgraph.files import read_json, write_json, write_text, write_with
from halpgraph.folds import make_folds
from halpgraph.recipe import Recipe
from halpgraph.rundir import read_metrics
from halpgraph.trackers import open_trackers

CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Job:
    """One arm (or floor) of one cell with one seed, and the folder it works in."""

    kind: str  # "arm", "untrained" or the name of a floor
    cell: str
    row: str
    seed: int
    recipe: Recipe
    folder: Path
    needs: Path | None = None  # the folder of the embeddings a floor is put beside

    @property
    def title(self) -> str:
        """Return how the job is called in messages."""
        return f"{self.cell}/{self.row}/seed-{self.seed}"


def run_job(job: Job, data: DataSet) -> str | None:
    """Do a job, or what is left of it; return the message of a failure, so that others go on."""
    try:
        with threads(1):
            _RUN.get(job.kind, _floor)(job, data)
    except HalpgraphError as error:
        return f"{job.title}: {error}"
    return None


def _arm(job: Job, data: DataSet) -> None:
    start, cpu = time.perf_counter(), time.process_time()
    path = job.folder / "embeddings.npz"
    if not path.is_file():
        write_embeddings(path, embed(_trained(job, data).method, data.store).numpy(), data)
    z = read_embeddings(path)
    _evaluate_all(job, data, z)
    if not (job.folder / "job.json").is_file():
        spent = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        write_json(job.folder / "job.json", spent | {"peak_memory_mb": peak_memory_mb()})


def _trained(job: Job, data: DataSet) -> Trainer:
    """Return the trainer after its last epoch, going on from the checkpoint where there is one."""
    trainer = Trainer(data.fit_store, job.recipe, job.seed)
    checkpoint, train = job.folder / "checkpoint.pt", job.recipe.train
    _resume(trainer, job.folder, checkpoint)
    save(trainer, checkpoint)
    saved, tracker = time.monotonic(), open_trackers(job.recipe, job.folder, job.title)
    with tracker, _metrics(job.folder) as write:
        while trainer.epoch < train.epochs:
            try:
                report = asdict(trainer.train_epoch())
            except RunError as error:
                raise RunError(f"{error}. The last good checkpoint is {checkpoint}") from None
            write(report)
            tracker.log(report)
            every = train.checkpoint_every
            due = trainer.epoch % every == 0 if every else False
            if (
                due
                or time.monotonic() - saved > CHECKPOINT_SECONDS
                or trainer.epoch == train.epochs
            ):
                save(trainer, checkpoint)
                saved = time.monotonic()
    return trainer


class _metrics:  # noqa: N801 - used like a function
    """Append lines to metrics.jsonl, each flushed, so that a person or a bar can follow."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "metrics.jsonl"

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        try:
            self.out = open(self.path, "a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}") from None
        return self._write

    def _write(self, row: dict[str, Any]) -> None:
        try:
            self.out.write(json.dumps(row) + "\n")
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}") from None

    def __exit__(self, *_: object) -> None:
        self.out.close()


def save(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    state = trainer.state()
    write_with(path, lambda out: torch.save(state, out))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain values only, nothing in it is run.

    Raises:
        RunError: damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(
            f"{path}: damaged ({type(error).__name__}); remove it to train this seed anew"
        ) from None
    return state


def _resume(trainer: Trainer, folder: Path, checkpoint: Path) -> None:
    if checkpoint.is_file():
        trainer.load_state(load_checkpoint(checkpoint))
    rows = [row for row in read_metrics(folder) if row["epoch"] <= trainer.epoch]
    write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def write_embeddings(path: Path, z: np.ndarray[Any, Any], data: DataSet) -> None:
    """Write ``z``, ``y`` and ``id`` of every graph."""
    if not np.isfinite(z).all():
        raise RunError(f"{path.parent}: the embeddings are not finite; try a smaller train.lr")
    content: dict[str, Any] = {"z": z.astype(np.float32), "id": data.store.id.cpu().numpy()}
    if data.y is not None:
        content["y"] = data.y
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    write_with(path, lambda out: out.write(buffer.getvalue()))


def read_embeddings(path: Path) -> np.ndarray[Any, Any]:
    """Read the embeddings of a job. Shapes: [n, D]."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return np.asarray(content["z"], dtype=np.float64)
    except Exception as error:
        raise RunError(
            f"{path}: damaged ({type(error).__name__}); remove it, it is made again"
        ) from None


def _evaluate_all(job: Job, data: DataSet, z: np.ndarray[Any, Any]) -> None:
    if data.y is None:
        return
    folds = make_folds(data, job.recipe.folds, job.seed)
    for key, spec in evaluator_keys(job.recipe.evaluators).items():
        evaluator: Evaluator = registry.evaluators.build(spec, f"evaluators.{key}")
        once(job.folder / f"{key}.json", data, partial(evaluator, z, data.y, folds, job.seed))


def once(path: Path, data: DataSet, work: Callable[[], Scores]) -> None:
    """Write an evaluator's scores with the ids and labels they are about, unless they are there."""
    if path.is_file():
        read_json(path)
        return
    cpu = time.process_time()
    scores = asdict(work())
    scores["seconds"] = time.process_time() - cpu
    write_json(path, scores | {"id": data.store.id, "y": data.y})


def evaluator_keys(specs: Sequence[Any]) -> dict[str, Any]:
    """Return a file name for each evaluator of a recipe: its name, numbered if it comes twice."""
    keys: dict[str, Any] = {}
    for spec in specs:
        name = spec["name"]
        number = sum(key.split("-")[0] == name for key in keys) + 1
        keys[name if number == 1 else f"{name}-{number}"] = spec
    return keys


def _floor(job: Job, data: DataSet) -> None:
    from halpgraph.floors import floor_scores

    if data.y is None:
        return
    folds: list[Fold] = make_folds(data, job.recipe.folds, job.seed)
    z = read_embeddings(job.needs / "embeddings.npz") if job.needs is not None else None
    path = job.folder / "svm.json"
    once(path, data, lambda: floor_scores(job.kind, data, folds, job.seed, z))


def _untrained(job: Job, data: DataSet) -> None:
    path = job.folder / "embeddings.npz"
    if not path.is_file():
        trainer = Trainer(data.fit_store, job.recipe, job.seed)
        write_embeddings(path, embed(trainer.method, data.store).numpy(), data)
    _evaluate_all(job, data, read_embeddings(path))


def _features(job: Job, data: DataSet) -> None:
    from halpgraph.pose_floors import floor_features

    path = job.folder / "embeddings.npz"
    if not path.is_file():
        write_embeddings(path, floor_features(job.kind, data).numpy(), data)
    _evaluate_all(job, data, read_embeddings(path))


_RUN: dict[str, Callable[[Job, DataSet], None]] = {
    "arm": _arm,
    "untrained": _untrained,
    **dict.fromkeys(("pose", "bone", "motion", "distances"), _features),
}
