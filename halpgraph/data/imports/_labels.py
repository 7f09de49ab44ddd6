"""Labels and fields: from texts to numbers, from labels.csv, from names as NTU RGB+D has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halpgraph.data.imports._sheets import read_sheet
from halpgraph.errors import UserError, did_you_mean

NTU = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})")
NTU_FIELDS = ("setup", "view", "subject", "repetition")
PARTS = {"train": "train", "test": "test", "valid": "valid", "val": "valid", "": ""}


def to_numbers(texts: Sequence[str]) -> tuple[list[int], list[str]]:
    """Return whole numbers as they are; other texts by their place among the sorted texts.

    Returns:
        the numbers, and the texts that they stand for (empty where they were numbers).
    """
    if all(re.fullmatch(r"-?\d{1,18}", text) for text in texts):
        return [int(text) for text in texts], []
    known = sorted(set(texts))
    place = {text: i for i, text in enumerate(known)}
    return [place[text] for text in texts], known


def ntu_fields(names: Sequence[str]) -> list[dict[str, int]]:
    """Return setup, view, subject and repetition where all names are as NTU RGB+D has them."""
    found = [NTU.match(name) for name in names]
    if not all(found):
        return [{} for _ in names]
    numbers = [[int(number) for number in match.groups()] for match in found if match]
    return [dict(zip(NTU_FIELDS, row, strict=False)) for row in numbers]


@dataclass
class Table:
    """What labels.csv says: label and fields by name, texts behind numbers, parts of a split."""

    labels: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    fields: dict[str, dict[str, int]] = field(default_factory=dict)
    values: dict[str, list[str]] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Read labels.csv: columns ``name``, perhaps ``label`` and ``split``, any others are fields.

    Raises:
        UserError: no names, a name twice, or an empty cell.
    """
    rows = read_sheet(path)
    if not rows or "name" not in rows[0]:
        head = list(rows[0]) if rows else []
        raise UserError(f"{path}: needs a column 'name'{did_you_mean('name', head)}")
    columns = [key for key in rows[0] if key]
    names = [row["name"].removesuffix(".csv").removesuffix(".npz") for row in rows]
    out = Table(names=names)
    twice = (
        {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else {}
    )
    if twice:
        raise UserError(f"{path}: {min(twice)} is there twice; one row a clip")
    for column in columns:
        cells = [row[column] for row in rows]
        if column != "split" and "" in cells:
            where = f"{path}, row {cells.index('') + 2}"
            raise UserError(f"{where}: {column} is empty; every clip needs all columns")
        _fill(out, path, column, cells)
    return out


def _fill(out: Table, path: Path, column: str, cells: list[str]) -> None:
    if column == "name":
        return
    if column == "split":
        for name, cell in zip(out.names, cells, strict=True):
            if cell.lower() not in PARTS:
                raise UserError(f"{path}: split of {name}: {cell}{did_you_mean(cell, PARTS)}")
            if cell:
                out.parts.setdefault(PARTS[cell.lower()], []).append(name)
        return
    numbers, texts = to_numbers(cells)
    by_name: dict[str, Any] = dict(zip(out.names, numbers, strict=True))
    if column == "label":
        out.labels, out.classes = by_name, texts
        return
    if texts:
        out.values[column] = texts
    for name, number in by_name.items():
        out.fields.setdefault(name, {})[column] = number
