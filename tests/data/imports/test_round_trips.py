"""Out and in again: what comes back is what went out."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest
from own_sets import LAYOUTS, assert_same, parts, random_clips, write_set

from halpgraph.data.exports import export
from halpgraph.data.imports import import_poses
from halpgraph.errors import UserError

PARTS = [0, 1, 0, 0, 1, 1, 0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("persons", [1, 2, 3])
@pytest.mark.parametrize("form", ["pyskl", "ctrgcn"])
def test_a_set_comes_back(form: str, layout: str, persons: int, tmp_path: Path) -> None:
    clips = random_clips(LAYOUTS[layout], persons)
    own = write_set(tmp_path / "own", clips, LAYOUTS[layout], PARTS)
    said = export(own, form, tmp_path / "file")
    back = import_poses(tmp_path / "file", form, LAYOUTS[layout], tmp_path / "back")
    assert said["clips"] == len(back) == 7
    assert_same(back, clips)
    name = "xsub" if form == "pyskl" else "official"
    assert parts(back, name) == parts(own, "xsub")
    if form == "pyskl":
        assert {k: v.tolist() for k, v in back.fields.items()} == {
            k: v.tolist() for k, v in own.fields.items()
        }
    else:
        assert back.classes == ["0", "1", "2"]


@pytest.mark.parametrize("form", ["pyskl", "ctrgcn"])
def test_three_parts_and_none(form: str, tmp_path: Path) -> None:
    clips = random_clips(LAYOUTS["arms"], 1)
    own = write_set(tmp_path / "own", clips, LAYOUTS["arms"], [0, 1, 2, -1, 0, 1, 2])
    said = export(own, form, tmp_path / "file")
    back = import_poses(tmp_path / "file", form, LAYOUTS["arms"], tmp_path / "back")
    want = parts(own, "xsub")
    if form == "ctrgcn":
        assert said["notes"] == ["1 clips are in no part of split xsub and were left out"]
        del want["c3"]
    assert parts(back, next(iter(back.splits))) == want


def test_exports_overwrite_nothing_and_leave_nothing_half(tmp_path: Path) -> None:
    own = write_set(tmp_path / "own", random_clips(LAYOUTS["arms"], 1), LAYOUTS["arms"], PARTS)
    (tmp_path / "there").write_text("mine")
    for form in ("pyskl", "ctrgcn"):
        with pytest.raises(UserError, match="is there already"):
            export(own, form, tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    own.y = None
    with pytest.raises(UserError, match="no labels"):
        export(own, "ctrgcn", tmp_path / "new")
    with pytest.raises(UserError, match="did you mean 'pyskl'"):
        export(own, "pyskel", tmp_path / "new")
    with pytest.raises(UserError, match="did you mean 'xsub'"):
        export(own, "ctrgcn", tmp_path / "new", split="xsup")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own", "there"]


def test_the_pickle_asks_for_nothing_that_a_version_of_numpy_lacks(tmp_path: Path) -> None:
    own = write_set(tmp_path / "own", random_clips(LAYOUTS["arms"], 2), LAYOUTS["arms"], PARTS)
    export(own, "pyskl", tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    texts = {arg for _, arg, _ in pickletools.genops(content) if isinstance(arg, str)}
    assert {text for text in texts if "numpy" in text or "multiarray" in text} == {"numpy"}
    plain = pickle.loads(content)  # as pyskl does; the test has written it itself
    first = plain["annotations"][0]
    assert first["keypoint"].shape == (2, 1, 4, 2)
    assert first["keypoint_score"].shape == (2, 1, 4)
    first["keypoint"][0] = 0  # can be written into
    assert set(plain["split"]) == {"xsub_train", "xsub_val"}


def test_ctrgcn_has_its_own_columns_and_says_what_it_cuts(tmp_path: Path) -> None:
    clips = random_clips(LAYOUTS["kinect20"], 1)
    own = write_set(tmp_path / "own", clips, LAYOUTS["kinect20"], PARTS)
    export(own, "ctrgcn", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as found:
        assert found["x_train"].shape == (4, 300, 120)
        assert found["x_test"].shape == (3, 300, 120)
        x = found["x_test"].reshape(3, 300, 2, 20, 3)  # N, T, M, V, C
        clip = clips[1]
        assert np.array_equal(x[0, : clip.pose.shape[1], 0], clip.pose[0])
        assert not x[:, :, 1].any()
        assert found["y_test"].tolist() == np.eye(3)[[1, 1, 2]].tolist()
    longest = max(clip.pose.shape[1] for clip in clips)
    cut = sum(clip.pose.shape[1] > 2 for clip in clips)
    said = export(own, "ctrgcn", tmp_path / "cut.npz", frames=2)
    assert said["notes"] == [f"{cut} clips were cut to 2 frames (the longest has {longest})"]
    export(own, "ctrgcn", tmp_path / "longest.npz", frames=0)
    with np.load(tmp_path / "longest.npz") as found:
        assert found["x_train"].shape[1] == longest
