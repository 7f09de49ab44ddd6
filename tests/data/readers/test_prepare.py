from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halpgraph.data import prepare as module
from halpgraph.data.clips import Prepared, read_prepared
from halpgraph.data.prepare import PrepareReport, prepare
from halpgraph.data.readers import get_reader
from halpgraph.data.readers._base import Outcome, Unit
from halpgraph.data.readers._parts import read_part
from halpgraph.data.readers._raw import Raw
from halpgraph.errors import RunError, UserError
from tests.data.readers.raw_files import ucla_json

COUNT = 12


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for k in range(COUNT):
        name = f"a01_s{k + 1:02d}_e00_v0{k % 3 + 1}"
        (folder / f"{name}.json").write_text(ucla_json(name, 3 + k, 1, seed=k))
    (folder / "a01_s99_e00_v01.json").write_text("{")
    return folder


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Pieces of two files; the returned function puts another ``read`` into the reader."""

    def use(read: Any = None) -> None:
        reader = replace(get_reader("nw_ucla"), chunk=2)
        reader = replace(reader, read=read) if read else reader
        monkeypatch.setattr(module, "get_reader", lambda name: reader)

    use()
    return use


def run(raw: Path, out: Path, jobs: int = 1, **settings: Any) -> PrepareReport:
    return prepare("nw_ucla", raw, out, jobs=jobs, quiet=True, **settings)


def same(one: Prepared, other: Prepared) -> None:
    assert one.names == other.names
    assert one.meta == other.meta
    np.testing.assert_array_equal(one.frames, other.frames)


def counting(seen: list[str], stop_at: int = 0, how: Callable[[], None] | None = None) -> Any:
    def read(raw: Raw, unit: Unit, convention: str) -> list[Outcome]:
        seen.append(unit.name)
        if how is not None and len(seen) == stop_at:
            how()
        return get_reader("nw_ucla").read(raw, unit, convention)

    return read


def kill_me() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def left_over(out: Path) -> list[str]:
    return sorted(p.name for p in out.parent.iterdir() if p.name.startswith("."))


def test_one_process_and_several_write_the_same(raw: Path, tmp_path: Path) -> None:
    same(run(raw, tmp_path / "1").prepared, run(raw, tmp_path / "2", jobs=2).prepared)


def test_several_pieces_and_one_write_the_same(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None], monkeypatch: Any
) -> None:
    pieces = run(raw, tmp_path / "pieces", jobs=2).prepared
    monkeypatch.undo()
    same(pieces, run(raw, tmp_path / "one").prepared)
    assert pieces.names == sorted(pieces.names)


def test_scratch_goes_when_the_set_is_whole(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None]
) -> None:
    out = tmp_path / "there" / "set"
    run(raw, out)
    assert left_over(out) == []
    assert len(read_prepared(out)) == COUNT


def test_a_killed_prepare_goes_on_where_it_was(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None]
) -> None:
    out = tmp_path / "there" / "set"
    small_chunks(counting([], stop_at=8, how=kill_me))
    child = multiprocessing.get_context("fork").Process(target=run, args=(raw, out))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not out.exists()
    assert len(list((out.parent / ".set.parts").glob("*.npz"))) == 3
    seen: list[str] = []
    small_chunks(counting(seen))
    report = run(raw, out)
    assert len(seen) == COUNT + 1 - 6  # three pieces of two were there
    assert [item.name for item in report.dropped] == ["a01_s99_e00_v01"]
    assert left_over(out) == []
    small_chunks(None)
    same(report.prepared, run(raw, tmp_path / "clean").prepared)


def test_a_killed_worker_ends_the_run_and_keeps_what_is_done(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None]
) -> None:
    out = tmp_path / "set"

    def read(files: Raw, unit: Unit, convention: str) -> list[Outcome]:
        if unit.name.startswith("a01_s09"):
            kill_me()
        return get_reader("nw_ucla").read(files, unit, convention)

    small_chunks(read)
    with pytest.raises(RunError, match="a worker process was killed"):
        run(raw, out, jobs=2)
    assert not out.exists()
    small_chunks(None)
    assert len(run(raw, out).prepared) == COUNT


def test_ctrl_c_keeps_what_is_done(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    small_chunks(counting([], stop_at=5, how=interrupt))
    with pytest.raises(KeyboardInterrupt):
        run(raw, tmp_path / "set")
    assert len(list((tmp_path / ".set.parts").glob("*.npz"))) == 2


def test_pieces_of_other_files_or_settings_are_not_taken(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None]
) -> None:
    out = tmp_path / "set"

    def interrupt() -> None:
        raise KeyboardInterrupt

    small_chunks(counting([], stop_at=5, how=interrupt))
    with pytest.raises(KeyboardInterrupt):
        run(raw, out)
    changed = raw / "a01_s01_e00_v01.json"
    changed.write_text(ucla_json("x", 50, 1, seed=77))
    seen: list[str] = []
    small_chunks(counting(seen))
    report = run(raw, out)
    assert len(seen) == COUNT + 1
    assert int(report.prepared.num_frames[0]) == 50
    assert left_over(out) == []


def test_a_damaged_piece_is_made_again(
    raw: Path, tmp_path: Path, small_chunks: Callable[[Any], None]
) -> None:
    out, done = tmp_path / "set", []
    small_chunks(counting(done))

    def interrupt() -> None:
        raise KeyboardInterrupt

    small_chunks(counting([], stop_at=5, how=interrupt))
    with pytest.raises(KeyboardInterrupt):
        run(raw, out)
    pieces = sorted((tmp_path / ".set.parts").glob("*.npz"))
    pieces[0].write_bytes(pieces[0].read_bytes()[:300])
    pieces[1].write_bytes(b"")
    assert read_part(pieces[0]) is None
    assert read_part(pieces[1]) is None
    small_chunks(None)
    same(run(raw, out).prepared, run(raw, tmp_path / "clean").prepared)


def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("halpgraph.data.readers._parts.np.savez", "numpy.savez_compressed"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(RunError, match="No space left on device"):
                run(raw, tmp_path / "set")
        assert not (tmp_path / "set").exists()
    assert len(run(raw, tmp_path / "set").prepared) == COUNT
    assert left_over(tmp_path / "set") == []


def test_a_place_that_cannot_be_written(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        run(raw, tmp_path / "file" / "set")


def test_what_is_there_is_never_overwritten(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").write_text("keep")
    with pytest.raises(UserError, match="is there already, and nothing is overwritten"):
        run(raw, tmp_path / "set")
    assert (tmp_path / "set" / "mine").read_text() == "keep"


def test_wrong_names_conventions_and_folders_are_refused(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    with pytest.raises(UserError, match="did you mean 'nw_ucla'"):
        prepare("nw_ucl", raw, out)
    with pytest.raises(UserError, match="did you mean 'sgn'"):
        prepare("ntu60", raw, out, convention="sng")
    with pytest.raises(UserError, match="no such folder or zip"):
        prepare("ntu60", tmp_path / "nowhere", out)
    with pytest.raises(UserError, match=r"no files of ntu60 in it; looked for SsssCccc"):
        prepare("ntu60", raw, out)
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(UserError, match="truncated or damaged archive"):
        prepare("ntu60", tmp_path / "x.zip", out)
    with pytest.raises(UserError, match="must be float32 or float16"):
        run(raw, out, dtype="int8")
    assert not out.exists()
    assert left_over(out) == []


def test_a_file_that_vanishes_is_reported(raw: Path, tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("links need rights there")
    (raw / "a02_s01_e00_v01.json").symlink_to(raw / "a01_s01_e00_v01.json")
    files = Raw(raw)
    shutil.move(raw / "a01_s01_e00_v01.json", tmp_path / "gone.json")
    with pytest.raises(UserError, match="cannot be read"):
        files.read("a01_s01_e00_v01.json")


def test_a_damaged_member_of_a_zip_is_skipped(raw: Path, tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "raw.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that one byte can be changed
        for file in sorted(raw.iterdir()):
            archive.write(file, f"NW-UCLA/all_sqe/{file.name}")
    content = bytearray(path.read_bytes())
    at = content.index(b"skeletons", content.index(b"a01_s05_e00"))
    content[at + 20] ^= 1
    path.write_bytes(bytes(content))
    report = run(path, tmp_path / "set")
    assert [item.name for item in report.dropped] == ["a01_s05_e00_v02", "a01_s99_e00_v01"]
    assert "cannot be read" in report.dropped[0].reason


def test_half_precision(raw: Path, tmp_path: Path) -> None:
    half = run(raw, tmp_path / "half", dtype="float16").prepared
    assert half.frames.dtype == np.float16
    whole = run(raw, tmp_path / "whole").prepared
    np.testing.assert_allclose(half.frames, whole.frames, atol=1e-3)


def test_what_was_dropped_is_kept_in_the_set(raw: Path, tmp_path: Path) -> None:
    about = run(raw, tmp_path / "set").prepared.meta["about"]
    assert about["dropped"][0]["name"] == "a01_s99_e00_v01"
    assert about["dropped"][0]["line"] == 1
    assert about["dropped"][0]["reason"] == "a01_s99_e00_v01.json, line 1: not JSON"
    assert {"title", "source", "licence", "citation", "convention"} <= about.keys()
