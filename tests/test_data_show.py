"""``data show`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from small import small_clips
from typer.testing import CliRunner

from halpgraph.cli import app
from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import read_prepared
from halpgraph.data.picking import find_clip
from halpgraph.data.skeleton_load import open_prepared
from halpgraph.drawing.scene import make_scene
from halpgraph.errors import HalpgraphError, UserError
from halpgraph.layout import get_layout


def call(*words: str) -> str:
    result = CliRunner().invoke(app, ["data", "show", *words])
    if isinstance(result.exception, HalpgraphError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sets") / "sway"
    classes = ["slow", "quick"]
    with ClipWriter(path, "sway", get_layout("kinect20"), classes) as writer:
        for clip in small_clips(12, persons=2):
            writer.add(clip)
        writer.finish()
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("HALPGRAPH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_strip_is_written_beside_the_user(folder: Path) -> None:
    count = read_prepared(folder).num_frames[3]
    said = call(str(folder), "--sample", "clip3")
    assert said == (f"sway-clip3.png: clip3, 8 of {count} frames, 2 persons, label 1 (quick)\n")
    with Image.open("sway-clip3.png") as image:
        assert image.format == "PNG"


def test_json_says_the_same(folder: Path) -> None:
    found = json.loads(
        call(str(folder), "--sample", "1", "--out", "a.gif", "--frames", "4", "--json")
    )
    frames = int(read_prepared(folder).num_frames[1])
    assert found == {
        "file": "a.gif",
        "set": "sway",
        "clip": "clip1",
        "position": 1,
        "frames": frames,
        "drawn": 4,
        "persons": 1,
        "label": 1,
        "class": "quick",
        "layout": "kinect20",
    }
    with Image.open("a.gif") as image:
        assert image.n_frames == 4


def test_frames_and_turn_are_passed_on(folder: Path) -> None:
    call(str(folder), "--sample", "0", "--out", "a.svg", "--frames", "3", "--turn", "45")
    words = [text.text for text in ElementTree.parse("a.svg").iter() if text.tag.endswith("}text")]
    assert len(words) == 3 + 6  # frames, legend
    assert words[-1] == "turned by 45°  ↑ y"


def test_nothing_is_overwritten_unless_forced(folder: Path) -> None:
    Path("a.png").write_text("mine")
    with pytest.raises(UserError, match="--force"):
        call(str(folder), "--sample", "0", "--out", "a.png")
    assert Path("a.png").read_text() == "mine"
    call(str(folder), "--sample", "0", "--out", "a.png", "--force")
    with Image.open("a.png") as image:
        assert image.format == "PNG"


def test_other_endings_are_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"\.png, \.svg or \.gif"):
        call(str(folder), "--sample", "0", "--out", "a.bmp")


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("clip_3", "did you mean 'clip3'"),
        ("nothing", "named like clip0"),
        ("12", "has the clips 0 to 11"),
        ("-1", "a position, 0 to 11"),
    ],
)
def test_an_unknown_clip_is_refused_with_a_hint(folder: Path, sample: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        call(str(folder), f"--sample={sample}")
    assert not list(Path().iterdir())


def test_names_come_before_positions(tmp_path: Path) -> None:
    clips = small_clips(3)
    with ClipWriter(tmp_path / "set", "s", get_layout("kinect20")) as writer:
        for clip, name in zip(clips, ("2", "a b/c", "x"), strict=True):
            clip.name, clip.label = name, None
            writer.add(clip)
        found = writer.finish()
    assert [find_clip(found, word) for word in ("2", "1", "0", "x")] == [0, 1, 0, 2]
    said = call(str(tmp_path / "set"), "--sample", "a b/c")
    assert said.startswith("s-a_b_c.png: a b/c, 8 of ")
    assert said.endswith(" frames, 1 person, no label\n")


def test_a_folder_that_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a prepared skeleton set"):
        call(str(tmp_path / "nothing"), "--sample", "0")


def test_a_name_is_looked_up_in_the_folder_of_data(folder: Path) -> None:
    said = call("sway", "--sample", "0", "--data", str(folder.parent), "--out", "a.svg")
    assert said.startswith("a.svg: clip0, 8 of ")


def test_an_unknown_name_is_refused_with_a_hint() -> None:
    with pytest.raises(UserError, match="nw_ucla"):
        call("nw_uclaa", "--sample", "0")


@pytest.mark.parametrize("name", ["nw_ucla", "utd_mhad"])
def test_heads_are_above_feet_in_real_data(real_data: Path, name: str) -> None:
    """Up is y in both sets, and people who face the sensor are seen from the front."""
    found = open_prepared(name, real_data)
    layout = found.layout
    high, left = [], []
    for index in range(0, len(found), 40):
        points = make_scene(found.clip(index).pose[:1], layout).points[0]  # [K, V, 2]
        feet = points[:, [layout.index("left_foot"), layout.index("right_foot")], 1]
        high.append((points[:, layout.index("head"), 1] - feet.mean(1)).mean())
        sides = [points[:, layout.index(f"{side}_shoulder"), 0] for side in ("left", "right")]
        left.append((sides[0] - sides[1]).mean())
    assert min(high) > 0.5  # metres
    assert np.mean(np.array(left) > 0) > 0.9


def test_help_shows_an_example() -> None:
    assert "Example: halpgraph data show" in " ".join(call("--help").split())
