"""Shared fixtures: real data when it is at hand, one thread, small batches."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent


def data_root() -> Path | None:
    """Return the folder of real data sets, if there is one."""
    for place in (os.environ.get("HALPGRAPH_DATA"), ROOT.parent / "shared" / "data"):
        if place and (Path(place) / "tu").is_dir():
            return Path(place)
    return None


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with ``tu/MUTAG.zip`` and friends; the test is skipped where there is none."""
    root = data_root()
    if root is None:
        pytest.skip("no real data: set HALPGRAPH_DATA to a folder with tu/MUTAG.zip and the others")
    return root
