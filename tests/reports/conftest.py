"""One made-up run of two cells, written once."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_run import FakeRun

from halpgraph.reports.page import write_report


@pytest.fixture(scope="session")
def two_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished, reported run with the cells MUTAG and DD."""
    run = FakeRun(cells=("MUTAG", "DD")).write(tmp_path_factory.mktemp("runs") / "two")
    write_report(run)
    return run
