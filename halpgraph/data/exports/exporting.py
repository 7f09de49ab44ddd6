"""From a prepared set to the file of another program; written whole, never over another."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from halpgraph.data.clips import Prepared, read_prepared
from halpgraph.errors import UserError, did_you_mean
from halpgraph.files import replacing

FORMATS = {
    "pyskl": "pickle of pyskl and mmaction2 (annotations, split)",
    "ctrgcn": ".npz of CTR-GCN (x_train, y_train, x_test, y_test)",
}


def export(
    prepared: Prepared | Path | str,
    format: str,
    out: Path | str,
    *,
    split: str | None = None,
    frames: int = 300,
) -> dict[str, Any]:
    """Write a prepared set as another program reads it.

    Args:
        prepared: the set, or its folder.
        format: one of ``FORMATS``.
        out: the file; must not exist.
        split: which split ``ctrgcn`` has (the first by default); pyskl has all of them.
        frames: length that ``ctrgcn`` pads or cuts clips to; 0 for the longest clip's.

    Returns:
        ``file``, ``format``, ``clips``, and ``notes`` on what could not be kept.

    Raises:
        UserError: unknown format or split, or something at ``out`` already.
        RunError: the disk is full or read-only; nothing is left there.
    """
    out = Path(out).expanduser()
    if format not in FORMATS:
        raise UserError(f"format: {format}: unknown{did_you_mean(format, FORMATS)}")
    if out.exists():
        raise UserError(f"{out}: is there already; nothing is overwritten, choose another")
    found = prepared if isinstance(prepared, Prepared) else read_prepared(Path(prepared))
    if split is not None and split not in found.splits:
        raise UserError(f"split: {found.name} has no {split}{did_you_mean(split, found.splits)}")
    if frames < 0:
        raise UserError(f"frames: must be 0 or more, not {frames}")
    module = importlib.import_module(f"{__package__}.{format}")
    with replacing(out) as scratch:
        clips, notes = module.write(found, scratch, split, frames)
    return {"file": str(out), "format": format, "clips": clips, "notes": notes}
