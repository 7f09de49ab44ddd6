"""data import and data export on the command line, and the page that teaches them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from own_sets import random_clips
from test_csv import LABELS, write_in
from test_formats import npz_ragged
from typer.testing import CliRunner

from halpgraph.cli import app
from halpgraph.data.clips import read_prepared
from halpgraph.data.load import is_skeletons
from halpgraph.errors import HalpgraphError
from halpgraph.layout import get_layout

PAGE = Path(__file__).resolve().parents[3] / "docs" / "own_poses.md"
LAYOUT = "joints: {neck: null, left_hand: neck, right_hand: neck, nose: neck}\n"
LAYOUT += "up: -y\nchannels: [x, y, score]\n"
PEOPLE = ("anna", "ben", "carl", "dora")


def call(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, HalpgraphError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def fails(*words: str) -> int:
    result = CliRunner().invoke(app, list(words))
    assert result.exception is not None
    return getattr(result.exception, "exit_code", result.exit_code)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arms.yaml").write_text(LAYOUT)
    write_in(tmp_path / "in", LABELS)
    return tmp_path


def test_import_says_what_there_is(here: Path) -> None:
    (here / "in" / "bad.csv").write_text("")
    words = ["data", "import", "in", "--format", "csv", "--layout", "arms.yaml"]
    text = call(*words, "--out", "mine", "--split", "subject=1-2", "--fps", "25")
    for line in (
        "labels: run, walk",
        "fields: subject, room",
        "split subject: 4 train, 3 test",
        "note: 1 clips could not be used and were left out",
        "skipped bad: not in labels.csv",
    ):
        assert line in text.splitlines(), text
    assert re.search(r"^mine: 7 clips, \d+ frames$", text, re.MULTILINE)
    assert read_prepared(here / "mine").meta["about"]["fps"] == 25
    said = json.loads(call(*words, "--out", "again", "--json", "--name", "arms", "--float16"))
    assert said["name"] == "arms"
    assert said["clips"] == 7
    assert said["skipped"] == [{"name": "bad", "reason": "not in labels.csv"}]
    assert read_prepared(here / "again").meta["dtype"] == "float16"


def test_export_and_import_again(here: Path) -> None:
    words = ["--layout", "arms.yaml", "--out"]
    call("data", "import", "in", "--format", "csv", *words, "mine", "--split", "subject=1-2")
    for form in ("pyskl", "ctrgcn"):
        said = json.loads(call("data", "export", "mine", "--format", form, "--out", form, "--json"))
        assert said["clips"] == 7
        call("data", "import", form, "--format", form, *words, f"{form}2")
        assert len(read_prepared(here / f"{form}2")) == 7
    text = call("data", "export", "mine", "--format", "ctrgcn", "--out", "x", "--frames", "1")
    assert re.search(r"note: \d clips were cut to 1 frames", text)


@pytest.mark.parametrize(
    "change",
    [
        ["--format", "csw"],
        ["--layout", "ntu25"],
        ["--out", "in"],
        ["--split", "subject=9"],
        ["--image-size", "10"],
        ["--strict"],
        ["--classes", "none"],
    ],
    ids=lambda words: words[0],
)
def test_users_errors_are_two(change: list[str], here: Path) -> None:
    (here / "in" / "bad.csv").write_text("")
    words = ["--format", "csv", "--layout", "arms.yaml", "--out", "mine"]
    assert fails("data", "import", "in", *words, *change) == 2
    assert not (here / "mine").exists()


def test_a_disk_that_cannot_be_written_is_one(here: Path) -> None:
    (here / "file").write_text("")
    words = ["--format", "csv", "--layout", "arms.yaml", "--out", "file/mine"]
    assert fails("data", "import", "in", *words) == 1
    call("data", "import", "in", *words[:-1], "mine")
    assert fails("data", "export", "mine", "--format", "pyskl", "--out", "file/mine.pkl") == 1


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_has_an_example(command: str) -> None:
    text = " ".join(call("data", command, "--help").split())
    assert f"Example: halpgraph data {command}" in text


def blocks(kind: str) -> list[str]:
    """Return the page's code blocks of a kind."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for word, block in found if word == kind]


def commands() -> list[list[str]]:
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("halpgraph ")]


@pytest.fixture
def filmed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what a reader of the page has: clips, labels.csv, upper.yaml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "upper.yaml").write_text(blocks("yaml")[0])
    joints = get_layout(tmp_path / "upper.yaml").joints
    random = np.random.default_rng(0)
    (tmp_path / "clips").mkdir()
    labels = ["name,label,subject"]
    for who in PEOPLE:
        for i in range(8):
            name = f"{who}_{i + 1}"
            labels.append(f"{name},{('wave', 'clap')[i % 2]},{who}")
            lines = ["frame," + ",".join(f"{j}_x,{j}_y,{j}_score" for j in joints)]
            still = random.uniform(100, 600, (len(joints), 2))
            for t in range(int(random.integers(10, 30))):
                at = still + 30 * np.sin(t * (0.2 + 0.6 * (i % 2)))
                lines.append(f"{t}," + ",".join(f"{x:.1f},{y:.1f},0.9" for x, y in at))
            (tmp_path / "clips" / f"{name}.csv").write_text("\n".join(lines))
    (tmp_path / "clips" / "labels.csv").write_text("\n".join(labels))
    clips = random_clips(get_layout(tmp_path / "upper.yaml"), 1)
    fields = {"y": np.array(list("abababa")), "subject": np.arange(7)}
    np.savez(tmp_path / "mine.npz", **npz_ragged(clips), **fields)
    return tmp_path


def test_the_page_s_data_commands_do_what_it_says(filmed: Path) -> None:
    done = [words for words in commands() if words[0] == "data"]
    assert [words[1] for words in done] == ["import", "show", "import", "export", "export"]
    for words in done:
        call(*words)
    found = read_prepared(filmed / "mine")
    assert found.classes == ["clap", "wave"]
    assert len(found) == 32
    assert {k: len(v) for k, v in found.splits["subject"].positions().items()} == {
        "train": 24,
        "test": 8,
    }
    assert is_skeletons("mine")  # a run finds it by this name
    frames = np.asarray(found.frames)
    assert np.abs(frames[:, :2]).max() <= 1
    assert (filmed / "anna_1.png").stat().st_size > 1000
    assert (filmed / "mine.pkl").is_file()
    assert list(read_prepared(filmed / "mine_npz").splits) == ["subject"]


def test_the_page_s_csv_is_read(tmp_path: Path) -> None:
    clip, labels = blocks("csv")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "anna_1.csv").write_text(clip)
    (tmp_path / "in" / "labels.csv").write_text(labels)
    (tmp_path / "two.yaml").write_text(
        "joints: {neck: null, nose: neck}\nchannels: [x, y, score]\n"
    )
    words = ["--format", "csv", "--layout", str(tmp_path / "two.yaml")]
    text = call("data", "import", str(tmp_path / "in"), *words, "--out", str(tmp_path / "out"))
    assert "1 clips, 2 frames" in text
    assert "note: labels.csv names 2 clips that are not there (anna_2)" in text
    pose = read_prepared(tmp_path / "out").clip(0).pose
    assert pose[0, 1, 1].tolist() == [np.float32(v) for v in (640.9, 181.2, 0.97)]


@pytest.mark.slow
def test_the_page_s_runs_end_in_a_report(filmed: Path) -> None:
    call(*next(words for words in commands() if words[:2] == ["data", "import"]))
    small = ["--set", "seeds=[0]", "--set", "train.epochs=1", "--set", "folds=3", "--jobs", "1"]
    runs = [words for words in commands() if words[0] == "run"]
    assert len(runs) == 2
    for words in runs:
        recipe = str(PAGE.parents[1] / words[1])
        assert "report.html" in call("run", recipe, *words[2:], *small)
