from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halpgraph.data.prepare import prepare
from halpgraph.errors import UserError
from tests.data.readers.raw_files import ucla_json, utd_mat


def test_real_nw_ucla(real_data: Path, tmp_path: Path) -> None:
    raw = real_data / "skeleton" / "nw-ucla.zip"
    if not raw.is_file():
        pytest.skip("NW-UCLA is not at hand")
    report = prepare("nw_ucla", raw, tmp_path / "out", quiet=True)
    found = report.prepared
    assert len(found) == 1484
    assert report.dropped == []
    assert [(c.name, c.train, c.test, c.ok) for c in report.splits] == [("xview", 1020, 464, True)]
    assert found.splits["xview"].inner == "view"
    assert (int(found.num_frames.min()), int(found.num_frames.max())) == (1, 201)
    assert float(found.num_frames.mean()) == pytest.approx(39.4, abs=0.05)
    assert int((found.num_frames < 10).sum()) == 10
    assert report.notes == ["2 clips one frame only (kept)"]
    assert found.y is not None
    assert len(np.unique(found.y)) == len(found.classes) == 10
    assert sorted(set(found.fields["view"].tolist())) == [1, 2, 3]


def test_real_utd_mhad(real_data: Path, tmp_path: Path) -> None:
    raw = real_data / "skeleton" / "utd-mhad.zip"
    if not raw.is_file():
        pytest.skip("UTD-MHAD is not at hand")
    report = prepare("utd_mhad", raw, tmp_path / "out", quiet=True)
    found = report.prepared
    assert len(found) == 861
    assert report.dropped == []
    assert [(c.name, c.train, c.test, c.ok) for c in report.splits] == [("xsub", 431, 430, True)]
    assert (int(found.num_frames.min()), int(found.num_frames.max())) == (41, 125)
    assert {"a8_s1_t4", "a23_s6_t4", "a27_s8_t4"}.isdisjoint(found.names)
    assert found.y is not None
    assert np.bincount(found.y).tolist().count(32) == 24


def test_nw_ucla_faults(tmp_path: Path) -> None:
    files = {
        "a01_s01_e00_v01.json": ucla_json("x", 5, 1),
        "a08_s02_e01_v03.json": ucla_json("x", 1, 7),
        "a02_s01_e00_v01.json": '{"skeletons": [[[1',
        "a03_s01_e00_v01.json": ucla_json("x", 5, 4),
        "a04_s01_e00_v01.json": '{"label": 4}',
        "a07_s01_e00_v01.json": ucla_json("x", 5, 7),
        "a05_s01_e00_v01.json": ucla_json("x", 0, 5),
        "a06_s01_e00_v01.json": '{"label": 6,\n"skeletons": [[1, 2], [3]]}',
        "a09_s01_e00_v01.json": '{"label": 8, "skeletons": null}',
        "notes.json": "[]",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    report = prepare("nw_ucla", tmp_path, tmp_path / "out", jobs=1, quiet=True)
    assert report.prepared.names == ["a01_s01_e00_v01", "a08_s02_e01_v03"]
    assert report.prepared.fields["subject"].tolist() == [1, 2]
    assert report.prepared.splits["xview"].part.tolist() == [0, 1]
    reasons = {item.name[:3]: item.reason for item in report.dropped}
    assert reasons.keys() == {"a02", "a03", "a04", "a05", "a06", "a07", "a09"}
    assert "line 1: not JSON" in reasons["a02"]
    assert "label 4, but the name says action 3" in reasons["a03"]
    assert "no action 7" in reasons["a07"]


def test_utd_mhad_faults(tmp_path: Path) -> None:
    files = {
        "a1_s1_t1_skeleton.mat": utd_mat(5),
        "a27_s2_t4_skeleton.mat": utd_mat(6),
        "a3_s1_t1_skeleton.mat": utd_mat(5)[:200],
        "a4_s1_t1_skeleton.mat": b"no matlab file",
        "a5_s1_t1_skeleton.mat": utd_mat(5, shape=(25, 3)),
        "a28_s1_t1_skeleton.mat": utd_mat(5),
        "a6_s1_t1_skeleton.mat": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    report = prepare("utd_mhad", tmp_path, tmp_path / "out", jobs=1, quiet=True)
    assert report.prepared.names == ["a1_s1_t1", "a27_s2_t4"]
    assert report.prepared.y is not None
    assert report.prepared.y.tolist() == [0, 26]
    assert {item.name for item in report.dropped} == {
        "a3_s1_t1",
        "a4_s1_t1",
        "a5_s1_t1",
        "a28_s1_t1",
        "a6_s1_t1",
    }


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a1_s1_t1_skeleton.mat").write_bytes(b"")
    with pytest.raises(UserError, match="no clip could be used"):
        prepare("utd_mhad", tmp_path, tmp_path / "out", jobs=1, quiet=True)
    assert not (tmp_path / "out").exists()
