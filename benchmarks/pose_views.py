"""Clips per second of HaLP's augmentation: a feeder that works clip by clip, and ours.

    python benchmarks/pose_views.py

prints a Markdown table. Two views are made of each clip: a random window of it is cut and resized
to 64 frames, then either 15 joints are corrupted or all are sheared. The feeder is written after
the published algorithm: one padded float32 array ``[N, 3, 300, 25, 2]``, one clip at a time, always
two bodies, NumPy with torch's bilinear interpolation (of one row, as published), matrices in double
precision, as NumPy draws them. Ours does what the engine does in training: it
makes the views of several batches at once (as many as ``SkeletonStore.chunk_nodes`` allows), out of
flat frames that hold only the bodies that are there, and then cuts them into batches; and it lets
the process keep memory (``halpgraph.device.keep_memory``), which holds for the feeder as well. A
pass of ours is short, so it is made several times a turn. Both take clips as random numbers;
lengths are drawn from 40 to 128 frames. Contenders take turns in one run; seconds are CPU seconds
on one thread, ratios are taken in each turn, and medians are shown.

Before anything is timed, both get the same windows and the same matrices, and the largest
difference of their results is printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from halpgraph.batch import split_batch
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.device import keep_memory
from halpgraph.layout import get_layout
from halpgraph.linear import linear
from halpgraph.pose import cut
from halpgraph.registry import views

LONGEST, JOINTS, BODIES, FRAMES, CORRUPTED = 300, 25, 2, 64, 15
PASSES = 4  # of ours a turn
Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Clip = Array | Doubles
SPATIAL = {"name": "choice", "of": ["joint_mask", "shear"]}


@dataclass(frozen=True)
class Feeder:
    """One clip at a time. Shapes: clips [N, 3, 300, 25, 2], lengths [N]."""

    clips: Array
    lengths: NDArray[np.int64]
    random: np.random.Generator

    def two_views(self, index: int, spatial: bool) -> tuple[Clip, Clip]:
        """Return two views of one clip, each [3, 64, 25, 2]."""
        clip = np.array(self.clips[index])
        return self.view(clip, index, spatial), self.view(clip, index, spatial)

    def view(self, clip: Array, index: int, spatial: bool) -> Clip:
        """Cut, resize, and change one clip."""
        count = int(self.lengths[index])
        length = min(max(int(count * self.random.uniform(0.1, 1)), FRAMES), count)
        out = resized(clip, int(self.random.integers(count - length + 1)), length)
        if not spatial:
            return out
        if self.random.random() < 0.5:
            return corrupted(out, *self.corruption())
        return sheared(out, self.shear())

    def corruption(self) -> tuple[NDArray[np.int64], Doubles | None]:
        """Draw joints, and what they are multiplied by (None: zero)."""
        joints = self.random.permutation(JOINTS)[:CORRUPTED]
        if self.random.random() < 0.5:
            return joints, None
        return joints, self.random.uniform(-1, 1, (3, 3))

    def shear(self) -> Doubles:
        """Draw a shear."""
        matrix = self.random.uniform(-1, 1, (3, 3))
        np.fill_diagonal(matrix, 1)
        return matrix


def resized(clip: Array, begin: int, length: int) -> Array:
    """Resize a window of a clip to 64 frames."""
    window = torch.from_numpy(clip[:, begin : begin + length])  # [3, L, V, M]
    rows = window.permute(0, 2, 3, 1).reshape(1, -1, length, 1)  # [1, 3 * V * M, L, 1]
    rows = interpolate(rows, size=(FRAMES, 1), mode="bilinear", align_corners=False)
    out = rows.view(3, JOINTS, BODIES, FRAMES).permute(0, 3, 1, 2)  # [3, 64, V, M]
    return np.ascontiguousarray(out.numpy())


def corrupted(clip: Array, joints: NDArray[np.int64], matrix: Doubles | None) -> Array:
    """Zero some joints, or multiply them by a matrix."""
    out = clip.copy()
    if matrix is None:
        out[:, :, joints] = 0
    else:
        out[:, :, joints] = sheared(out[:, :, joints], matrix)
    return out


def sheared(clip: Array, matrix: Doubles) -> Doubles:
    """Multiply all joints by a matrix."""
    out: Doubles = np.dot(clip.transpose(1, 2, 3, 0), matrix).transpose(3, 0, 1, 2)
    return out


def make(clips: int, bodies: int) -> tuple[Feeder, SkeletonStore]:
    """Return both contenders over the same clips, with one or two bodies in every clip."""
    random = np.random.default_rng(0)
    lengths = random.integers(40, 129, clips)
    padded = np.zeros((clips, 3, LONGEST, JOINTS, BODIES), np.float32)
    flat = []
    for i, count in enumerate(lengths):
        body = random.normal(size=(bodies, count, 3, JOINTS)).astype(np.float32)  # [m, n, 3, V]
        padded[i, :, :count, :, :bodies] = body.transpose(2, 1, 3, 0)
        flat.append(body.reshape(-1, 3, JOINTS))  # [m * n, 3, V]
    counts = torch.from_numpy(lengths)
    each = counts.repeat_interleave(bodies)
    store = SkeletonStore(
        frames=torch.from_numpy(np.concatenate(flat)),
        start=each.cumsum(0) - each,
        body_ptr=torch.arange(clips + 1) * bodies,
        person=torch.arange(bodies).repeat(clips),
        num_frames=counts,
        id=torch.arange(clips),
        layout=get_layout("ntu25"),
        out_frames=FRAMES,
        persons=BODIES,
    )
    return Feeder(padded, lengths, random), store


def difference(feeder: Feeder, store: SkeletonStore) -> tuple[float, float]:
    """Return how far results differ, given equal windows, and given equal matrices as well."""
    ids = torch.arange(min(64, len(store)))
    length = torch.minimum(store.num_frames[ids], 40 + ids)
    begin = (store.num_frames[ids] - length) // 2
    ours = cut(store.source(ids), begin, length, FRAMES).pose
    bodies = int(store.body_ptr[1])
    windows = zip(begin.tolist(), length.tolist(), strict=True)
    cuts = [resized(feeder.clips[i], *window) for i, window in enumerate(windows)]
    first = float((ours - as_bodies(cuts, bodies)).abs().max())
    matrices = torch.eye(3)[..., None].repeat(len(ids), 1, 1, JOINTS)  # [B, 3, 3, V]
    theirs: list[Clip] = []
    for i, clip in enumerate(cuts):
        if i % 2:
            joints, matrix = feeder.corruption()
            theirs.append(corrupted(clip, joints, matrix))
        else:
            joints, matrix = np.arange(JOINTS), feeder.shear()
            theirs.append(sheared(clip, matrix))
        shown = np.zeros((3, 3)) if matrix is None else matrix
        matrices[i, :, :, joints] = torch.from_numpy(shown)[:, :, None].float()
    ours = linear(ours, matrices.repeat_interleave(bodies, 0))
    return first, float((ours - as_bodies(theirs, bodies)).abs().max())


def as_bodies(clips: Sequence[Clip], bodies: int) -> torch.Tensor:
    """Return the feeder's clips as ``[R, T, C, V]``, without the bodies that are not there."""
    out = torch.from_numpy(np.stack(clips)).float()[..., :bodies]  # [B, 3, 64, V, m]
    return out.permute(0, 4, 2, 1, 3).reshape(-1, FRAMES, 3, JOINTS)


def feeder_pass(feeder: Feeder, size: int, spatial: bool) -> Callable[[], None]:
    """Return a function that makes two views of every clip, one by one, and stacks batches."""

    def work() -> None:
        for low in range(0, len(feeder.clips), size):
            pairs = [
                feeder.two_views(i, spatial) for i in range(low, min(low + size, len(feeder.clips)))
            ]
            for side in zip(*pairs, strict=True):
                torch.from_numpy(np.stack(side)).float()

    return work


def our_pass(store: SkeletonStore, size: int, spatial: bool) -> Callable[[], None]:
    """Return a function that makes two views of every clip, in batches, as the engine does."""
    parts = ["crop_resize", SPATIAL] if spatial else ["crop_resize"]
    view = views.build({"name": "compose", "of": parts})
    random = torch.Generator().manual_seed(0)
    order = torch.randperm(len(store), generator=random)
    together = max(store.chunk_nodes * len(store) // (int(store.ptr[-1]) * size), 1) * size

    def work() -> None:
        for ids in torch.split(order, together):
            source, cuts = store.source(ids), [*range(0, len(ids), size), len(ids)]
            made = [view(source, random), view(source, random)]
            for _ in zip(*(split_batch(m, cuts) for m in made), strict=True):
                pass

    return work


def cpu(work: Callable[[], None], times: int = 1) -> float:
    """Return the CPU seconds of a call, the mean of several."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def row(bodies: int, spatial: bool, clips: int, size: int, rounds: int) -> str:
    """Return one line of the table."""
    feeder, store = make(clips, bodies)
    differ = difference(feeder, store)[spatial]
    theirs, ours = feeder_pass(feeder, size, spatial), our_pass(store, size, spatial)
    theirs(), ours()
    turns = [(cpu(theirs), cpu(ours, PASSES)) for _ in range(rounds)]
    speeds = [f"{clips / statistics.median(side):.0f}" for side in zip(*turns, strict=True)]
    ratios = sorted(a / b for a, b in turns)
    what = "crop-resize, corruption or shear" if spatial else "crop-resize alone"
    cells = [what, str(bodies), *speeds, f"{statistics.median(ratios):.1f}x"]
    cells += [f"{ratios[0]:.1f}x to {ratios[-1]:.1f}x", f"{differ:.1e}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time HaLP's augmentation.")
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    print("| views | bodies | feeder, clips/s | ours, clips/s | ratio | from, to | difference |")
    print("|---|---|---|---|---|---|---|")
    for spatial in (False, True):
        for bodies in (2, 1):
            line = row(bodies, spatial, options.clips, options.batch_size, options.rounds)
            print(line, flush=True)


if __name__ == "__main__":
    main()
