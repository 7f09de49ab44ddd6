"""Bad input: an error that says what instead, or a counted skip; never half a set."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_sets import SCORED, parts, random_clips
from test_formats import npz_ragged, stacked, write_folder

from halpgraph.data.clips import Clip, Prepared
from halpgraph.data.imports import FORMATS, import_poses
from halpgraph.errors import UserError
from halpgraph.layout import get_layout

NTU = get_layout("ntu25")


@pytest.fixture
def out(tmp_path: Path) -> Any:
    """A place for the set; where a test ends in an error, nothing may be left beside it."""
    (tmp_path / "sets").mkdir()
    yield tmp_path / "sets" / "out"
    left = [path.name for path in (tmp_path / "sets").iterdir()]
    assert left in ([], ["out"])
    if left:
        assert (tmp_path / "sets" / "out" / "meta.json").is_file()


def pyskl(path: Path, clips: list[Clip], lists: Any = None) -> Path:
    rows = [{"frame_dir": c.name, "label": c.label, "keypoint": c.pose} for c in clips]
    path.write_bytes(pickle.dumps({"split": lists or {}, "annotations": rows}))
    return path


def skipped(found: Prepared) -> dict[str, str]:
    return {item["name"]: item["reason"] for item in found.meta["about"]["skipped"]}


def test_bad_clips_are_skipped_and_listed(tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 2, 10)
    clips[1].pose[0, 0, 3, 1] = np.nan
    clips[2].pose = clips[2].pose[:, :0]
    clips[3].pose[:] = 0
    clips[4].pose = clips[4].pose[:, :, :20]
    clips[5].name = "c0"
    clips[6].label = 9
    clips[7].label = -1
    clips[8].pose = clips[8].pose[0]
    clips[9].pose = clips[9].pose[:0]
    path = pyskl(tmp_path / "in", clips)
    found = import_poses(path, "pyskl", NTU, out, classes=["a", "b", "c"])
    assert found.names == ["c0"]
    why = skipped(found)
    for name, words in {
        "c1": "NaN",
        "c2": "no frames",
        "c3": "nobody",
        "c4": "20 joints with 3 channels, but layout ntu25 has 25",
        "c0": "unique",
        "c6": "3 classes",
        "c7": "negative",
        "c8": "[M, T, V, C]",
        "c9": "no frames",
    }.items():
        assert words in why[name], (name, why[name])
    assert "9 clips could not be used and were left out" in found.meta["notes"]


def test_strict_makes_the_first_an_error(tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1)
    clips[2].pose[:] = 0
    with pytest.raises(UserError, match=r"^c2: nobody in it"):
        import_poses(pyskl(tmp_path / "in", clips), "pyskl", NTU, out, strict=True)


def test_nothing_usable_is_an_error(tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1)
    for clip in clips:
        clip.pose[:] = np.nan
    path = pyskl(tmp_path / "in", clips)
    with pytest.raises(UserError, match=r"no clip could be used, 7 were skipped \(c0: NaN"):
        import_poses(path, "pyskl", NTU, out)
    with pytest.raises(UserError, match="no clip could be used, 0 were skipped"):
        import_poses(pyskl(tmp_path / "none", []), "pyskl", NTU, out)
    found = import_poses(pyskl(tmp_path / "some", random_clips(NTU, 1)), "pyskl", NTU, out)
    assert len(found) == 7


def test_nan_may_mean_not_seen(tmp_path: Path, out: Path) -> None:
    clips = random_clips(SCORED, 1)
    clips[1].pose[0, 0, 3] = np.nan
    np.savez(tmp_path / "in.npz", **npz_ragged(clips))
    found = import_poses(tmp_path / "in.npz", "npz", SCORED, out, nan="zero")
    assert len(found) == 7
    assert found.clip(1).pose[0, 0, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("persons", [1, 2])
def test_another_layout_is_one_error_with_both_numbers(
    persons: int, tmp_path: Path, out: Path
) -> None:
    clips = random_clips(NTU, persons, 40)
    words = r"25 joints with 3 channels, but layout kinect20 has 20 joints with 3 .*--layout ntu25"
    with pytest.raises(UserError, match=words):
        import_poses(pyskl(tmp_path / "in", clips), "pyskl", "kinect20", out)
    write_folder(tmp_path / "agcn", clips, "data_joint", 300)
    with pytest.raises(UserError, match=words):
        import_poses(tmp_path / "agcn", "agcn", "kinect20", out)
    np.savez(tmp_path / "in.npz", **npz_ragged(clips))
    with pytest.raises(UserError, match=words):
        import_poses(tmp_path / "in.npz", "npz", "kinect20", out)
    x, y = np.ones((2, 5, 75 * persons)), np.eye(2)
    np.savez(tmp_path / "ctr.npz", x_train=x, y_train=y)
    words = rf"{75 * persons} columns a frame, no multiple of 60.*--layout ntu25"
    with pytest.raises(UserError, match=words):
        import_poses(tmp_path / "ctr.npz", "ctrgcn", "kinect20", out)
    with pytest.raises(UserError, match=r"25 joints with 3 .*arms has 4 .*\(x, y, score\)"):
        import_poses(tmp_path / "in.npz", "npz", SCORED, out)


def test_millimetres_are_told_and_mended(tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1)
    for clip in clips:
        clip.pose *= 1000
    path = pyskl(tmp_path / "in", clips)
    with pytest.raises(UserError, match=r"not in metres.*--scale 0.001"):
        import_poses(path, "pyskl", NTU, out)
    found = import_poses(path, "pyskl", NTU, out, scale=0.001)
    assert np.allclose(found.clip(0).pose[0], clips[0].pose[0] / 1000)


def test_scale_leaves_scores_alone(tmp_path: Path, out: Path) -> None:
    clips = random_clips(SCORED, 1)
    np.savez(tmp_path / "in.npz", **npz_ragged(clips))
    found = import_poses(tmp_path / "in.npz", "npz", SCORED, out, scale=0.5)
    assert np.allclose(found.clip(2).pose, clips[2].pose * [0.5, 0.5, 1])


@pytest.mark.parametrize("form", ["pyskl", "ctrgcn", "npz", "agcn", "crossclr"])
def test_truncated_and_garbage_files(form: str, tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1, 12)
    path = tmp_path / "in.npz"
    if form == "pyskl":
        pyskl(path, clips)
    elif form == "npz":
        np.savez(path, **npz_ragged(clips))
    elif form == "ctrgcn":
        x, y = np.ones((6, 40, 75), np.float32), np.zeros(6, int)
        np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    else:
        path = tmp_path / "folder"
        stem = "data_joint" if form == "agcn" else "position"
        write_folder(path, clips, stem, 50)
    file = path if path.is_file() else path / f"val_{stem}.npy"
    whole = file.read_bytes()
    for size in (0, 10, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(UserError, match=rf"{file.name}: truncated or damaged"):
            import_poses(path, form, NTU, out)
    file.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(UserError, match=rf"{file.name}: truncated or damaged"):
        import_poses(path, form, NTU, out)
    assert list(out.parent.iterdir()) == []
    file.write_bytes(whole)
    assert len(import_poses(path, form, NTU, out)) == 12


def test_a_damaged_row_far_inside_leaves_nothing(tmp_path: Path, out: Path) -> None:
    """The archive's checksum is looked at after the last row; clips were written by then."""
    x = np.random.default_rng(0).random((50, 40, 75), np.float32)
    np.savez(tmp_path / "in.npz", x_train=x, y_train=np.zeros(50, int))
    content = bytearray((tmp_path / "in.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "in.npz").write_bytes(content)
    with pytest.raises(UserError, match="truncated or damaged"):
        import_poses(tmp_path / "in.npz", "ctrgcn", NTU, out)


def test_arrays_of_objects_are_refused(tmp_path: Path, out: Path) -> None:
    ragged = np.array([np.ones((3, 25, 3)), np.ones((4, 25, 3))], object)
    np.savez(tmp_path / "in.npz", pose=ragged)
    with pytest.raises(UserError, match="Python objects"):
        import_poses(tmp_path / "in.npz", "npz", NTU, out)


class Bomb:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return open, (str(self.victim), "w")


def test_a_malicious_file_is_not_executed(tmp_path: Path, out: Path) -> None:
    bomb = Bomb(tmp_path / "victim")
    (tmp_path / "in").write_bytes(pickle.dumps({"annotations": [bomb]}))
    with pytest.raises(UserError, match="nothing was executed"):
        import_poses(tmp_path / "in", "pyskl", NTU, out)
    write_folder(tmp_path / "agcn", random_clips(NTU, 1), "data_joint", 10)
    (tmp_path / "agcn" / "val_label.pkl").write_bytes(pickle.dumps(bomb))
    with pytest.raises(UserError, match="nothing was executed"):
        import_poses(tmp_path / "agcn", "agcn", NTU, out)
    np.save(tmp_path / "agcn" / "val_data_joint.npy", np.array([bomb]), allow_pickle=True)
    with pytest.raises(UserError, match="val_data_joint"):
        import_poses(tmp_path / "agcn", "agcn", NTU, out)
    assert not (tmp_path / "victim").exists()


def test_folders_of_arrays(tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1)
    folder = tmp_path / "in"
    write_folder(folder, clips, "data_joint", 10)
    np.save(folder / "train_num_frame.npy", np.array([1, 2, 3, 4, 11]))
    np.save(folder / "val_num_frame.npy", np.array([0, 2]))
    found = import_poses(folder, "agcn", NTU, out)
    assert set(skipped(found)) == {"c4", "c5"}
    assert "11 frames are stated, its array has 10" in skipped(found)["c4"]
    np.save(folder / "val_num_frame.npy", np.array([1, 2, 3]))
    with pytest.raises(UserError, match=r"\(3,\) numbers for 2 clips"):
        import_poses(folder, "agcn", NTU, tmp_path / "new")
    (folder / "val_num_frame.npy").unlink()
    (folder / "val_label.pkl").write_bytes(pickle.dumps((["a"], [1])))
    with pytest.raises(UserError, match="1 names, 1 labels for 2 clips"):
        import_poses(folder, "agcn", NTU, tmp_path / "new")
    (folder / "val_label.pkl").write_bytes(pickle.dumps((["a", "b"], ["x", "y"])))
    with pytest.raises(UserError, match="whole numbers"):
        import_poses(folder, "agcn", NTU, tmp_path / "new")
    (folder / "val_label.pkl").unlink()
    with pytest.raises(UserError, match=r"val_label\.pkl: is missing"):
        import_poses(folder, "agcn", NTU, tmp_path / "new")
    np.save(folder / "train_data_joint.npy", stacked(clips, 10)[0])
    with pytest.raises(UserError, match=r"must be \[N, C, T, V, M\]"):
        import_poses(folder, "agcn", NTU, tmp_path / "new")
    (folder / "train_data_joint.npy").unlink()
    with pytest.raises(UserError, match=r"train_data_joint\.npy .*is missing"):
        import_poses(folder, "agcn", NTU, tmp_path / "new")


def test_lists_that_name_clips_that_are_not_there(tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1)
    clips[6].pose[:] = 0  # skipped, so not counted as not there
    lists = {"a_train": ["c0", "gone", "c6"], "a_val": ["c1", "away"], "b_train": ["x"]}
    lists |= {"b_val": ["c1"]}
    path = pyskl(tmp_path / "in", clips, lists)
    found = import_poses(path, "pyskl", NTU, out)
    assert parts(found, "a") == {"c0": 0, "c1": 1, "c2": -1, "c3": -1, "c4": -1, "c5": -1}
    assert list(found.splits) == ["a"]
    notes = found.meta["notes"]
    assert "split a names 2 clips that are not there (gone)" in notes
    assert "split b is left out: no clip of one of its parts is there" in notes
    clips[6].pose[:] = 1
    path = pyskl(tmp_path / "in", clips, lists)
    with pytest.raises(UserError, match="split a names 2 clips that are not there"):
        import_poses(path, "pyskl", NTU, tmp_path / "new", strict=True)
    path = pyskl(tmp_path / "in", clips, {"train": ["c0", "c1"], "test": ["c1"]})
    with pytest.raises(UserError, match="split official: c1 is in two parts"):
        import_poses(path, "pyskl", NTU, tmp_path / "new")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("subject", "must be FIELD=VALUES"),
        ("subjct=1", "no field subjct - did you mean 'subject'"),
        ("subject=7", "no clip has subject 7"),
        ("subject=one", "neither a number nor a range"),
        ("subject=0-99999999999", "no clip is left for testing"),
    ],
)
def test_splits_that_cannot_be_made(split: str, message: str, tmp_path: Path, out: Path) -> None:
    clips = random_clips(NTU, 1)
    content = npz_ragged(clips) | {"subject": np.array([0, 0, 1, 1, 2, 2, 3])}
    np.savez(tmp_path / "in.npz", **content)
    with pytest.raises(UserError, match=message):
        import_poses(tmp_path / "in.npz", "npz", NTU, out, split=[split])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_train": np.ones((3, 2))}, "3 labels in y_train for 2 clips"),
        ({"y_train": np.ones((2, 2, 2))}, "one-hot"),
        ({"y_train": np.array([0.5, 1.5])}, "one-hot"),
        ({"y_train": None}, "y_train is missing"),
        ({"x_train": np.ones((2, 75))}, r"must be \[N, T, M V C\]"),
        ({"x_train": None}, "needs x_train"),
        ({"names_train": np.array(["a"])}, "1 names in names_train for 2 clips"),
        ({"x_test": np.ones((1, 5, 75)), "y_test": np.eye(3)[:1]}, "2 and 3 classes"),
    ],
)
def test_ctrgcn_that_does_not_fit(change: Any, message: str, tmp_path: Path, out: Path) -> None:
    content: Any = {"x_train": np.ones((2, 5, 75)), "y_train": np.eye(2)} | change
    np.savez(tmp_path / "in.npz", **{k: v for k, v in content.items() if v is not None})
    with pytest.raises(UserError, match=message):
        import_poses(tmp_path / "in.npz", "ctrgcn", NTU, out)


def test_rows_that_are_not_one_hot_are_skipped(tmp_path: Path, out: Path) -> None:
    y = np.array([[1, 0], [0, 0], [1, 1], [0, 2]])
    np.savez(tmp_path / "in.npz", x_train=np.ones((4, 5, 75)), y_train=y)
    found = import_poses(tmp_path / "in.npz", "ctrgcn", NTU, out)
    assert len(found) == 1
    assert all("not one-hot" in reason for reason in skipped(found).values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_ptr": np.array([0, 3])}, "rise from 0 to"),
        ({"frame_ptr": np.array([0.0, 3.0])}, "whole numbers"),
        ({"frame_ptr": None}, "needs pose, or frames and frame_ptr"),
        ({"frames": np.ones(3)}, r"frames must be \[S, V, C\]"),
        ({"pose": np.ones((2, 25, 3))}, r"pose must be \[n, T, V, C\]"),
        ({"y": np.ones(3, int)}, "y must have one entry a clip"),
        ({"y": np.ones(7)}, "y must be whole numbers or texts"),
        ({"names": np.array(["a"])}, "names must have one entry a clip"),
        ({"extra": np.ones((7, 2))}, "extra: a field must be 7 whole numbers"),
        ({"train": np.array([0, 7])}, "train must be positions of clips, 0 to 6"),
    ],
)
def test_npz_that_does_not_fit(change: Any, message: str, tmp_path: Path, out: Path) -> None:
    content = npz_ragged(random_clips(NTU, 1)) | change
    np.savez(tmp_path / "in.npz", **{k: v for k, v in content.items() if v is not None})
    with pytest.raises(UserError, match=message):
        import_poses(tmp_path / "in.npz", "npz", NTU, out)


@pytest.mark.parametrize("content", [3, {"annotations": 3}, {"split": [], "annotations": []},
                                     {"split": {"a": 3}, "annotations": []}])  # fmt: skip
def test_pickles_of_another_form(content: Any, tmp_path: Path, out: Path) -> None:
    (tmp_path / "in").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"not a pyskl pickle|must be a list of names"):
        import_poses(tmp_path / "in", "pyskl", NTU, out)


def test_annotations_of_another_form_are_skipped(tmp_path: Path, out: Path) -> None:
    good = {"frame_dir": "good", "label": 0, "keypoint": np.ones((1, 2, 25, 3))}
    rows = [good, 3, {"frame_dir": "a"}, good | {"frame_dir": "b", "total_frames": 3}]
    rows += [good | {"frame_dir": "c", "label": "walk"}]
    rows += [good | {"frame_dir": "d", "keypoint_score": np.ones((1, 2, 24))}]
    rows += [good | {"frame_dir": "e", "keypoint": "none"}]
    (tmp_path / "in").write_bytes(pickle.dumps({"annotations": rows}))
    found = import_poses(tmp_path / "in", "pyskl", NTU, out)
    assert found.names == ["good"]
    assert set(skipped(found)) == {"annotation1", "a", "b", "c", "d", "e"}
    assert skipped(found)["a"] == "no keypoint in it"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "pyskel"}, "did you mean 'pyskl'"),
        ({"layout": "ntu26"}, "did you mean 'ntu25'"),
        ({"scale": 0}, "above 0"),
        ({"scale": float("nan")}, "above 0"),
        ({"fps": -1}, "above 0"),
        ({"normalise": "box"}, "none or image"),
        ({"normalise": "image"}, "size of its image is not known"),
        ({"nan": "drop"}, "skip or zero"),
        ({"groups": "subject"}, "no field subject"),
        ({"path": "none"}, "no such file"),
        ({"classes": "none.txt"}, "cannot be read"),
        ({"dtype": "int8"}, "float32 or float16"),
    ],
)
def test_settings_that_cannot_be(settings: Any, message: str, tmp_path: Path, out: Path) -> None:
    path = pyskl(tmp_path / "in", random_clips(NTU, 1))
    full = {"path": path, "format": "pyskl", "layout": "ntu25"} | settings
    with pytest.raises(UserError, match=message):
        import_poses(full.pop("path"), full.pop("format"), full.pop("layout"), out, **full)


def test_classes_that_do_not_fit(tmp_path: Path, out: Path) -> None:
    np.savez(tmp_path / "in.npz", x_train=np.ones((2, 5, 75)), y_train=np.eye(2))
    (tmp_path / "names").write_text("walk\n\nrun\njump\n")
    with pytest.raises(UserError, match="3 names for 2 classes"):
        import_poses(tmp_path / "in.npz", "ctrgcn", NTU, out, classes=tmp_path / "names")
    content = npz_ragged(random_clips(NTU, 1)) | {"y": np.array(list("abababa"))}
    np.savez(tmp_path / "own.npz", **content)
    with pytest.raises(UserError, match="texts already"):
        import_poses(tmp_path / "own.npz", "npz", NTU, out, classes=["x", "y"])


def test_every_format_refuses_what_is_not_its_own(tmp_path: Path, out: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    for form in FORMATS:
        for name in ("folder", "file"):
            with pytest.raises(UserError):
                import_poses(tmp_path / name, form, NTU, out)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = pyskl(tmp_path / "in", random_clips(NTU, 1))
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="is there already"):
        import_poses(path, "pyskl", NTU, tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []
