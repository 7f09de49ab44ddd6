"""Each format, from files written here the way its authors write them."""

from __future__ import annotations

import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_sets import LAYOUTS, SCORED, assert_same, parts, random_clips

from halpgraph.data.clips import Clip
from halpgraph.data.imports import import_poses
from halpgraph.layout import get_layout

NTU = get_layout("ntu25")


def stacked(clips: list[Clip], frames: int) -> np.ndarray:
    """Return clips as [N, C, T, V, M], padded with zeros."""
    persons, _, joints, channels = clips[0].pose.shape
    out = np.zeros((len(clips), channels, frames, joints, persons), np.float32)
    for i, clip in enumerate(clips):
        out[i, :, : clip.pose.shape[1]] = clip.pose.transpose(3, 1, 2, 0)
    return out


def write_folder(folder: Path, clips: list[Clip], stem: str, frames: int) -> None:
    folder.mkdir()
    for part, own in (("train", clips[:5]), ("val", clips[5:])):
        np.save(folder / f"{part}_{stem}.npy", stacked(own, frames))
        names = [f"{clip.name}.skeleton" for clip in own]
        labels = [clip.label for clip in own]
        (folder / f"{part}_label.pkl").write_bytes(pickle.dumps((names, labels), 2))


@pytest.mark.parametrize("persons", [1, 2])
@pytest.mark.parametrize("lengths", [True, False])
def test_agcn(persons: int, lengths: bool, tmp_path: Path) -> None:
    clips = random_clips(NTU, persons)
    for i, clip in enumerate(clips):
        clip.name = f"S001C00{i % 3 + 1}P00{i + 1}R002A00{clip.label}"
    write_folder(tmp_path / "in", clips, "data_joint", 300)
    if lengths:  # the arrays are filled up by repeating the clip
        for part, own in (("train", clips[:5]), ("val", clips[5:])):
            counts = np.array([clip.pose.shape[1] for clip in own])
            np.save(tmp_path / "in" / f"{part}_num_frame.npy", counts)
            array = np.load(tmp_path / "in" / f"{part}_data_joint.npy")
            for i, count in enumerate(counts):
                array[i] = array[i][:, np.arange(300) % count]
            np.save(tmp_path / "in" / f"{part}_data_joint.npy", array)
    found = import_poses(tmp_path / "in", "agcn", "ntu25", tmp_path / "out", groups="subject")
    assert_same(found, clips)
    assert list(parts(found, "official").values()) == [0] * 5 + [1] * 2
    assert found.splits["official"].inner == "subject"
    assert found.fields["subject"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.fields["view"].tolist() == [1, 2, 3, 1, 2, 3, 1]
    assert found.fields["setup"].tolist() == [1] * 7
    assert any("no num_frame file" in note for note in found.meta["notes"]) != lengths


@pytest.mark.parametrize("label", ["pkl", "npy"])
def test_crossclr(label: str, tmp_path: Path) -> None:
    clips = random_clips(NTU, 2)
    write_folder(tmp_path / "in", clips, "position", 50)
    if label == "npy":
        for part, own in (("train", clips[:5]), ("val", clips[5:])):
            (tmp_path / "in" / f"{part}_label.pkl").unlink()
            labels = np.array([[clip.label] for clip in own])
            np.save(tmp_path / "in" / f"{part}_label.npy", labels)
        for i, clip in enumerate(clips):
            clip.name = f"train{i:06d}" if i < 5 else f"val{i - 5:06d}"
    found = import_poses(tmp_path / "in", "crossclr", "ntu25", tmp_path / "out")
    assert_same(found, clips)
    assert list(parts(found, "official").values()) == [0] * 5 + [1] * 2


def test_pyskl_in_two_dimensions(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    xy = random.uniform(1, 100, (2, 6, 4, 2)).astype(np.float16)
    score = random.uniform(0.1, 1, (2, 6, 4)).astype(np.float16)
    score[0, 2, 3] = 0.01  # of half precision, which is a little more
    row = {"frame_dir": "v", "label": 1, "total_frames": 6, "keypoint": xy, "keypoint_score": score}
    row |= {"img_shape": (100, 200), "original_shape": (100, 200)}
    lists = {"train1": ["v"], "test1": ["w"], "other": ["v"]}
    other = row | {"frame_dir": "w"}
    content = {"split": lists, "annotations": [row, other]}
    (tmp_path / "in").write_bytes(pickle.dumps(content))
    found = import_poses(tmp_path / "in", "pyskl", SCORED, tmp_path / "raw")
    want = np.concatenate([xy, score[..., None]], 3).astype(np.float32)
    want[0, 2, 3] = 0
    assert np.array_equal(found.clip(0).pose, want)
    assert parts(found, "1") == {"v": 0, "w": 1}
    assert any("part of no split: other" in note for note in found.meta["notes"])
    assert not found.fields

    found = import_poses(tmp_path / "in", "pyskl", SCORED, tmp_path / "unit", normalise="image")
    image = want.copy()
    image[..., 0], image[..., 1] = (want[..., 0] - 100) / 100, (want[..., 1] - 50) / 50
    image[0, 2, 3] = 0
    assert np.allclose(found.clip(1).pose, image, atol=1e-6)


def test_pyskl_lists_of_three_parts_and_plain_annotations(tmp_path: Path) -> None:
    clips = random_clips(NTU, 1, 4)
    rows = [{"frame_dir": c.name, "label": c.label, "keypoint": c.pose} for c in clips]
    lists = {"sub_train": ["c0", "c3"], "sub_val": ["c1"], "sub_test": ["c2"]}
    (tmp_path / "in").write_bytes(pickle.dumps({"split": lists, "annotations": rows}))
    found = import_poses(tmp_path / "in", "pyskl", NTU, tmp_path / "out")
    assert parts(found, "sub") == {"c0": 0, "c1": 2, "c2": 1, "c3": 0}
    (tmp_path / "list").write_bytes(pickle.dumps(rows))
    found = import_poses(tmp_path / "list", "pyskl", NTU, tmp_path / "out2")
    assert_same(found, clips)
    assert not found.splits


def test_ctrgcn_as_published_without_names(tmp_path: Path) -> None:
    clips = random_clips(NTU, 2)
    x = np.zeros((7, 300, 150), np.float32)
    for i, clip in enumerate(clips):
        for person in range(2):
            for joint in range(25):
                at = person * 75 + joint * 3
                x[i, : clip.pose.shape[1], at : at + 3] = clip.pose[person, :, joint]
    y = np.eye(3)[[clip.label or 0 for clip in clips]]
    np.savez(tmp_path / "in.npz", x_train=x[:5], y_train=y[:5], x_test=x[5:], y_test=y[5:])
    found = import_poses(tmp_path / "in.npz", "ctrgcn", "ntu25", tmp_path / "out")
    for i, clip in enumerate(clips):
        clip.name = f"train{i:06d}" if i < 5 else f"test{i - 5:06d}"
    assert_same(found, clips)


def npz_padded(clips: list[Clip]) -> dict[str, np.ndarray]:
    pose = stacked(clips, 12).transpose(0, 4, 2, 3, 1)  # [n, M, T, V, C]
    pose[:, :, 9:] = 7  # num_frames says that this is nothing
    return {"pose": pose, "num_frames": np.array([c.pose.shape[1] for c in clips])}


def npz_one_person(clips: list[Clip]) -> dict[str, np.ndarray]:
    made = npz_padded(clips)
    return made | {"pose": np.asfortranarray(made["pose"][:, 0])}


def npz_ragged(clips: list[Clip]) -> dict[str, np.ndarray]:
    frames = np.concatenate([c.pose.transpose(1, 0, 2, 3) for c in clips])  # [S, M, V, C]
    ptr = np.cumsum([0, *(c.pose.shape[1] for c in clips)])
    return {"frames": frames[:, 0] if frames.shape[1] == 1 else frames, "frame_ptr": ptr}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("make", "persons"), [(npz_padded, 2), (npz_one_person, 1), (npz_ragged, 1), (npz_ragged, 3)]
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_own_npz(
    make: Callable[..., dict[str, np.ndarray]],
    persons: int,
    save: Callable[..., None],
    layout: str,
    tmp_path: Path,
) -> None:
    clips = random_clips(LAYOUTS[layout], persons)
    content = make(clips) | {"y": np.array([c.label for c in clips])}
    content |= {"names": np.array([c.name for c in clips]), "classes": np.array(["a", "b", "c"])}
    content |= {"subject": np.arange(7) // 2, "site": np.array(["x", "y", "x", "y", "x", "y", "x"])}
    content |= {"train": np.array([0, 1, 2]), "test": np.array([4, 5])}
    save(tmp_path / "in.npz", **content)
    found = import_poses(
        tmp_path / "in.npz", "npz", LAYOUTS[layout], tmp_path / "out", split=["site=y"]
    )
    assert_same(found, clips)
    assert found.classes == ["a", "b", "c"]
    assert found.fields["subject"].tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert list(parts(found, "official").values()) == [0, 0, 0, -1, 1, 1, -1]
    assert list(parts(found, "site").values()) == [1, 0, 1, 0, 1, 0, 1]
    assert found.splits["site"].inner == "site"
    assert found.meta["about"]["values"] == {"site": ["x", "y"]}


def test_npz_labels_may_be_texts_or_missing(tmp_path: Path) -> None:
    clips = random_clips(SCORED, 1)
    plain = npz_ragged(clips)
    np.savez(tmp_path / "a.npz", **plain)
    found = import_poses(tmp_path / "a.npz", "npz", SCORED, tmp_path / "a")
    assert found.y is None
    assert found.names[0] == "clip000000"
    np.savez(tmp_path / "b.npz", y=np.array(list("bacbacb")), **plain)
    found = import_poses(tmp_path / "b.npz", "npz", SCORED, tmp_path / "b")
    assert found.classes == ["a", "b", "c"]
    assert found.y is not None
    assert found.y.tolist() == [1, 0, 2, 1, 0, 2, 1]
    np.savez(tmp_path / "c.npz", y=np.array(list("bacbacb")), classes=list("cba"), **plain)
    found = import_poses(tmp_path / "c.npz", "npz", SCORED, tmp_path / "c")
    assert found.y is not None
    assert found.y.tolist() == [1, 2, 0, 1, 2, 0, 1]


def test_a_folder_of_npz(tmp_path: Path) -> None:
    clips = random_clips(SCORED, 2)
    (tmp_path / "in").mkdir()
    for clip in clips:
        pose = clip.pose if clip.pose[1:].any() else clip.pose[0]
        path = tmp_path / "in" / f"{clip.name}.npz"
        np.savez(path, pose=pose, y=clip.label, subject=clip.fields["subject"])
    found = import_poses(tmp_path / "in", "npz", SCORED, tmp_path / "out", split=["subject=0-1"])
    assert_same(found, clips)
    assert list(parts(found, "subject").values()) == [0, 0, 0, 0, 1, 1, 1]


def test_ctrgcn_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    x = np.zeros((300, 300, 150), np.float32)  # 54 MB
    x[:, :3] = 1
    np.savez_compressed(tmp_path / "in.npz", x_train=x, y_train=np.zeros(300, int))
    size = x.nbytes
    del x
    tracemalloc.start()
    try:
        found = import_poses(tmp_path / "in.npz", "ctrgcn", NTU, tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == 300
    assert peak < size / 5
