"""What can be had and what is at hand, for the command line; torch is not needed for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halpgraph.data.cards import card_of, cards
from halpgraph.data.reading import read, statistics
from halpgraph.data.sources import find, look


def describe_all(root: str | Path | None = None) -> list[dict[str, Any]]:
    """Return one line a card: name, title, size, and where a copy was found, if one was."""
    lines = []
    for card in cards().values():
        found = look(card.name, card.source, root)
        line = {
            "name": card.name,
            "title": card.title,
            "about": card.about,
            "source": card.source,
            "graphs": card.statistics.graphs,
            "place": found.place if found else "not here",
            "path": str(found.path) if found else None,
        }
        lines.append(line)
    return lines


def check(name: str, root: str | Path | None = None) -> dict[str, Any]:
    """Read a data set and compare it with its card.

    Raises:
        UserError: it is missing, damaged, or not what its card says.
    """
    reading = read(name, root)
    card = reading.card
    return {
        "name": reading.tables.name,
        "place": reading.found.place,
        "path": str(reading.found.path),
        "files_verified": len(card.sha256) if card else 0,
        "statistics": statistics(reading.tables).model_dump(),
        "statistics_checked": sorted(card.statistics.model_dump(exclude_none=True)) if card else [],
        "metric": reading.metric,
        "notes": list(reading.tables.notes),
    }


def get(name: str, root: str | Path | None = None) -> Path:
    """Return the path of a data set's archive or folder, downloading it where need be.

    Raises:
        UserError: unknown, or not here and not to be fetched.
    """
    return find(name, card_of(name), root).path
