"""Finding a prepared set by name or folder, and a clip in it by name or position."""

from __future__ import annotations

import difflib
from pathlib import Path

from halpgraph.data.clips import Prepared, is_prepared, read_prepared
from halpgraph.errors import UserError


def find_set(name: str, root: Path | None = None) -> Prepared:
    """Return a skeleton set: that of a folder, where ``name`` is one, or one with a card.

    Args:
        name: a data set's name, or the path of a prepared folder.
        root: folder to look for data sets in first.

    Raises:
        UserError: neither.
    """
    folder = Path(name).expanduser()
    if is_prepared(folder) or folder.name != name:
        return read_prepared(folder)
    from halpgraph.data.skeleton_load import open_prepared

    return open_prepared(name, root)


def find_clip(found: Prepared, sample: str) -> int:
    """Return the position of a clip that is named, or counted from 0; names come first.

    Raises:
        UserError: there is none.
    """
    if sample in found.names:
        return found.names.index(sample)
    last = len(found) - 1
    if sample.isdecimal():
        if int(sample) <= last:
            return int(sample)
        raise UserError(f"--sample {sample}: {found.name} has the clips 0 to {last}")
    close = difflib.get_close_matches(sample, found.names, n=1, cutoff=0.6)
    hint = f"did you mean '{close[0]}'?" if close else f"they are named like {found.names[0]}"
    raise UserError(
        f"--sample {sample}: {found.name} has no such clip - {hint} "
        f"(or give a position, 0 to {last})"
    )
