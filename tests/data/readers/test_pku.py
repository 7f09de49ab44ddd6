from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halpgraph.data.prepare import PrepareReport, prepare
from halpgraph.data.readers.pku import rows
from halpgraph.errors import UserError
from tests.data.readers.raw_files import moving, pku_text

COUNT = 60


def video(seed: int = 0, second: bool = False) -> Any:
    pose = np.zeros((COUNT, 2, 25, 3))
    pose[:, 0] = moving(COUNT, seed)
    if second:
        pose[10:, 1] = moving(COUNT, seed + 50)[10:]
    return pose


def write(raw: Path, name: str, pose: Any, labels: str, suffix: str = "txt") -> None:
    for folder in ("skeleton", "Train_Label"):
        (raw / folder).mkdir(parents=True, exist_ok=True)
    (raw / "skeleton" / f"{name}.{suffix}").write_text(pku_text(pose))
    (raw / "Train_Label" / f"{name}.txt").write_text(labels)


def run(tmp_path: Path, name: str = "pku1", convention: str | None = None) -> PrepareReport:
    out = tmp_path / f"out-{convention}"
    return prepare(name, tmp_path / "raw", out, convention=convention, jobs=1, quiet=True)


@pytest.mark.parametrize(
    ("convention", "start", "end", "expected"),
    [
        ("cmd", 5, 9, range(5, 9)),
        ("cmd", 0, 500, range(300)),
        ("cmd", 100, 400, range(100, 400)),
        ("cmd", 100, 401, range(100, 400)),
        ("aimclr", 5, 9, range(4, 9)),
        ("aimclr", 1, 300, range(300)),
        ("aimclr", 1, 500, range(100, 400)),
        ("aimclr", 11, 311, range(10, 310)),
        ("aimclr", 0, 4, range(4)),
    ],
)
def test_rows_of_an_instance(convention: str, start: int, end: int, expected: range) -> None:
    assert list(range(1000))[rows(start, end, convention)] == list(expected)


def test_instances_are_cut_out_of_videos(tmp_path: Path) -> None:
    pose = video(1, second=True)
    write(tmp_path / "raw", "0002-L", pose, "3,5,15,2\n51,20,50,1\n")
    write(tmp_path / "raw", "0002-M", video(2), "1,1,60,2\n", "skeleton")
    found = run(tmp_path).prepared
    assert found.names == ["0002-L-001", "0002-L-002", "0002-M-001"]
    assert found.y is not None
    assert found.y.tolist() == [2, 50, 0]
    assert found.fields["view"].tolist() == [1, 1, 2]
    assert found.fields["video"].tolist() == [2, 2, 2]
    clip = found.clip(0)
    np.testing.assert_allclose(clip.pose, pose[5:15].transpose(1, 0, 2, 3), atol=1e-6)
    assert found.clip(2).pose.shape == (1, 59, 25, 3)
    other = run(tmp_path, convention="aimclr").prepared.clip(0)
    np.testing.assert_allclose(other.pose, pose[4:15].transpose(1, 0, 2, 3), atol=1e-6)


def test_phase_2_knows_its_subjects(tmp_path: Path) -> None:
    write(tmp_path / "raw", "A03N12-R", video(), "7,2,40,1\n")
    found = run(tmp_path, "pku2").prepared
    assert found.fields["subject"].tolist() == [12]
    assert found.fields["video"].tolist() == [312]
    assert found.fields["view"].tolist() == [3]


def test_splits_come_from_their_files(tmp_path: Path) -> None:
    for name in ("0002-L", "0003-M", "0004-R"):
        write(tmp_path / "raw", name, video(), "7,2,40,1\n8,3,9,1\n")
    split = "Training videos:\n0002-L, 0009-L,\nValidation videos:\n0003-M\n"
    (tmp_path / "raw" / "cross-subject.txt").write_text(split)
    report = run(tmp_path)
    assert report.prepared.splits["xsub"].part.tolist() == [0, 0, 1, 1, -1, -1]
    assert report.prepared.splits["xsub"].inner == "video"
    assert "xview" not in report.prepared.splits
    assert "split xview: its file is not there" in report.notes
    assert any("split xsub differs" in note for note in report.notes)


def test_a_short_split_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "raw", "0002-L", video(), "7,2,40,1\n")
    (tmp_path / "raw" / "cross-view.txt").write_text("Training videos:\n0002-L\n")
    with pytest.raises(UserError, match=r"cross-view\.txt: a split file has .* 2 lines"):
        run(tmp_path)


def test_what_cannot_be_used_is_dropped_with_its_reason(tmp_path: Path) -> None:
    pose = video()
    pose[30:40] = 0
    labels = "7,2,20,1\n8,30,40,1\n9,100,120,1\nx,1,2\n99,1,5,1\n9,8,3,1\n\n10,1,9,1\n"
    write(tmp_path / "raw", "0002-L", pose, labels)
    (tmp_path / "raw" / "skeleton" / "0003-L.txt").write_text(pku_text(video()))
    write(tmp_path / "raw", "0004-L", video(), "7,2,40,1\n")
    broken = tmp_path / "raw" / "skeleton" / "0004-L.txt"
    lines = broken.read_text().splitlines()
    broken.write_text("\n".join([*lines[:8], lines[8][:100], *lines[9:]]))
    report = run(tmp_path)
    assert report.prepared.names == ["0002-L-001", "0002-L-008"]
    dropped = {item.name: (item.kind, item.line) for item in report.dropped}
    assert dropped == {
        "0002-L-002": ("nobody in it (all joints are zero)", 2),
        "0002-L-003": ("instance outside its video", 3),
        "0002-L-004": ("damaged or unusable", 4),
        "0002-L-005": ("damaged or unusable", 5),
        "0002-L-006": ("damaged or unusable", 6),
        "0003-L": ("video without labels", None),
        "0004-L": ("damaged or unusable", 9),
    }


def test_without_labels_the_message_says_where_they_go(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "0003-L.txt").write_text(pku_text(video()))
    with pytest.raises(UserError, match="a folder called label"):
        run(tmp_path)
