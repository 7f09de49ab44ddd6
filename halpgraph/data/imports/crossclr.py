"""Folders of CrosSCLR and AimCLR: train_position.npy, 50 frames each."""

from __future__ import annotations

from pathlib import Path

from halpgraph.data.imports._source import Source
from halpgraph.data.imports._stacked import read_stacked
from halpgraph.layout import Layout


def read(path: Path, layout: Layout) -> Source:
    """Open a folder of ``{part}_position.npy`` [N, C, T, V, M] and ``{part}_label.pkl`` (or .npy).

    The motion files beside them are not needed: motion is derived as it is used.

    Raises:
        UserError: see ``read_stacked``.
    """
    return read_stacked(path, layout, ("{part}_position.npy",))
