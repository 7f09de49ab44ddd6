"""Finding a clip of a prepared set by its name or its position."""

from __future__ import annotations

import difflib

from halpgraph.data.clips import Prepared
from halpgraph.errors import UserError


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
