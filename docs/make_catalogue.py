"""Write docs/catalogue.md from the registries, the data set cards and the recipes."""

from __future__ import annotations

import sys
from pathlib import Path

from halpgraph.catalogue import component_settings, entries
from halpgraph.data.cards import cards
from halpgraph.registry import ROOMS

PAGE = Path(__file__).parent / "catalogue.md"


def catalogue() -> str:
    """Return the page: every component with its text and settings, every card, every recipe."""
    parts = [
        "# Catalogue",
        "Generated from the registries by `python docs/make_catalogue.py`; do not edit.",
    ]
    for room, registry in ROOMS.items():
        parts.append(f"## {room.capitalize()}")
        for name in registry.names():
            parts.append(f"### `{name}`\n\n```text\n{registry.doc(name)}\n```")
            rows = component_settings(registry, name)
            if rows:
                lines = [f"| `{r['name']}` | {_cell(r['type'])} | `{r['default']}` |" for r in rows]
                parts.append("\n".join(["| setting | type | default |", "|---|---|---|", *lines]))
    parts += ["## Data sets", _sets(), "## Recipes", _recipes()]
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sets() -> str:
    lines = ["| name | graphs | what | features | licence |", "|---|---|---|---|---|"]
    for card in cards().values():
        graphs = f"{card.statistics.graphs:,}" if card.statistics.graphs else "-"
        features = ", ".join(card.features) or "-"
        lines.append(f"| {card.name} | {graphs} | {card.about} | {features} | {card.licence} |")
    return "\n".join(lines)


def _recipes() -> str:
    return "\n".join(f"- `{entry['name']}`: {entry['summary']}" for entry in entries("recipes"))


def main() -> None:
    """Write the page, or with ``--check`` fail where it is out of date."""
    text = catalogue()
    if "--check" in sys.argv:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE.name} is out of date: python docs/make_catalogue.py")
        return
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
