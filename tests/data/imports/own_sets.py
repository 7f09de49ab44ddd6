"""Small prepared sets, and comparing them, for the tests of importing and exporting."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Clip, Prepared, Split
from halpgraph.layout import Layout, get_layout, make_layout

SCORED = make_layout(
    "arms",
    {
        "joints": {"neck": None, "left_hand": "neck", "right_hand": "neck", "nose": "neck"},
        "up": "-y",
        "channels": ["x", "y", "score"],
    },
)
LAYOUTS = {"kinect20": get_layout("kinect20"), "arms": SCORED}


def random_clips(layout: Layout, persons: int, n: int = 7, seed: int = 0) -> list[Clip]:
    """Return clips of 1 to 9 frames, the first of one frame; of odd ones only the first body."""
    random = np.random.default_rng(seed)
    clips = []
    for i in range(n):
        count = 1 if i == 0 else int(random.integers(1, 10))
        shape = (persons, count, layout.num_joints, len(layout.channels))
        pose = random.uniform(0.1, 1, shape).astype(np.float32)
        if i % 2:
            pose[1:] = 0
        clips.append(Clip(f"c{i}", pose, i % 3, {"subject": i // 2, "view": i % 2}))
    return clips


def write_set(folder: Path, clips: list[Clip], layout: Layout, parts: list[int]) -> Prepared:
    """Write clips as a prepared set with one split."""
    with ClipWriter(folder, folder.name, layout, ["a", "b", "c"]) as writer:
        for clip in clips:
            writer.add(clip)
        return writer.finish({"xsub": Split(np.array(parts), "subject")})


def assert_same(found: Prepared, clips: list[Clip]) -> None:
    """Hold a set against the clips it should have, whatever their order."""
    assert sorted(found.names) == sorted(clip.name for clip in clips)
    for clip in clips:
        other = found.clip(found.names.index(clip.name))
        there = [body for body in clip.pose if body.any()]
        assert np.array_equal(other.pose[: len(there)], np.stack(there)), clip.name
        assert not other.pose[len(there) :].any()
        assert other.label == clip.label


def parts(found: Prepared, split: str) -> dict[str, int]:
    """Return the part of every clip, by name."""
    return dict(zip(found.names, found.splits[split].part.tolist(), strict=True))
