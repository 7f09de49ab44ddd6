"""Progress of a run, read from the files its jobs write: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from halpgraph.ensemble_members import EMBEDDED
from halpgraph.jobs import Job
from halpgraph.judging import evaluator_keys
from halpgraph.registry import evaluators
from halpgraph.rundir import RunDir

POLL_SECONDS = 0.4
LINE_SECONDS = 15.0


@dataclass(frozen=True)
class Count:
    """How far a cell is: epochs trained and evaluations done."""

    epochs: int
    evaluations: int


def wanted(jobs: Sequence[Job]) -> Count:
    """Return what there is to do."""
    return Count(
        sum(job.recipe.train.epochs for job in jobs if job.kind == "arm"),
        sum(len(_evaluations(job)) for job in jobs),
    )


def done(jobs: Sequence[Job]) -> Count:
    """Return what is done, by looking at the jobs' files."""
    return Count(
        sum(_lines(job) for job in jobs if job.kind == "arm"),
        sum((job.folder / name).is_file() for job in jobs for name in _evaluations(job)),
    )


def _evaluations(job: Job) -> list[str]:
    if job.kind not in ("arm", *EMBEDDED):
        return ["svm.json"]
    encoder = job.kind in ("arm", "untrained")  # others are features alone
    specs = evaluator_keys(job.recipe.evaluators)
    return [
        f"{key}.json"
        for key, spec in specs.items()
        if encoder or not getattr(evaluators.get(spec["name"]), "needs_encoder", False)
    ]


def _lines(job: Job) -> int:
    with contextlib.suppress(OSError):
        return (job.folder / "metrics.jsonl").read_bytes().count(b"\n")
    return 0


@contextlib.contextmanager
def following(folder: RunDir, jobs: Sequence[Job], quiet: bool) -> Iterator[None]:
    """Show the progress of ``jobs`` while the block runs."""
    if quiet:
        yield
        return
    console = Console(stderr=True)
    by_cell: dict[str, list[Job]] = {}
    for job in jobs:
        by_cell.setdefault(job.cell, []).append(job)
    console.print(f"run: {folder.path}", highlight=False, soft_wrap=True)
    stop = threading.Event()
    show = _bars if console.is_terminal else _plain
    thread = threading.Thread(target=show, args=(console, by_cell, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _bars(console: Console, by_cell: dict[str, list[Job]], stop: threading.Event) -> None:
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=console) as bars:
        rows = {}
        for cell, jobs in by_cell.items():
            total = wanted(jobs)
            names = (f"{cell} epochs", f"{cell} evaluations")
            rows[cell] = (
                bars.add_task(names[0], total=total.epochs),
                bars.add_task(names[1], total=total.evaluations),
            )
        while True:
            last = stop.wait(POLL_SECONDS)
            for cell, jobs in by_cell.items():
                now = done(jobs)
                bars.update(rows[cell][0], completed=now.epochs)
                bars.update(rows[cell][1], completed=now.evaluations)
            if last:
                return


def _plain(console: Console, by_cell: dict[str, list[Job]], stop: threading.Event) -> None:
    while True:
        last = stop.wait(LINE_SECONDS)
        for cell, jobs in by_cell.items():
            now, total = done(jobs), wanted(jobs)
            console.print(
                f"{cell}: epochs {now.epochs}/{total.epochs}, "
                f"evaluations {now.evaluations}/{total.evaluations}",
                highlight=False,
            )
        if last:
            return
