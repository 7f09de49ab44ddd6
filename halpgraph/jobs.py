"""The work of one process: train one arm with one seed, embed, evaluate; each step taken up again.

A job writes only into its own folder, in this order: ``checkpoint.pt`` and ``metrics.jsonl`` while
it trains, ``embeddings.npz``, what ``judging.py`` writes for each evaluator, ``job.json``. What is
there is not done again.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from halpgraph.calibration import calibrate
from halpgraph.contracts import Fold
from halpgraph.data.dataset import DataSet
from halpgraph.device import threads
from halpgraph.engine import Trainer, embed
from halpgraph.environment import peak_memory_mb
from halpgraph.errors import HalpgraphError, RunError, UserError
from halpgraph.files import write_json, write_text, write_with
from halpgraph.folds import make_folds
from halpgraph.judging import evaluate_all, once, parts_as_arrays, parts_of
from halpgraph.monitor import inside
from halpgraph.recipe import Recipe
from halpgraph.rundir import read_metrics
from halpgraph.starts import find_start
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
        method = _trained(job, data).method
        write_embeddings(path, embed(method, data.store).numpy(), data, method.parts)
    z = read_embeddings(path)
    weights = trained_weights(job.folder / "checkpoint.pt", job.recipe)
    evaluate_all(job.folder, job.recipe, job.seed, data, z, weights, parts=read_parts(path))
    if not (job.folder / "job.json").is_file():
        spent = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        write_json(job.folder / "job.json", spent | {"peak_memory_mb": peak_memory_mb()})


def _trained(job: Job, data: DataSet) -> Trainer:
    """Return the trainer after its last epoch, going on from the checkpoint where there is one."""
    trainer = Trainer(data.fit_store, job.recipe, job.seed)
    checkpoint, train = job.folder / "checkpoint.pt", job.recipe.train
    _resume(trainer, job, checkpoint)
    save(trainer, checkpoint)
    saved, tracker = time.monotonic(), open_trackers(job.recipe, job.folder, job.title)
    with tracker, _metrics(job.folder) as write:
        while trainer.epoch < train.epochs:
            try:
                report = asdict(trainer.train_epoch())
            except RunError as error:
                raise RunError(f"{error}. The last good checkpoint is {checkpoint}") from None
            look = train.monitor
            if look is not None and (trainer.epoch % look == 0 or trainer.epoch == train.epochs):
                report["inside"] = inside(trainer.method, data)
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
    """Write a checkpoint, whole or not at all.

    By way of memory: Ctrl-C inside `torch.save` to an open file ends in an error of its zip
    writer, or in an abort, in place of KeyboardInterrupt.
    """
    buffer = io.BytesIO()
    torch.save(trainer.state(), buffer)
    write_with(path, lambda out: out.write(buffer.getbuffer()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors and plain values only, nothing in it is run.

    Raises:
        RunError: damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(
            f"damaged ({type(error).__name__}); remove it to train this seed anew"
        ) from None
    return state


def _resume(trainer: Trainer, job: Job, checkpoint: Path) -> None:
    """Go on where this job stopped; a job that has not begun starts where its recipe says."""
    if checkpoint.is_file():
        try:
            trainer.load_state(load_checkpoint(checkpoint))
        except RunError as error:
            raise RunError(f"{checkpoint}: {error}") from None
    else:
        begin(trainer, find_start(job.recipe.train, job.cell, job.seed))
    rows = [row for row in read_metrics(job.folder) if row["epoch"] <= trainer.epoch]
    write_text(job.folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def begin(trainer: Trainer, start: Path | None) -> None:
    """Take over the checkpoint of a first stage, if there is one.

    Raises:
        UserError: it is damaged, or does not fit the recipe.
    """
    if start is None:
        return
    try:
        trainer.start_from(load_checkpoint(start))
    except RunError as error:
        raise UserError(f"train.init_from: {start}: {error}") from None


def write_embeddings(
    path: Path, z: np.ndarray[Any, Any], data: DataSet, parts: Mapping[str, int] | None = None
) -> None:
    """Write ``z``, ``y`` and ``id`` of every graph, and which columns are which stream."""
    if not np.isfinite(z).all():
        raise RunError(f"{path.parent}: the embeddings are not finite; try a smaller train.lr")
    content: dict[str, Any] = {"z": z.astype(np.float32), "id": data.store.id.cpu().numpy()}
    if data.y is not None:
        content["y"] = data.y
    content |= parts_as_arrays(parts or {})
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **content)
    write_with(path, lambda out: out.write(buffer.getvalue()))


def read_embeddings(path: Path) -> np.ndarray[Any, Any]:
    """Read the embeddings of a job. Shapes: [n, D]."""
    return np.asarray(_read(path)["z"], dtype=np.float64)


def read_parts(path: Path) -> dict[str, int]:
    """Read which columns of a job's embeddings are which stream; empty where it is one thing."""
    return parts_of(_read(path))


def _read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with np.load(path, allow_pickle=False) as content:
            return {
                name: content[name] for name in content.files if name in ("z", "parts", "widths")
            }
    except Exception as error:
        raise RunError(
            f"{path}: damaged ({type(error).__name__}); remove it, it is made again"
        ) from None


def trained_weights(checkpoint: Path, recipe: Recipe) -> Callable[[], dict[str, Any]]:
    """Return what reads a finished training's weights, when they are asked for.

    Raises:
        RunError: of the call: no checkpoint, or not one of the last epoch.
    """

    def read() -> dict[str, Any]:
        again = f"remove {checkpoint.with_name('embeddings.npz').name} beside it to train anew"
        if not checkpoint.is_file():
            raise RunError(f"{checkpoint}: missing, and an evaluator needs the encoder; {again}")
        state = load_checkpoint(checkpoint)
        if state["epoch"] != recipe.train.epochs:
            raise RunError(f"{checkpoint}: of epoch {state['epoch']}, not the last; {again}")
        weights: dict[str, Any] = state["method"]
        return weights

    return read


def _floor(job: Job, data: DataSet) -> None:
    from halpgraph.floors import floor_scores

    if data.y is None:
        return
    folds: list[Fold] = make_folds(data, job.recipe.folds, job.seed)
    z = read_embeddings(job.needs / "embeddings.npz") if job.needs is not None else None
    path = job.folder / "svm.json"
    once(path, data, lambda: floor_scores(job.kind, data, folds, job.seed, z))


def _fresh(job: Job, data: DataSet) -> None:
    """Judge fresh weights; with ``calibrated`` the batch norms know the data."""
    path = job.folder / "embeddings.npz"
    if not path.is_file():
        method = Trainer(data.fit_store, job.recipe, job.seed).method
        if job.kind == "calibrated":
            calibrate(method, data.fit_store, job.recipe.train.batch_size, job.seed)
        write_embeddings(path, embed(method, data.store).numpy(), data, method.parts)
    z, parts, tuned = read_embeddings(path), read_parts(path), job.kind == "untrained"
    evaluate_all(job.folder, job.recipe, job.seed, data, z, encoder=tuned, parts=parts)


def _features(job: Job, data: DataSet) -> None:
    from halpgraph.pose_floors import floor_features

    path = job.folder / "embeddings.npz"
    if not path.is_file():
        write_embeddings(path, floor_features(job.kind, data).numpy(), data)
    evaluate_all(job.folder, job.recipe, job.seed, data, read_embeddings(path), encoder=False)


_RUN: dict[str, Callable[[Job, DataSet], None]] = {
    "arm": _arm,
    "untrained": _fresh,
    "calibrated": _fresh,
    **dict.fromkeys(("pose", "bone", "motion", "distances"), _features),
}
