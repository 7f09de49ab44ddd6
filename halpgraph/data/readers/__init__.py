"""Readers of raw skeleton sets, one file each; ``halpgraph.data.prepare`` runs them."""

from __future__ import annotations

from importlib import import_module

from halpgraph.data.readers._base import Reader
from halpgraph.errors import UserError, did_you_mean

_WHERE = {
    "nw_ucla": "nw_ucla",
    "utd_mhad": "utd_mhad",
    "ntu60": "ntu",
    "ntu120": "ntu",
    "pku1": "pku",
    "pku2": "pku",
}
NAMES = tuple(_WHERE)


def get_reader(name: str) -> Reader:
    """Return the reader of a set.

    Raises:
        UserError: unknown name.
    """
    if name not in _WHERE:
        raise UserError(f"{name}: no reader of raw skeletons{did_you_mean(name, NAMES)}")
    module = import_module(f"halpgraph.data.readers.{_WHERE[name]}")
    found: dict[str, Reader] = getattr(module, "READERS", None) or {name: module.READER}
    return found[name]
