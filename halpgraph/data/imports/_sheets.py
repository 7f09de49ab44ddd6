"""CSV files as spreadsheets and trackers write them: comma, semicolon or tab, decimal commas."""

from __future__ import annotations

import csv
from pathlib import Path

from halpgraph.errors import UserError


def read_cells(path: Path) -> list[list[str]]:
    """Return the rows of a CSV file, empty ones left out; decimals have points.

    The first line tells the separator. Where it is no comma, a comma is a decimal one.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; save it as CSV (UTF-8)") from None
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=mark) if any(row)]
    except csv.Error as error:
        raise UserError(f"{path}: not a CSV file ({error})") from None
    cells = [[cell.strip() for cell in row] for row in rows]
    return cells if mark == "," else [[cell.replace(",", ".") for cell in row] for row in cells]


def read_sheet(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file by the names of its columns.

    Raises:
        UserError: as ``read_cells``; or a row has more or fewer cells than the header.
    """
    cells = read_cells(path)
    if not cells:
        return []
    head = [name.lower() for name in cells[0]]
    for number, row in enumerate(cells[1:], 2):
        if len(row) != len(head):
            raise UserError(f"{path}, row {number}: {len(row)} cells under {len(head)} columns")
    return [dict(zip(head, row, strict=True)) for row in cells[1:]]
