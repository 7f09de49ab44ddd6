"""What can be had and what is at hand, for the command line; torch is not needed for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halpgraph.data.cards import Card, Statistics, card_of, cards
from halpgraph.data.reading import read, statistics
from halpgraph.data.sources import Found, find, look
from halpgraph.errors import UserError


def describe_all(root: str | Path | None = None) -> list[dict[str, Any]]:
    """Return one line a card: name, title, size, and where a copy was found, if one was."""
    lines = []
    for card in cards().values():
        found = look(card.name, card.source, root) or _raw(card.name, root)
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


def _raw(name: str, root: str | Path | None) -> Found | None:
    """Return raw files that would be prepared when the set is first used."""
    from halpgraph.data.skeleton_load import RAW, raw_at_hand

    if name not in RAW:
        return None
    try:
        return Found(raw_at_hand(name, root), "raw files, prepared when first used")
    except UserError:
        return None


def check(name: str, root: str | Path | None = None) -> dict[str, Any]:
    """Read a data set and compare it with its card.

    Raises:
        UserError: it is missing, damaged, or not what its card says.
    """
    card = card_of(name)
    if look(name, "skeletons", root) or (card and card.source in ("skeletons", "toy")):
        return _check_skeletons(name, card, root)
    reading = read(name, root)
    card = reading.card
    return {
        "name": reading.tables.name,
        "place": reading.found.place,
        "path": str(reading.found.path),
        "files_verified": len(card.sha256) if card else 0,
        "statistics": statistics(reading.tables).model_dump(),
        "statistics_checked": sorted(card.statistics.model_dump(exclude_defaults=True))
        if card
        else [],
        "metric": reading.metric,
        "notes": list(reading.tables.notes),
    }


def _check_skeletons(name: str, card: Card | None, root: str | Path | None) -> dict[str, Any]:
    from halpgraph.data.clips import read_prepared
    from halpgraph.data.skeleton_sets import open_set

    found, place = open_set(name, root)
    files = found.meta.get("files", {})
    if name != "toy":
        read_prepared(Path(str(found.frames.filename)).parent, verify=True)  # type: ignore[attr-defined]
    splits = {key: split.positions() for key, split in found.splits.items()}
    sizes = {key: tuple(len(ids) for ids in parts.values()) for key, parts in splits.items()}
    stated = card.statistics if card else Statistics()
    wrong = [
        f"{key} {want} (found {sizes.get(key)})"
        for key, want in stated.splits.items()
        if sizes.get(key) != want
    ]
    if stated.graphs is not None and stated.graphs != len(found):
        wrong.insert(0, f"{stated.graphs} clips (found {len(found)})")
    if wrong:
        raise UserError(
            f"{name}: not the published set: its card says {', '.join(wrong)}; prepare it again "
            "from complete raw files, or give a version of your own another name"
        )
    return {
        "name": found.name,
        "place": place,
        "files_verified": len(files),
        "statistics": {"clips": len(found), "frames": int(found.num_frames.sum()), **sizes},
        "statistics_checked": sorted(stated.model_dump(exclude_defaults=True)),
        "layout": found.layout.name,
        "convention": found.meta.get("convention"),
        "notes": list(found.meta.get("notes", [])),
    }


def get(name: str, root: str | Path | None = None) -> Path:
    """Return the path of a data set's archive or folder, downloading it where need be.

    Raises:
        UserError: unknown, or not here and not to be fetched.
    """
    card = card_of(name)
    if card is not None and card.source in ("skeletons", "toy"):
        from halpgraph.data.skeleton_sets import open_set

        found, _ = open_set(name, root)
        return Path(str(getattr(found.frames, "filename", "made on the spot"))).parent
    return find(name, card, root).path
