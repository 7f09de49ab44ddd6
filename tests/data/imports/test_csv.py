"""CSV files: long and wide, of trackers and of spreadsheets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_sets import LAYOUTS, SCORED, assert_same, parts, random_clips

from halpgraph.data.clips import Clip, Prepared
from halpgraph.data.imports import import_poses
from halpgraph.errors import UserError
from halpgraph.layout import Layout

Write = Callable[[Path, Clip, Layout], None]


def long(path: Path, clip: Clip, layout: Layout, numbers: bool = False) -> None:
    lines = ["frame,person,joint," + ",".join(layout.channels)]
    for person, t, joint in np.ndindex(*clip.pose.shape[:3]):
        if clip.pose[person, t, joint].any():
            name = joint if numbers else layout.joints[joint]
            values = ",".join(str(v) for v in clip.pose[person, t, joint])
            lines.append(f"{t + 3},{person},{name},{values}")
    path.write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")  # any order of the rows


def long_numbers(path: Path, clip: Clip, layout: Layout) -> None:
    long(path, clip, layout, numbers=True)


def wide(path: Path, clip: Clip, layout: Layout, mark: str = ",") -> None:
    head = [f"{joint}_{axis}" for joint in layout.joints for axis in layout.channels]
    lines = [mark.join(["frame", "person", *head])]
    for person, t in np.ndindex(*clip.pose.shape[:2]):
        cells = [str(v) for v in clip.pose[person, t].ravel()]
        lines.append(mark.join([str(t), f"p{person}", *cells]))
    text = "\n".join(lines)
    path.write_text("\ufeff" + (text if mark == "," else text.replace(".", ",")), encoding="utf-8")


def spreadsheet(path: Path, clip: Clip, layout: Layout) -> None:
    wide(path, clip, layout, mark=";")


def deeplabcut(path: Path, clip: Clip, layout: Layout) -> None:
    likelihood = ["likelihood" if axis == "score" else axis for axis in layout.channels]
    columns = [
        (f"mouse{m}", joint, axis)
        for m in range(len(clip.pose))
        for joint in layout.joints
        for axis in likelihood
    ]
    heads = [["scorer", *("net" for _ in columns)]]
    for i, name in enumerate(("individuals", "bodyparts", "coords")):
        heads.append([name, *(column[i] for column in columns)])
    rows = [[str(t), *map(str, clip.pose[:, t].ravel())] for t in range(clip.pose.shape[1])]
    path.write_text("\n".join(",".join(row) for row in [*heads, *rows]))


@pytest.mark.parametrize("write", [long, long_numbers, wide, spreadsheet, deeplabcut])
@pytest.mark.parametrize("persons", [1, 2, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_form(write: Write, persons: int, layout: str, tmp_path: Path) -> None:
    clips = random_clips(LAYOUTS[layout], persons)
    (tmp_path / "in").mkdir()
    for clip in clips:
        write(tmp_path / "in" / f"{clip.name}.csv", clip, LAYOUTS[layout])
        clip.label = None
    assert_same(import_poses(tmp_path / "in", "csv", LAYOUTS[layout], tmp_path / "out"), clips)


def write_in(folder: Path, labels: str = "") -> list[Clip]:
    folder.mkdir()
    clips = random_clips(SCORED, 1)
    for clip in clips:
        long(folder / f"{clip.name}.csv", clip, SCORED)
    if labels:
        (folder / "labels.csv").write_text(labels)
    return clips


def get(folder: Path, out: str = "out", **more: object) -> Prepared:
    return import_poses(folder, "csv", SCORED, folder.parent / out, **more)  # type: ignore[arg-type]


LABELS = """name,label,subject,room,split
c0,walk,1,b,train
c1.csv,run,1,a,test
c2,walk,2,b,
c3,run,2,a,val
c4,walk,3,b,train
c5,run,3,a,train
c6,walk,4,b,test
"""


def test_labels_are_texts_and_fields_too(tmp_path: Path) -> None:
    clips = write_in(tmp_path / "in", LABELS)
    found = get(tmp_path / "in", split=["subject=1,3-9", "room=b"], groups="subject")
    for i, clip in enumerate(clips):
        clip.label = 1 - i % 2
    assert_same(found, clips)
    assert found.classes == ["run", "walk"]
    assert found.fields["room"].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert list(parts(found, "subject").values()) == [0, 0, 1, 1, 0, 0, 0]
    assert list(parts(found, "room").values()) == [0, 1, 0, 1, 0, 1, 0]
    assert list(parts(found, "own").values()) == [0, 1, -1, 2, 0, 0, 1]
    assert found.splits["own"].inner == "subject"


def test_names_on_one_side_only_are_reported(tmp_path: Path) -> None:
    write_in(tmp_path / "in", "name,label\nc0,a\nc1,b\nc2,a\nghost,b\n")
    found = get(tmp_path / "in")
    assert found.names == ["c0", "c1", "c2"]
    skipped = found.meta["about"]["skipped"]
    assert [item["name"] for item in skipped] == ["c3", "c4", "c5", "c6"]
    assert {item["reason"] for item in skipped} == {"not in labels.csv"}
    assert "labels.csv names 1 clips that are not there (ghost)" in found.meta["notes"]
    with pytest.raises(UserError, match=r"c3: not in labels\.csv"):
        get(tmp_path / "in", "strict", strict=True)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("nam,label\nc0,a\n", "needs a column 'name' - did you mean 'nam'"),
        ("name,label\nc0,a\nc0,b\n", "c0 is there twice"),
        ("name,label\nc0,a\nc1,\n", r"row 3: label is empty"),
        ("name,label\nc0\n", "row 2: 1 cells under 2 columns"),
        ("name,split\nc0,trian\n", "split of c0: trian - did you mean 'train'"),
        ("", ""),
    ],
)
def test_labels_that_cannot_be_used(labels: str, message: str, tmp_path: Path) -> None:
    write_in(tmp_path / "in", labels)
    if not labels:
        assert get(tmp_path / "in").y is None
        return
    with pytest.raises(UserError, match=message):
        get(tmp_path / "in")
    assert not (tmp_path / "out").exists()


HEAD = "frame,joint,x,y,score\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (HEAD, "no frames"),
        (HEAD + "0,neck,1,2\n", "row 1 has 4 cells under 5 columns"),
        (HEAD + "0,neck,1,two,1\n", "'two' is no number"),
        (HEAD + "0,neck,nan,2,1\n", "NaN or infinite joints"),
        (HEAD + "0,neck,inf,2,1\n", "NaN or infinite joints"),
        (HEAD + "0,neck,1,2,1\n0,neck,1,2,1\n", "there twice"),
        (HEAD + "0.5,neck,1,2,1\n", "'0.5' is no whole number"),
        (HEAD + ",neck,1,2,1\n", "'' is no whole number"),
        (HEAD + "0,neck,1,2,1\n1e12,neck,1,2,1\n", "number them one by one"),
        (HEAD + "0,nek,1,2,1\n", "joint nek of 1 - did you mean 'neck'"),
        (HEAD + "0,4,1,2,1\n", "joint number 4"),
        (HEAD + "0,neck,,,\n", "nobody in it"),
        ("frame,joint,x\n0,neck,1\n", "no column y"),
        ("a,b\n1,2\n", "neither a column 'joint' nor columns such as nose_x"),
        ("scorer,a\nbodyparts,neck\n0,1\n", "needs the rows bodyparts and coords"),
        ("neck_x,neck_y\n1,2\n", "1 joints with 2 channels|4 joints with 2 channels"),
    ],
)
def test_a_bad_file_is_skipped_with_its_reason(text: str, reason: str, tmp_path: Path) -> None:
    write_in(tmp_path / "in")
    (tmp_path / "in" / "bad.csv").write_text(text)
    found = get(tmp_path / "in")
    assert len(found) == 7
    (skipped,) = found.meta["about"]["skipped"]
    assert skipped["name"] == "bad"
    assert re.search(reason, skipped["reason"]), skipped["reason"]
    assert str(tmp_path) not in skipped["reason"]


def test_bytes_that_are_no_text_are_skipped(tmp_path: Path) -> None:
    write_in(tmp_path / "in")
    (tmp_path / "in" / "bad.csv").write_bytes(b"\xff\xfe\x00\x01")
    (skipped,) = get(tmp_path / "in").meta["about"]["skipped"]
    assert "not a text file" in skipped["reason"]


def test_joints_that_are_never_there_are_another_layout(tmp_path: Path) -> None:
    clips = write_in(tmp_path / "in")
    for clip in clips:
        path = tmp_path / "in" / f"{clip.name}.csv"
        path.write_text("\n".join(r for r in path.read_text().split("\n") if "nose" not in r))
    with pytest.raises(UserError, match=r"3 joints .*\(nose never there\), but layout arms has 4"):
        get(tmp_path / "in")
    assert not (tmp_path / "out").exists()


def test_joints_of_another_layout_are_one_error(tmp_path: Path) -> None:
    write_in(tmp_path / "in")
    with pytest.raises(UserError, match=r"of 4.*layout ntu25 has 25 joints with 3.*pass a layout"):
        import_poses(tmp_path / "in", "csv", "ntu25", tmp_path / "out")


def test_frames_between_keep_their_place_and_empty_cells_are_not_seen(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = [f"{joint}_{axis}" for joint in SCORED.joints for axis in ("x", "y", "likelihood")]
    rows = [["", "frame", *names], ["0", "10", *["1", "2", "1"] * 4], ["1", "13", *[""] * 12]]
    rows.append(["2", "14", *["1", "2", "0.9"] * 3, "5", "6", "0.005"])
    (tmp_path / "in" / "a.csv").write_text("\n".join(",".join(row) for row in rows))
    pose = get(tmp_path / "in").clip(0).pose[0]
    assert pose[:, 0].tolist() == [[1, 2, 1], *[[0, 0, 0]] * 3, [1, 2, np.float32(0.9)]]
    assert pose[4, 3].tolist() == [0, 0, 0]
