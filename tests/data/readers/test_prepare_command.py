from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from halpgraph.cli import app
from halpgraph.errors import UserError
from tests.data.readers.raw_files import ucla_json, write_ntu


def command(*words: object) -> Result:
    return CliRunner().invoke(app, ["data", "prepare", *map(str, words)])


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for k in range(4):
        name = f"a01_s0{k + 1}_e00_v0{k % 3 + 1}"
        (folder / f"{name}.json").write_text(ucla_json(name, 4 + k, 1, k))
    (folder / "a02_s01_e00_v01.json").write_text("{")
    return folder


def test_the_table_says_what_was_read_and_dropped(raw: Path, tmp_path: Path) -> None:
    result = command("nw_ucla", "--raw", raw, "--jobs", 1, "--quiet")
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "cache" / "skeleton" / "nw_ucla") in result.output
    for words in (
        "5  files found",
        "4  clips read",
        "1  dropped: damaged or unusable",
        "split xview: 3 train / 1 test  differs: published are 1,020 / 464",
        "line 1: not JSON",
    ):
        assert words in result.output


def test_json(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    result = command("nw_ucla", "--raw", raw, "--out", out, "--float16", "--quiet", "--json")
    content = json.loads(result.stdout)
    assert content["path"] == str(out)
    assert content["clips"] == 4
    assert content["splits"][0]["ok"] is False
    assert content["dropped"][0]["line"] == 1
    assert json.loads((out / "meta.json").read_text())["dtype"] == "float16"


def test_convention(tmp_path: Path) -> None:
    write_ntu(tmp_path / "raw", ["S001C001P001R001A001"], count=20)
    words = ("ntu60", "--raw", tmp_path / "raw", "--out", tmp_path / "set", "--quiet")
    result = command(*words, "--convention", "agcn")
    assert "ntu60, convention agcn" in result.output


def test_errors_are_those_of_the_user(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    result = command("nw_ucla", "--raw", raw, "--out", tmp_path / "set")
    assert isinstance(result.exception, UserError)
    without = command("ntu60").exception
    assert isinstance(without, UserError)
    assert "halpgraph data prepare ntu60 --raw PATH" in str(without)


def test_small_sets_are_found_in_a_data_folder(raw: Path, tmp_path: Path) -> None:
    raw.rename(tmp_path / "NW-UCLA")
    result = command("nw_ucla", "--data", tmp_path, "--out", tmp_path / "set", "--quiet")
    assert result.exit_code == 0, result.output
    assert "4  clips read" in result.output
