"""The report as GitHub Markdown: the words and tables of the page, without its plots."""

from __future__ import annotations

import re
from collections.abc import Sequence

from halpgraph.reports import facts, tables
from halpgraph.reports.source import Cell, Run
from halpgraph.reports.tables import Table
from halpgraph.reports.verdict import verdicts
from halpgraph.reports.words import (
    NOT_MEASURED,
    interval,
    is_number,
    number,
    p_value,
    plain_name,
    show,
)

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#])")


def escape(text: str) -> str:
    """Return text as Markdown that shows it as it is, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(one: Table) -> str:
    """Return a table as a GitHub pipe table: words to the left, numbers to the right."""
    marks = [":--" if k < one.words else "--:" for k in range(len(one.header))]
    lines = [_line([escape(word) for word in one.header]), _line(marks)]
    for entry in one.lines:
        cells = [escape(cell) for cell in entry.cells]
        if entry.kind == "treatment":
            cells[0] = f"**{cells[0]}**"
        if entry.tag:
            cells[0] += f" ({escape(entry.tag)})"
        lines.append(_line(cells))
    note = f"\n\n{escape(one.note)}" if one.note else ""
    return "\n".join(lines) + note


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def differences(cell: Cell) -> Table:
    """Return every tested difference of a cell, in every metric."""
    evaluators = {(r.get("row"), r.get("evaluator")): r.get("evaluator_label") for r in cell.rows}
    header: tuple[str, ...] = ("Treatment", "Reference", "Evaluator", "Metric", "Verdict")
    header += ("Difference",)
    header += ("95 % interval", "p", "Seeds won / tied")
    lines = []
    for d in cell.differences:
        metric = str(d.get("metric"))
        wins = "/".join(number(d.get(key)) for key in ("wins", "ties") if is_number(d.get(key)))
        cells = (
            cell.label(str(d.get("treatment"))),
            str(d.get("reference_label") or d.get("reference")),
            str(evaluators.get((d.get("treatment"), d.get("evaluator"))) or d.get("evaluator")),
            plain_name(metric),
            facts.said(d.get("verdict")),
            show(d.get("mean"), metric, True),
            interval(d.get("ci"), metric, True),
            p_value(d.get("p")),
            f"{wins} of {number(d.get('n_seeds'))}" if wins else NOT_MEASURED,
        )
        lines.append(tables.Line(cells))
    return Table(f"{cell.title}: differences", header, tuple(lines), words=5)


def markdown(run: Run) -> str:
    """Return the whole report."""
    parts = [f"# {escape(run.title)}", *_findings(run)]
    if len(run.cells) > 1:
        one = tables.overview(run)
        parts += ["## Overview", escape(one.caption) + ".", table(one)]
    parts.append("## Results")
    for cell in run.cells:
        parts += [f"### {escape(cell.title)}", table(tables.results(cell))]
        if cell.differences:
            parts += ["Differences:", table(differences(cell))]
    parts += ["## Protocol", *_protocol(run), "## Data", table(facts.data_sets(run))]
    for cell in run.cells:
        parts += [f"### Where {escape(cell.title)} came from", _pairs(facts.provenance(cell))]
    parts += ["## Time and memory", table(facts.cost(run)), _pairs(facts.machine(run))]
    parts += ["## Every seed", *(table(tables.per_seed(cell)) for cell in run.cells)]
    parts += ["## Again", "The command:", _code(_command(run), "sh")]
    parts += [f"Versions: {escape(facts.versions(run))}."]
    parts += ["The locked recipe:", _code(run.recipe or NOT_MEASURED, "yaml")]
    return "\n\n".join(_tight(parts)) + "\n"


def _tight(parts: Sequence[str]) -> list[str]:
    """Join neighbouring list items, so that a list is one block."""
    blocks: list[str] = []
    for part in parts:
        if blocks and part.startswith("- ") and blocks[-1].startswith("- "):
            blocks[-1] += "\n" + part
        else:
            blocks.append(part)
    return blocks


def _findings(run: Run) -> list[str]:
    found = [one for cell in run.cells for one in verdicts(cell)]
    lines = [[one.sentence] if not one.items else [one.opening, *one.items] for one in found]
    return ["- " + "\n  - ".join(map(escape, some)) for some in lines]


def _protocol(run: Run) -> list[str]:
    sentences = run.scores.get("protocol") or [NOT_MEASURED]
    return [f"- {escape(str(sentence))}" for sentence in sentences]


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {escape(word)}: {escape(said)}" for word, said in pairs)


def _command(run: Run) -> str:
    return facts.said(run.environment.get("command"))


def _code(text: str, language: str) -> str:
    """Return a fenced block whose fence is longer than any inside it."""
    ticks = max((len(found) for found in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, ticks + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
