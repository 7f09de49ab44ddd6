"""The report page: one HTML file that needs nothing else, and the same in Markdown beside it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from halpgraph.files import write_text
from halpgraph.reports import confusion, diagnostics, facts, forest, maps, tables
from halpgraph.reports.markdown import differences, markdown
from halpgraph.reports.plots import Figure
from halpgraph.reports.sequences import Neighbours
from halpgraph.reports.shown import read_sequences
from halpgraph.reports.source import Cell, Run, read_run
from halpgraph.reports.verdict import Verdict, verdicts
from halpgraph.reports.words import NOT_MEASURED

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class CellView:
    """All that the page shows of one cell."""

    anchor: str
    title: str
    verdicts: list[Verdict]
    results: tables.Table
    differences: tables.Table | None
    forest: forest.Forest | None
    provenance: list[tuple[str, str]]
    losses: list[Figure]
    head: list[tuple[str, list[Figure]]]
    maps: list[Figure]
    confusion: confusion.Confusion | None
    per_seed: tables.Table
    examples: list[Figure]
    neighbours: list[Neighbours]


def write_report(run: Path) -> Path:
    """Write ``report.html`` and ``report.md`` into a finished run's folder.

    Args:
        run: the run's folder.

    Returns:
        The path of the page.

    Raises:
        UserError: there is no finished run in that folder.
    """
    found = read_run(run)
    page = found.path / "report.html"
    write_text(found.path / "report.md", markdown(found))
    write_text(page, html(found))
    return page


def html(run: Run) -> str:
    """Return the page as text."""
    anchors: set[str] = set()
    cells = [_view(run.path, cell, _anchor(cell.name, anchors)) for cell in run.cells]
    many = len(cells) > 1
    context: dict[str, Any] = {
        "run": run,
        "cells": cells,
        "overview": tables.overview(run) if many else None,
        "run_forest": forest.run_forest(run.cells) if many else None,
        "protocol": [str(sentence) for sentence in run.scores.get("protocol") or []],
        "data_sets": facts.data_sets(run),
        "cost": facts.cost(run),
        "machine": facts.machine(run),
        "versions": facts.versions(run),
        "command": facts.said(run.environment.get("command")),
        "not_measured": NOT_MEASURED,
    }
    return _templates().get_template("page.html.j2").render(context)


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _view(path: Path, cell: Cell, anchor: str) -> CellView:
    drawn, near = read_sequences(path / cell.name)
    return CellView(
        anchor=anchor,
        title=cell.title,
        verdicts=verdicts(cell),
        results=tables.results(cell),
        differences=differences(cell) if cell.differences else None,
        forest=forest.cell_forest(cell),
        provenance=facts.provenance(cell),
        losses=diagnostics.losses(cell),
        head=diagnostics.head(cell),
        maps=maps.maps(cell),
        confusion=confusion.confusion(cell),
        per_seed=tables.per_seed(cell),
        examples=drawn,
        neighbours=near,
    )


def _anchor(name: str, taken: set[str]) -> str:
    """Return an anchor made of a cell's name, unlike those that are taken."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "cell"
    anchor, number = stem, 2
    while anchor in taken:
        anchor, number = f"{stem}-{number}", number + 1
    taken.add(anchor)
    return anchor
