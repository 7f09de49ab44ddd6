"""Notes of rows stand once under their table."""

from __future__ import annotations

from typing import Any

from halpgraph.reports.tables import _notes


def row(label: str, evaluator: str, *notes: str) -> dict[str, Any]:
    return {
        "row": label.lower(),
        "label": label,
        "kind": "arm",
        "evaluator": evaluator,
        "evaluator_label": evaluator.upper(),
        "notes": list(notes),
    }


def test_what_all_rows_share_is_said_once_of_their_evaluators() -> None:
    rows = [row(label, "semi", "few.") for label in "AB"] + [row("A", "svm"), row("B", "svm")]
    assert _notes(rows) == "SEMI: few."
    assert _notes([*rows, row("A", "tune", "few"), row("B", "tune", "few")]) == "SEMI; TUNE: few."


def test_what_some_rows_share_is_said_of_them() -> None:
    rows = [row("A", "semi", "few"), row("B", "semi", "few", "two streams"), row("C", "semi")]
    assert _notes(rows) == "A, B: few. B: two streams."
    assert _notes([row("A", "semi", "few")]) == "A: few."
    assert _notes([row("A", "semi")]) == ""
