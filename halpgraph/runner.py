"""A whole run: plan the jobs, do them side by side, collect the scores, write the report."""

from __future__ import annotations

import multiprocessing
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import joblib

from halpgraph import calibration, monitor
from halpgraph.data.dataset import DataSet
from halpgraph.data.load import load
from halpgraph.device import pick_device, threads
from halpgraph.engine import Trainer
from halpgraph.environment import (
    available_cores,
    command,
    git_state,
    machine,
    peak_memory_mb,
    versions,
)
from halpgraph.errors import RunError, UserError
from halpgraph.files import read_json, write_json
from halpgraph.folds import class_labels, make_folds
from halpgraph.identity import fingerprint
from halpgraph.jobs import Job, begin, read_embeddings, run_job
from halpgraph.pose_floors import POSE_FLOORS
from halpgraph.progress import following
from halpgraph.recipe import Recipe, validate
from halpgraph.recipe_files import read_recipe
from halpgraph.results import write_scores
from halpgraph.rundir import RunDir
from halpgraph.starts import find_start
from halpgraph.trackers import check_trackers
from halpgraph.workers import forked


@dataclass(frozen=True)
class Cell:
    """One data set or grid point: its recipe and its data."""

    name: str
    recipe: Recipe
    data: DataSet


def run(
    recipe: str | Path | Recipe,
    *,
    overrides: Sequence[str] = (),
    runs: str | Path = "runs",
    jobs: int | None = None,
    data: str | Path | None = None,
    dataset: DataSet | None = None,
    quiet: bool = False,
) -> RunDir:
    """Do everything a recipe says and return the run's folder.

    The same recipe on the same data finds its folder again: a finished run is returned as it is, an
    interrupted one goes on where it stopped and ends with the same numbers.

    Args:
        recipe: file, name of a shipped recipe, or a validated recipe.
        overrides: ``KEY=VALUE``, as after ``--set``.
        runs: the folder that holds the run's folder.
        jobs: processes side by side; None: as many as there are cores.
        data: where data sets are looked for first.
        dataset: the user's own graphs (``halpgraph.data.load.from_list``) instead of a named set.
        quiet: no progress bars.

    Raises:
        UserError: the recipe or the data cannot be used.
        RunError: a job failed; the others were finished, and what there is was kept.
    """
    if isinstance(recipe, Recipe) and overrides:
        raise UserError("overrides: a validated recipe is run as it is; change it, or name a file")
    plan = recipe if isinstance(recipe, Recipe) else read_and_validate(recipe, overrides)
    if dataset is not None:
        plan = _about(plan, dataset)
    with threads(1):
        cells = prepare(plan, data, dataset)
        folder = run_folder(plan, cells, runs)
        with folder.locked():
            if not folder.finished:
                _work(folder, plan, cells, jobs, quiet)
            _report(folder)
    return folder


def _about(recipe: Recipe, dataset: DataSet) -> Recipe:
    """Return the recipe with the name of the user's own data set in it."""
    for key in recipe.grid:
        if key.split(".")[0] == "data":
            raise UserError(f"dataset: the recipe's grid runs over {key}; give one or the other")
    for key in recipe.data.model_dump(exclude={"name"}, exclude_defaults=True):
        raise UserError(f"data.{key}: the dataset is made already; say it where it is made")
    name = str(dataset.info["name"])
    data = recipe.data.model_copy(update={"name": name})
    title = re.sub(rf"\b{re.escape(recipe.data.name)}\b", lambda _: name, recipe.title)
    return recipe.model_copy(update={"data": data, "title": title})


def read_and_validate(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read, merge and validate a recipe."""
    content, lines = read_recipe(name, overrides)
    return validate(content, lines)


def prepare(
    recipe: Recipe, root: str | Path | None = None, dataset: DataSet | None = None
) -> list[Cell]:
    """Load the data of every cell and try everything that can be tried before training.

    Raises:
        UserError: missing data, impossible combinations, too few graphs of a class, no such device.
    """
    check_trackers(recipe)
    loaded: dict[str, DataSet] = {}
    cells = []
    for name, cell in recipe.cells().items():
        key = cell.data.model_dump_json()
        if dataset is not None:
            loaded[key] = dataset
        elif key not in loaded:
            options: dict[str, Any] = cell.data.model_dump(exclude={"name"})
            loaded[key] = load(cell.data.name, root=root, **options)
        cells.append(Cell(name, cell, loaded[key]))
        _try(cells[-1])
    return cells


def _try(cell: Cell) -> None:
    arms = {name: cell.recipe.arm(name) for name in cell.recipe.arms}
    for name, recipe in arms.items():
        control = cell.recipe.control_of(name)
        if recipe == arms.get(str(control)):
            raise UserError(
                f"arms.{name}: the same as its control {control}, there is nothing to "
                "compare; set something else in one of them"
            )
        pick_device(recipe.train.device)
        if recipe.train.monitor is not None:
            monitor.refuse(cell.data)
        two = cell.data.fit_store.subset([0, 1][: len(cell.data.store)])
        trainer = Trainer(two, recipe, 0)
        trainer.try_views()
        begin(trainer, find_start(recipe.train, cell.name, recipe.seeds[0]))
    _try_floors(cell)
    if cell.data.y is not None:
        try:
            _try_labels(cell)
        except UserError as error:
            raise UserError(f"{cell.name}: {error}") from None


def _try_floors(cell: Cell) -> None:
    graphs = ("labels", "labels+degree", "wl", "wl+embedding")
    of_skeletons = cell.data.info.get("kind") == "skeletons"
    wrong = [f for f in cell.recipe.floors if f in (graphs if of_skeletons else POSE_FLOORS)]
    if wrong:
        kind, instead = ("skeletons", POSE_FLOORS) if of_skeletons else ("graphs", graphs)
        raise UserError(
            f"floors: {', '.join(wrong)}: not of {kind}, and {cell.name} is a set of {kind}; "
            f"use {', '.join(['majority', 'untrained', *instead])}"
        )
    calibration.refuse(cell.recipe, cell.data.fit_store)


def _try_labels(cell: Cell) -> None:
    if len(set(class_labels(cell.data.y).tolist())) < 2:
        raise UserError("y: all graphs are of one class; an evaluation needs two or more")
    for seed in cell.recipe.seeds:
        make_folds(cell.data, cell.recipe.folds, seed)


def run_folder(recipe: Recipe, cells: Sequence[Cell], runs: str | Path) -> RunDir:
    """Return the folder that this recipe on this data has, whether it is there yet or not."""
    return RunDir(Path(runs) / f"{recipe.name}-{fingerprint(recipe, cells)[:8]}")


def plan_jobs(folder: RunDir, cells: Sequence[Cell]) -> tuple[list[Job], list[Job]]:
    """Return the jobs in two waves: the second needs embeddings of the first. Longest first."""
    first: list[Job] = []
    second: list[Job] = []
    for cell in sorted(cells, key=lambda c: -c.data.info["num_edges"]):
        recipe, name = cell.recipe, cell.name
        control = recipe.control or next(iter(recipe.arms))
        treated = next((arm for arm in recipe.arms if arm != control), control)
        for seed in recipe.seeds:
            for arm in recipe.arms:
                where = folder.job(name, arm, seed)
                first.append(Job("arm", name, arm, seed, recipe.arm(arm), where))
            for floor in recipe.floors:
                places = folder.floor_seeds(name, floor, recipe.seeds, cell.data.info)
                where = places[recipe.seeds.index(seed)]
                if where in {job.folder for job in first}:
                    continue
                job = Job(floor, name, floor, seed, recipe.arm(control), where)
                if floor == "wl+embedding":
                    needs = folder.job(name, treated, seed)
                    second.append(Job(floor, name, floor, seed, job.recipe, where, needs))
                else:
                    first.append(job)
    return first, second


def _work(
    folder: RunDir, recipe: Recipe, cells: Sequence[Cell], jobs: int | None, quiet: bool
) -> None:
    started, cpu = time.time(), _cpu_seconds()
    folder.write_recipe(recipe.model_dump())
    for cell in cells:
        write_json(folder.path / cell.name / "data.json", cell.data.info)
    waves = plan_jobs(folder, cells)
    with following(folder, [*waves[0], *waves[1]], quiet):
        for wave in waves:
            failures = _side_by_side(wave, {c.name: c.data for c in cells}, jobs)
            if failures:
                raise RunError("\n".join(failures))
    for cell in cells:
        _draw(folder, cell)
    _write_environment(folder, recipe, started, cpu)
    write_scores(folder, recipe, [(c.name, c.recipe, c.data.info) for c in cells])


def _draw(folder: RunDir, cell: Cell) -> None:
    """Keep drawings of skeleton clips with the run, while the data are at hand."""
    if cell.data.prepared is None:
        return
    from halpgraph.reports.shown import keep_sequences

    arm, seed = next(iter(cell.recipe.arms)), cell.recipe.seeds[0]
    z = read_embeddings(folder.job(cell.name, arm, seed) / "embeddings.npz")
    keep_sequences(folder.path / cell.name, cell.data, z)


def _side_by_side(wave: Sequence[Job], data: dict[str, DataSet], jobs: int | None) -> list[str]:
    on_gpu = any(job.recipe.train.device != "cpu" for job in wave)
    number = min(jobs or (1 if on_gpu else available_cores()), max(len(wave), 1))
    if number < 1:
        raise UserError(f"--jobs {jobs}: must be at least 1")
    if number == 1 or multiprocessing.current_process().daemon:
        found = [run_job(job, data[job.cell]) for job in wave]
    elif sys.platform.startswith("linux") and not on_gpu:
        found = forked(wave, data, number)
    else:  # a GPU does not survive a fork
        pool = joblib.Parallel(n_jobs=number, backend="loky", batch_size=1)
        call: Callable[..., Any] = joblib.delayed(run_job)
        found = pool(call(job, data[job.cell]) for job in wave)
    return [message for message in found if message is not None]


def _cpu_seconds() -> float:
    try:
        import resource
    except ImportError:
        return time.process_time()
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _write_environment(folder: RunDir, recipe: Recipe, started: float, cpu: float) -> None:
    """Write what the run ran on. An interrupted run's time counts from its last start."""
    peaks = [read_json(path)["peak_memory_mb"] for path in folder.path.glob("*/*/seed-*/job.json")]
    content = {
        "command": command(),
        "versions": versions(),
        **machine(),
        "device": recipe.train.device,
        "git": git_state(),
        "started": _stamp(started),
        "finished": _stamp(time.time()),
        "wall_seconds": time.time() - started,
        "cpu_seconds": _cpu_seconds() - cpu,
        "peak_memory_mb": max([*peaks, peak_memory_mb()]),
    }
    write_json(folder.path / "environment.json", content)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def _report(folder: RunDir) -> None:
    from halpgraph.reports.page import write_report

    if not (folder.path / "report.html").is_file():
        write_report(folder.path)
