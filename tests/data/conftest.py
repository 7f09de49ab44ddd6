from __future__ import annotations

from pathlib import Path

import pytest

from halpgraph.data import sources


@pytest.fixture(autouse=True)
def _nothing_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, no cache, no data folder but those a test makes itself."""
    monkeypatch.delenv("HALPGRAPH_DATA", raising=False)
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path / "cache"))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test reached for the network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


@pytest.fixture
def no_grakel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_grakel", lambda name: None)
