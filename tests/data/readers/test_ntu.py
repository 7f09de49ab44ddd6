from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from halpgraph.data.prepare import PrepareReport, prepare
from halpgraph.data.readers import get_reader
from halpgraph.data.readers._actions import NTU, PKU
from halpgraph.data.readers._splits import (
    SPLITS_60,
    SPLITS_120,
    TRAIN_60,
    TRAIN_120,
    TRAIN_CAMERAS,
    TRAIN_SETUPS,
)
from halpgraph.data.readers.ntu import CONVENTIONS, LISTED, NAME
from halpgraph.data.readers.ntu_missing import missing
from tests.data.readers.raw_files import ID, frames_of, moving, skeleton_text, write_ntu

NAMES = [
    f"S{s:03d}C{c:03d}P{p:03d}R001A{a:03d}"
    for s, c, p, a in [(1, 1, 1, 1), (1, 2, 3, 60), (2, 3, 2, 50), (17, 1, 38, 8), (3, 2, 40, 9)]
]


def run(tmp_path: Path, name: str = "ntu60", **settings: object) -> PrepareReport:
    return prepare(name, tmp_path / "raw", tmp_path / "out", jobs=1, quiet=True, **settings)  # type: ignore[arg-type]


def test_the_missing_lists_have_the_published_sizes() -> None:
    assert len(missing(17)) == 302
    assert len(missing()) == 535
    assert missing(17) < missing()
    assert all(NAME.fullmatch(f"{name}.skeleton") for name in missing())


@pytest.mark.parametrize(
    ("file", "setups"),
    [
        ("NTU_RGBD_samples_with_missing_skeletons.txt", 17),
        ("NTU_RGBD120_samples_with_missing_skeletons.txt", 32),
        ("pyskl_ntu120_missing.txt", 32),
    ],
)
def test_the_missing_lists_are_the_published_ones(file: str, setups: int, real_data: Path) -> None:
    path = real_data / "skeleton" / "ntu-missing-lists" / file
    if not path.is_file():
        pytest.skip("the published lists are not at hand")
    words = path.read_text().split()
    assert {w for w in words if NAME.fullmatch(f"{w}.skeleton")} == missing(setups)


def test_subjects_cameras_and_setups_of_the_splits() -> None:
    said = "1 2 4 5 8 9 13 14 15 16 17 18 19 25 27 28 31 34 35 38"
    more = (
        "45 46 47 49 50 52 53 54 55 56 57 58 59 70 74 78 80 81 82 83 84 85 86 89 91 92 93 94 95 97 "
        "98 100 103"
    )
    assert set(map(int, said.split())) == TRAIN_60
    assert set(map(int, (said + " " + more).split())) == TRAIN_120
    assert (len(TRAIN_60), len(TRAIN_120)) == (20, 53)
    assert set(TRAIN_CAMERAS) == {2, 3}
    assert sorted(TRAIN_SETUPS) == list(range(2, 33, 2))


def test_published_sizes_add_up() -> None:
    for splits, total, files in ((SPLITS_60, 56578, 56880), (SPLITS_120, 113945, 114480)):
        for rule in splits.values():
            assert rule.expected is not None
            assert sum(rule.expected) == total
        assert total == files - len(missing(17 if total == 56578 else 32))


def test_actions_have_names() -> None:
    assert (len(NTU), len(set(NTU)), len(PKU), len(set(PKU))) == (120, 120, 51, 51)
    assert (NTU[0], NTU[59], NTU[119]) == ("drink water", "walk apart", "rock-paper-scissors")
    assert len(get_reader("ntu60").classes) == 60


def test_fields_labels_and_splits_come_from_the_names(tmp_path: Path) -> None:
    write_ntu(tmp_path / "raw" / "below", NAMES)
    report = run(tmp_path)
    found = report.prepared
    assert found.names == sorted(NAMES)
    at = found.names.index("S001C002P003R001A060")
    assert {key: int(value[at]) for key, value in found.fields.items()} == {
        "setup": 1,
        "camera": 2,
        "subject": 3,
        "replication": 1,
        "action": 60,
    }
    assert found.y is not None
    assert int(found.y[at]) == 59
    train = {name: int(name[9:12]) in TRAIN_60 for name in NAMES}
    parts = found.splits["xsub"].part
    assert {name: bool(parts[k] == 0) for k, name in enumerate(found.names)} == train
    assert found.splits["xsub"].inner == "subject"
    cameras = found.fields["camera"]
    np.testing.assert_array_equal(found.splits["xview"].part, np.where(cameras == 1, 1, 0))
    assert found.splits["xview"].inner == "camera"
    assert all(not check.ok for check in report.splits)
    assert any("a part of the set" in note for note in report.notes)
    assert any(note.startswith("split xsub differs: 3 train and 2 test") for note in report.notes)


def test_xset_of_120(tmp_path: Path) -> None:
    names = ["S018C001P041R001A061", "S019C001P045R001A120", "S001C001P001R001A001"]
    write_ntu(tmp_path / "raw", names)
    found = run(tmp_path, "ntu120").prepared
    assert dict(zip(found.names, found.splits["xset"].part.tolist(), strict=True)) == {
        names[2]: 1,
        names[0]: 0,
        names[1]: 1,
    }
    assert found.splits["xset"].inner == "setup"


def test_ntu60_takes_its_own_setups_only(tmp_path: Path) -> None:
    write_ntu(tmp_path / "raw", [NAMES[0], "S018C001P041R001A061"])
    report = run(tmp_path)
    assert report.prepared.names == NAMES[:1]
    assert any("1 files of setups above 17" in note for note in report.notes)


def test_listed_samples_are_dropped_and_counted(tmp_path: Path) -> None:
    listed = sorted(missing(17))[:2]
    write_ntu(tmp_path / "raw", [*NAMES, *listed])
    report = run(tmp_path)
    assert [item.name for item in report.dropped] == listed
    assert {"what": f"dropped: {LISTED}", "count": 2} in report.table
    assert {"what": "files found", "count": 7} in report.table
    assert {"what": "clips read", "count": 5} in report.table


def test_damaged_files_are_reported_with_their_line_and_skipped(tmp_path: Path) -> None:
    raw = write_ntu(tmp_path / "raw", NAMES)
    whole = (raw / f"{NAMES[0]}.skeleton").read_bytes()
    lines = whole.split(b"\r\n")
    faults = {
        "S002C001P001R001A001": b"\r\n".join(lines[:50]),
        "S002C001P001R001A002": b"3\r\n0\r\n0\r\n0\r\n",
        "S002C001P001R001A003": b"\x89\x00\xff" * 99,
        "S002C001P001R001A004": whole.replace(b"\r\n25\r\n", b"\r\n20\r\n", 1),
        "S002C001P001R001A005": b"",
        "S002C001P001R001A061": whole,
    }
    for name, content in faults.items():
        (raw / f"{name}.skeleton").write_bytes(content)
    report = run(tmp_path)
    assert report.prepared.names == sorted(NAMES)
    dropped = {item.name: item for item in report.dropped}
    assert dropped.keys() == faults.keys()
    assert dropped["S002C001P001R001A001"].line == 50
    assert dropped["S002C001P001R001A004"].line == 4
    assert dropped["S002C001P001R001A002"].kind == "no body in it"
    assert "no action 61" in dropped["S002C001P001R001A061"].reason
    kinds = Counter(item.kind for item in report.dropped)
    assert kinds["damaged or unusable"] == 5
    told = report.prepared.meta["about"]["dropped"]
    assert [item["name"] for item in told] == sorted(faults)


def test_nan_joints_are_not_seen_and_more_bodies_are_told(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    xyz = moving(20, 1)
    xyz[3, 5] = np.nan
    bodies = [(ID + k, range(20), moving(20, k + 5)) for k in (1, 2)]
    text = skeleton_text(frames_of((ID, range(20), xyz), *bodies, count=20))
    (raw / f"{NAMES[0]}.skeleton").write_text(text.replace("nan", "NaN"), newline="")
    report = run(tmp_path)
    clip = report.prepared.clip(0)
    assert clip.pose.shape == (2, 20, 25, 3)
    said = {row["what"]: row["count"] for row in report.table}
    assert said["of which had more than two bodies"] == 1
    assert sum(count for what, count in said.items() if "not numbers" in what) == 1


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_convention_is_kept_in_the_set(tmp_path: Path, convention: str) -> None:
    write_ntu(tmp_path / "raw", NAMES, count=16)
    found = run(tmp_path, convention=convention).prepared
    assert found.meta["convention"] == convention
    assert found.meta["about"]["convention"] == CONVENTIONS[convention][1]
    assert len(found) == 5
    assert set(found.num_frames.tolist()) <= set(range(1, 17))  # nothing is padded


def test_a_folder_of_zips_is_read_in_place(tmp_path: Path) -> None:
    import zipfile

    raw = write_ntu(tmp_path / "files", NAMES)
    (tmp_path / "raw").mkdir()
    for number, part in enumerate((NAMES[:2], NAMES[2:])):
        with zipfile.ZipFile(tmp_path / "raw" / f"{number}.zip", "w") as archive:
            for name in part:
                archive.write(raw / f"{name}.skeleton", f"nturgb+d_skeletons/{name}.skeleton")
    plain = prepare("ntu60", raw, tmp_path / "plain", jobs=1, quiet=True).prepared
    zipped = run(tmp_path).prepared
    assert zipped.names == plain.names
    np.testing.assert_array_equal(zipped.frames, plain.frames)
