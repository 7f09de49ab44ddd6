"""From a name to checked tables: find the files, verify, read, compare with the card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from halpgraph.data._files import Files, verify
from halpgraph.data.cards import Card, Statistics, card_of
from halpgraph.data.sources import Found, find
from halpgraph.data.tables import Ints, Tables
from halpgraph.data.tu import read_tu
from halpgraph.errors import UserError


@dataclass
class Reading:
    """A data set as it was read: what, from where, by which card."""

    tables: Tables
    found: Found
    card: Card | None
    splits: dict[str, Ints] | None = None
    metric: str | None = None


def read(name: str, root: str | Path | None = None) -> Reading:
    """Find, read and check a data set.

    Args:
        name: a data set's name, or the path of an archive or a folder in TU layout.
        root: the user's data folder.

    Raises:
        UserError: not found, damaged, or not what its card says.
    """
    path = Path(name).expanduser()
    if len(path.parts) > 1:
        if not path.exists():
            raise UserError(f"data.name: {name}: no such archive or folder")
        stem = path.name.removesuffix(".zip")
        return _checked(stem, None, Found(path, "given path"))
    card = card_of(name)
    return _checked(name, card, find(name, card, root))


def _checked(name: str, card: Card | None, found: Found) -> Reading:
    if card is not None and card.source == "ogb":
        from halpgraph.data.ogb import read_ogb

        reading = Reading(*_first(read_ogb(found.path, name), found, card))
    else:
        files = Files(found.path)
        if card is not None:
            verify(files, card.sha256)
        reading = Reading(read_tu(files, name), found, card)
    if card is None:
        reading.tables.notes.append("a set of the user's own: no card to check it against")
    else:
        check_statistics(reading.tables, card.statistics, found.path)
    return reading


def _first(
    content: tuple[Tables, dict[str, Ints], str], found: Found, card: Card
) -> tuple[Tables, Found, Card, dict[str, Ints], str]:
    tables, splits, metric = content
    return tables, found, card, splits, metric


def statistics(tables: Tables) -> Statistics:
    """Count what a card states."""
    return Statistics(
        graphs=tables.num_graphs,
        nodes=tables.num_nodes,
        edges=tables.edge_index.shape[1] // 2,
        class_counts=tuple(tables.class_counts()),
        node_labels=sum(column.size for column in tables.columns),
        attributes=tables.attributes.shape[1],
        edge_labels=tables.edge_labels,
    )


def check_statistics(tables: Tables, expected: Statistics, where: Path) -> None:
    """Compare what was read with what the card states.

    Raises:
        UserError: lists everything that differs.
    """
    found = statistics(tables).model_dump()
    stated = expected.model_dump(exclude_none=True)
    wrong = [f"{k} {v} (found {found[k]})" for k, v in stated.items() if found[k] != v]
    if wrong:
        raise UserError(
            f"{where}: not the published {tables.name}: its card says {', '.join(wrong)}; "
            "get a fresh copy, or give a version of your own another name"
        )
