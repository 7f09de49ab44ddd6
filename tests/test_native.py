"""Loops in C are had where there is a compiler, and done without elsewhere."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from halpgraph import native

compiler = pytest.mark.skipif(
    not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler here"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """One function of C."""
    path = tmp_path / "_twice.c"
    path.write_text("long twice(long n) { return 2 * n; }")
    return path


@compiler
def test_compiled_once_and_anew_when_the_source_changes(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path / "cache"))
    for wanted, text in ((8, source.read_text()), (12, "long twice(long n) { return 3 * n; }")):
        source.write_text(text)
        for _ in range(2):
            found = native.load.__wrapped__(source)
            assert isinstance(found, ctypes.CDLL)
            assert found.twice(4) == wanted
    names = sorted(p.name for p in (tmp_path / "cache" / "native").iterdir())
    assert len(names) == 2
    assert all(n.startswith("twice-") and n.endswith(".so") for n in names)


def test_no_compiler_and_broken_compilers_fall_back(
    source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path))
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert native.load.__wrapped__(source) is None
    assert list((tmp_path / "native").iterdir()) == []
    monkeypatch.setenv("HALPGRAPH_NATIVE", "0")
    assert native.load.__wrapped__(source) is None
