"""Tables of what was used and what it cost: data, time, memory, versions."""

from __future__ import annotations

from typing import Any

import numpy as np

from halpgraph.reports.source import Cell, Run, SeedFolder
from halpgraph.reports.tables import NOTHING, Line, Table, ordered
from halpgraph.reports.words import NOT_MEASURED, is_number, names, number, seconds

NOT_STATED = "not stated"


def said(value: Any) -> str:
    """Return a text, or that it is not there."""
    return str(value) if value not in (None, "", [], {}) else NOT_MEASURED


def data_sets(run: Run) -> Table:
    """Return the statistics of every cell's data."""
    if all(cell.data.get("kind") == "skeletons" for cell in run.cells):
        return _skeleton_sets(run)
    header = ("Data", "Graphs", "Nodes a graph", "Edges a graph", "Classes", "Graphs a class")
    lines = []
    for cell in run.cells:
        data = cell.data
        counts = [number(count) for count in data.get("class_counts") or []]
        shown = " / ".join(counts[:8]) + (" / \N{HORIZONTAL ELLIPSIS}" if len(counts) > 8 else "")
        cells = (
            cell.title,
            number(data.get("num_graphs")),
            number(_a_graph(data, "num_nodes"), 1),
            number(_a_graph(data, "num_edges"), 1),
            number(data.get("num_classes")),
            shown or NOT_MEASURED,
        )
        lines.append(Line(cells))
    note = "Edges are counted once, without direction. Averages are means over graphs."
    return Table("Data sets", header, tuple(lines), note=note)


def _skeleton_sets(run: Run) -> Table:
    header = ("Data", "Clips", "Frames a clip", "Bodies a clip", "Layout", "Classes", "Split")
    lines = []
    for cell in run.cells:
        data = cell.data
        cells = (
            cell.title,
            number(data.get("num_graphs")),
            number(_a_graph(data, "num_frames"), 1),
            number(_a_graph(data, "num_bodies"), 2),
            said(data.get("layout")),
            number(data.get("num_classes")),
            said(data.get("split")),
        )
        lines.append(Line(cells))
    return Table("Data sets", header, tuple(lines), note="Averages are means over clips.")


def _a_graph(data: dict[str, Any], key: str) -> float | None:
    total, graphs = data.get(key), data.get("num_graphs")
    return total / graphs if is_number(total) and is_number(graphs) and graphs else None


def provenance(cell: Cell) -> list[tuple[str, str]]:
    """Return where a cell's data came from, as pairs of a word and what is known."""
    data = cell.data
    width = data.get("num_features")
    wide = f", {number(width)} wide" if is_number(width) else ""
    pairs = [
        ("Name", said(data.get("title") or data.get("name"))),
        ("Clips", said(data.get("features")))
        if data.get("kind") == "skeletons"
        else ("Node features", said(data.get("features")) + wide),
        ("Source", said(data.get("source"))),
        ("Found in", said(data.get("found_in"))),
        ("Licence", str(data.get("licence") or NOT_STATED)),
        ("Citation", str(data.get("citation") or NOT_STATED)),
        ("Fingerprint", said(data.get("fingerprint"))),
    ]
    return pairs + [("Note", str(note)) for note in data.get("notes") or []]


def cost(run: Run) -> Table:
    """Return the CPU time of every row, training and evaluation apart."""
    header = ("Row", "Data", "Evaluator", "Training a seed", "An epoch", "Evaluation a seed")
    lines = []
    for cell in run.cells:
        for row in ordered(cell.rows):
            label, evaluator = names(row)
            seeds = cell.arms.get(str(row.get("row")), [])
            trained = row.get("kind") != "floor"
            cells = (
                label,
                cell.title,
                evaluator,
                seconds(row.get("train_cpu_seconds")) if trained else NOTHING,
                seconds(epoch_seconds(seeds)) if trained else NOTHING,
                seconds(row.get("eval_cpu_seconds")),
            )
            lines.append(Line(cells, str(row.get("kind", ""))))
    note = "CPU time, not wall time; an epoch is the mean over epochs and seeds."
    return Table("Time of each row", header, tuple(lines), words=3, note=note)


def epoch_seconds(seeds: list[SeedFolder]) -> float | None:
    """Return the mean CPU time of an epoch over seeds."""
    times = [entry.get("cpu_seconds") for seed in seeds for entry in seed.epochs()]
    known = [float(time) for time in times if time is not None and is_number(time)]
    return float(np.mean(known)) if known else None


def machine(run: Run) -> list[tuple[str, str]]:
    """Return time, memory and machine of the whole run as pairs."""
    env = run.environment
    git = env.get("git") or {}
    cores = env.get("cores")
    memory = env.get("peak_memory_mb")
    return [
        ("Wall time", seconds(env.get("wall_seconds"))),
        ("CPU time", seconds(env.get("cpu_seconds"))),
        ("Peak memory of a process", number(memory, unit=" MB")),
        ("Processor", f"{said(env.get('cpu'))}, {number(cores)} cores"),
        ("Device", said(env.get("device"))),
        ("Platform", said(env.get("platform"))),
        ("Python", said(env.get("python"))),
        ("Code", git_words(git)),
        ("Started", said(env.get("started"))),
        ("Finished", said(env.get("finished") or run.scores.get("finished"))),
        ("Fingerprint", said(run.scores.get("fingerprint"))),
    ]


def git_words(git: dict[str, Any]) -> str:
    """Return the state of the code in words."""
    if not git:
        return NOT_MEASURED
    if not git.get("commit"):
        return "not in a git repository"
    changed = {True: ", with uncommitted changes", False: ", no uncommitted changes"}
    return f"commit {git['commit']}{changed.get(bool(git.get('dirty')), '')}"


def versions(run: Run) -> str:
    """Return the versions of the packages in one line."""
    found = run.environment.get("versions") or {}
    return ", ".join(f"{name} {version}" for name, version in found.items()) or NOT_MEASURED
