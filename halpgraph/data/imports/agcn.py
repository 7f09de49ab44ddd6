"""Folders of 2s-AGCN, also used by skeleton-contrast, CMD and HaLP: train_data_joint.npy."""

from __future__ import annotations

from pathlib import Path

from halpgraph.data.imports._source import Source
from halpgraph.data.imports._stacked import read_stacked
from halpgraph.layout import Layout


def read(path: Path, layout: Layout) -> Source:
    """Open a folder of ``{part}_data_joint.npy`` [N, C, T, V, M] and ``{part}_label.pkl``.

    Parts are train, val and test. ``{part}_num_frame.npy`` [N] says how long clips really are; it
    matters, because these arrays are often filled up by repeating the clip.

    Raises:
        UserError: see ``read_stacked``.
    """
    return read_stacked(path, layout, ("{part}_data_joint.npy", "{part}_data.npy"))
