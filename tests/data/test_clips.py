"""Prepared sets: what is written is read, what is wrong is named, nothing half-written is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import small_clips
from torch.nn.functional import interpolate

from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Clip, Prepared, Split, read_prepared
from halpgraph.data.placement import find_placement
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.errors import RunError, UserError
from halpgraph.layout import get_layout

LAYOUT = get_layout("kinect20")


def write(folder: Path, clips: list[Clip], **options: Any) -> Prepared:
    with ClipWriter(folder, "sway", LAYOUT, ["slow", "quick"], **options) as writer:
        for clip in clips:
            writer.add(clip)
        part = np.arange(len(clips)) % 2
        return writer.finish({"odd": Split(part.astype(np.int64), "subject")}, ["a note"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_round_trip(dtype: str, tmp_path: Path) -> None:
    clips = small_clips(9, persons=2)
    clips[4].pose[[0, 1]] = clips[4].pose[[1, 0]]  # nobody in the first slot
    write(tmp_path / "set", clips, dtype=dtype)
    found = read_prepared(tmp_path / "set", verify=True)
    assert found.names == [clip.name for clip in clips]
    for i, clip in enumerate(clips):
        again = found.clip(i)
        slots = again.pose.shape[0]
        tolerance = 0 if dtype == "float32" else 4e-3
        np.testing.assert_allclose(again.pose, clip.pose[:slots], atol=tolerance)
        assert not clip.pose[slots:].any()
        assert (again.label, again.fields) == (clip.label, clip.fields)
    assert found.splits["odd"].inner == "subject"
    assert found.splits["odd"].positions()["test"].tolist() == [1, 3, 5, 7]
    bodies = sum(int(body.any()) for clip in clips for body in clip.pose)
    assert len(found.person) == bodies  # who is never there takes no room


def change(part: Any) -> Callable[[Clip], None]:
    def work(clip: Clip) -> None:
        clip.pose = part(clip.pose.copy())

    return work


def nan(pose: Any) -> Any:
    pose[0, 3, 2] = np.nan
    return pose


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (change(lambda p: p[:, :, :19]), "19 joints .* layout kinect20 has 20"),
        (change(lambda p: p[..., :2]), "2 channels"),
        (change(nan), "NaN or infinite joints .*frame 3"),
        (change(lambda p: p[:, :0]), "no frames"),
        (change(np.zeros_like), "nobody in it"),
        (change(lambda p: p[0]), r"\[M, T, V, C\]"),
        (lambda clip: setattr(clip, "label", -1), "negative"),
        (lambda clip: setattr(clip, "label", 2), "label 2, but there are 2 classes"),
        (lambda clip: setattr(clip, "name", "clip0"), "unique"),
    ],
)
def test_a_bad_clip_is_named_and_the_set_goes_on(
    spoil: Callable[[Clip], None], words: str, tmp_path: Path
) -> None:
    clips = small_clips(4)
    spoil(clips[2])
    with ClipWriter(tmp_path / "set", "sway", LAYOUT, ["slow", "quick"]) as writer:
        for i, clip in enumerate(clips):
            if i == 2:
                with pytest.raises(UserError, match=words):
                    writer.add(clip)
            else:
                writer.add(clip)
        assert len(writer.finish()) == 3


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda clips: setattr(clips[1], "label", None), "1 clips have no label"),
        (lambda clips: clips[1].fields.pop("view"), "field view is missing"),
        (lambda clips: [setattr(c, "pose", c.pose * 1000) for c in clips], "--scale 0.001"),
        (lambda clips: clips.clear(), "no clip could be used"),
    ],
)
def test_a_bad_set_leaves_nothing(
    spoil: Callable[[list[Clip]], Any], words: str, tmp_path: Path
) -> None:
    clips = small_clips(4)
    spoil(clips)
    with pytest.raises(UserError, match=words):
        write(tmp_path / "set", clips)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(RunError, match="No space left"):
        write(tmp_path / "set", small_clips(4))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write(tmp_path / "set", small_clips(4))
    with pytest.raises(UserError, match="is there already"):
        write(tmp_path / "set", small_clips(4))


@pytest.mark.parametrize("kind", ["cut", "changed", "gone", "version", "other"])
def test_damage_is_found(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "set", small_clips(4))
    frames, meta = tmp_path / "set" / "frames.bin", tmp_path / "set" / "meta.json"
    content = bytearray(frames.read_bytes())
    if kind == "cut":
        frames.write_bytes(content[:-8])
    elif kind == "changed":
        content[40] ^= 1
        frames.write_bytes(content)
    elif kind == "gone":
        (tmp_path / "set" / "index.npz").unlink()
    else:
        words = json.loads(meta.read_text()) | (
            {"version": 9} if kind == "version" else {"format": "x"}
        )
        meta.write_text(json.dumps(words))
    with pytest.raises(UserError, match="prepare"):
        read_prepared(tmp_path / "set")


def test_a_batch_is_the_middle_of_each_clip_resampled(tmp_path: Path) -> None:
    clips = small_clips(8, persons=2)
    clips[3].pose = clips[3].pose[:, :1]  # one frame
    found = write(tmp_path / "set", clips)
    store = SkeletonStore.from_prepared(found, 16, centre="none")
    batch = store.batch(torch.tensor([3, 0, 5]))
    assert batch.id.tolist() == [3, 0, 5]
    row = 0
    for i in (3, 0, 5):
        for body in clips[i].pose[[b.any() for b in clips[i].pose]]:
            skip = int(0.05 * len(body) / 2)
            x = torch.from_numpy(body[skip : len(body) - skip].astype(np.float32)).permute(2, 0, 1)
            size = (16, 20)
            wanted = interpolate(x[None], size, mode="bilinear", align_corners=False)[0]
            torch.testing.assert_close(batch.pose[row], wanted.permute(1, 0, 2))
            row += 1
    assert row == len(batch.pose)


def test_a_mapped_set_gives_the_batches_of_one_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write(tmp_path / "set", small_clips(8, persons=2))
    how: Any = {"centre": "first", "align": "yaw", "scale": "torso"}
    here = SkeletonStore.from_prepared(found, 16, **how)
    monkeypatch.setattr("halpgraph.data.skeletons.IN_MEMORY", 0)
    mapped = SkeletonStore.from_prepared(found, 16, **how)
    assert mapped.placement is not None
    torch.testing.assert_close(mapped.batch().pose, here.batch().pose, rtol=1e-4, atol=1e-5)
    some = mapped.subset([5, 2]).batch().pose
    torch.testing.assert_close(some, here.batch(torch.tensor([5, 2])).pose, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("angle", [0.7, 2.9])
def test_alignment_undoes_a_turn(angle: float, tmp_path: Path) -> None:
    clips = small_clips(6)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    turned = [Clip(c.name, 1.3 * c.pose @ turn + [1, 0, 2], c.label, c.fields) for c in clips]
    how: Any = {"centre": "first", "align": "yaw", "scale": "torso"}
    a, b = (
        SkeletonStore.from_prepared(write(tmp_path / name, some), 16, **how).batch().pose
        for name, some in (("a", clips), ("b", turned))
    )
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    first = SkeletonStore.from_prepared(read_prepared(tmp_path / "a"), 16, **how)
    start = first.frames[first.start][:, :, LAYOUT.origin]
    torch.testing.assert_close(start, torch.zeros_like(start))


def test_flat_poses_are_not_turned() -> None:
    flat = get_layout("coco17")
    frames = torch.randn(5, 3, 17)
    first, length = torch.tensor([0]), torch.tensor([5])
    with pytest.raises(UserError, match="yaw needs three dimensions"):
        find_placement(frames, first, length, flat, align="yaw")
