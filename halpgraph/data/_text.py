"""Tables of numbers out of text; what cannot be read is reported by file and line."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from halpgraph.errors import UserError


def decimals(raw: bytes, where: str, columns: int | None = None) -> NDArray[np.float64]:
    """Read comma separated numbers, one row a line.

    Args:
        raw: the content of the file.
        where: the file's name, for messages.
        columns: how many numbers a line must have; any (but constant) where left out.

    Shapes: [lines, columns].

    Raises:
        UserError: a line is not what it should be.
    """
    if not raw.strip():
        return np.empty((0, columns or 1))
    try:
        table = np.loadtxt(io.BytesIO(raw), delimiter=",", comments=None, ndmin=2)
    except (ValueError, OverflowError):
        raise _blame(raw, where, columns) from None
    if columns is not None and table.shape[1] != columns:
        raise _blame(raw, where, columns)
    return table


def integers(raw: bytes, where: str, columns: int | None = None) -> NDArray[np.int64]:
    """Read comma separated whole numbers, one row a line; see ``decimals``."""
    table = decimals(raw, where, columns)
    with np.errstate(invalid="ignore"):
        whole = table.astype(np.int64)
    wrong = np.flatnonzero((whole != table).any(axis=1))
    if wrong.size:
        text = ", ".join(f"{value:g}" for value in table[wrong[0]])
        raise UserError(f"{where}, row {wrong[0] + 1}: whole numbers expected, found '{text}'")
    return whole


def _blame(raw: bytes, where: str, columns: int | None) -> UserError:
    """Find the first line that is wrong; slow, so used only after reading has failed."""
    for number, line in enumerate(raw.decode("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split(",")
        columns = columns or len(parts)
        if len(parts) != columns or not all(_is_number(part) for part in parts):
            kind = "a number" if columns == 1 else f"{columns} numbers separated by commas"
            return UserError(
                f"{where}, line {number}: expected {kind}, found {line[:60]!r}; "
                "the file is damaged or not in the TU layout"
            )
    return UserError(f"{where}: not a table of numbers; the file is damaged")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
