from __future__ import annotations

import multiprocessing
import os
import zipfile
from pathlib import Path

import pytest

from halpgraph.data import prepare as preparing
from halpgraph.data.prepare import prepare
from halpgraph.data.readers import NAMES
from halpgraph.data.skeleton_load import HOW, default_out, open_prepared
from halpgraph.errors import UserError
from tests.data.readers.raw_files import ucla_json, write_ntu


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with NW-UCLA as published, small."""
    folder = tmp_path / "data" / "skeleton"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "nw-ucla.zip", "w") as archive:
        for k in range(6):
            name = f"a01_s0{k + 1}_e00_v0{k % 3 + 1}"
            archive.writestr(f"NW-UCLA/all_sqe/{name}.json", ucla_json(name, 4 + k, 1, k))
    return tmp_path / "data"


def test_a_path_is_opened_as_it_is(data: Path, tmp_path: Path) -> None:
    prepare("nw_ucla", data / "skeleton", tmp_path / "mine", jobs=1, quiet=True)
    assert len(open_prepared(str(tmp_path / "mine"))) == 6
    with pytest.raises(UserError, match="not a prepared skeleton set"):
        open_prepared(str(tmp_path / "data"))


@pytest.mark.parametrize("below", ["", "skeleton"])
@pytest.mark.parametrize("place", ["root", "HALPGRAPH_DATA", "cache"])
def test_a_prepared_folder_is_found(
    place: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ntu(tmp_path / "raw", ["S001C001P001R001A001"])
    folder = tmp_path / "cache" if place == "cache" else tmp_path / "own"
    prepare("ntu60", tmp_path / "raw", folder / below / "ntu60", jobs=1, quiet=True)
    if place == "HALPGRAPH_DATA":
        monkeypatch.setenv("HALPGRAPH_DATA", str(folder))
    assert len(open_prepared("ntu60", folder if place == "root" else None)) == 1


def test_small_sets_are_prepared_into_the_cache(data: Path, tmp_path: Path) -> None:
    found = open_prepared("nw_ucla", data)
    assert len(found) == 6
    assert default_out("nw_ucla") == tmp_path / "cache" / "skeleton" / "nw_ucla"
    (data / "skeleton" / "nw-ucla.zip").unlink()
    assert open_prepared("nw_ucla", data).names == found.names


def test_an_unpacked_folder_will_do(data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(data / "skeleton" / "nw-ucla.zip") as archive:
        archive.extractall(tmp_path / "other")
    assert len(open_prepared("nw_ucla", tmp_path / "other")) == 6


def test_a_cache_that_cannot_be_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path / "file"))
    assert len(open_prepared("nw_ucla", data)) == 6


def _open(data: Path, answers: multiprocessing.Queue[int]) -> None:
    answers.put(len(open_prepared("nw_ucla", data)))


@pytest.mark.skipif(os.name == "nt", reason="no locks there")
def test_processes_at_the_same_time_do_not_break_each_other(data: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=_open, args=(data, answers)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert [answers.get() for _ in children] == [6] * 4
    assert sorted(p.name for p in (tmp_path / "cache" / "skeleton").iterdir()) == ["nw_ucla"]


def test_one_who_comes_when_all_is_done_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finishes between the first look and the lock."""
    out = tmp_path / "set"
    looks = iter([None])
    free = preparing._free

    def late(place: Path) -> None:
        if next(looks, "again") is None:
            return  # the first look: not there yet
        free(place)

    prepare("nw_ucla", data / "skeleton", out, jobs=1, quiet=True)
    monkeypatch.setattr(preparing, "_free", late)
    with pytest.raises(UserError, match="is there already"):
        prepare("nw_ucla", data / "skeleton", out, jobs=1, quiet=True)
    assert [p.name for p in tmp_path.iterdir() if "parts" in p.name] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_here_says_how_to_get_it(name: str) -> None:
    with pytest.raises(UserError, match=f"halpgraph data prepare {name} --raw PATH") as caught:
        open_prepared(name)
    assert "https://" in str(caught.value)
    assert set(HOW) == set(NAMES)


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UserError, match="did you mean 'ntu60'"):
        open_prepared("ntu6")
