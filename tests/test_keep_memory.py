"""What the C library is told about freed memory, and when it is left alone."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from halpgraph.device import keep_memory

SET_BY = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Return what a stand-in for the C library is told."""
    calls: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda *call: calls.append(call))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in SET_BY:
        monkeypatch.delenv(name, raising=False)
    keep_memory.cache_clear()
    yield calls
    keep_memory.cache_clear()


def test_thresholds_are_set_once(told: list[tuple[int, int]]) -> None:
    keep_memory()
    keep_memory()
    assert told == [(-1, 256 << 20), (-3, 32 << 20)]


@pytest.mark.parametrize("name", SET_BY)
def test_what_the_environment_says_stays(
    told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "1")
    keep_memory()
    assert not told


def test_nothing_is_done_where_there_is_no_such_call(
    told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    keep_memory()
    keep_memory.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("not Linux"))
    keep_memory()
    assert not told
