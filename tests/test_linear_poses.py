"""Joints multiplied by matrices, cut out of frames in the same pass or not, in C or not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from halpgraph import pose
from halpgraph.data.placement import Placement
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.layout import get_layout
from halpgraph.linear import by_arrays, linear, loops
from halpgraph.pose import sampled
from halpgraph.registry import views
from halpgraph.resample import resample, resample_by

needs_c = pytest.mark.skipif(loops() is None, reason="no C compiler here")
FRAMES, LENGTHS = 9, (12, 30, 7, 21, 40)


def plain(poses: Tensor, matrix: Tensor, hit: Tensor | None) -> Tensor:
    """``p @ matrix``, joint by joint, in double precision."""
    out = poses.double().clone()
    for r in range(poses.size(0)):
        for v in range(poses.size(3)):
            if hit is not None and not hit[r, v]:
                continue
            own = matrix[r].double() if matrix.dim() == 3 else matrix[r, :, :, v].double()
            out[r, :, :, v] = poses[r, :, :, v].double() @ own
    return out


@pytest.mark.parametrize("way", [pytest.param("c", marks=needs_c), "arrays"])
@pytest.mark.parametrize("space", [2, 3])
@pytest.mark.parametrize("joints", [1, 5, 16, 25])
@pytest.mark.parametrize("some", [False, True])
def test_every_way_against_plain_products(way: str, space: int, joints: int, some: bool) -> None:
    torch.manual_seed(joints)
    poses, matrix = torch.randn(4, 6, space, joints), torch.randn(4, space, space)
    hit = torch.rand(4, joints) < 0.5 if some else None
    before = poses.clone()
    found = linear(poses, matrix, hit) if way == "c" else by_arrays(poses, matrix, hit)
    torch.testing.assert_close(found.double(), plain(poses, matrix, hit), atol=1e-5, rtol=1e-5)
    assert torch.equal(poses, before)


def test_a_matrix_a_joint_strides_and_gradients() -> None:
    poses, each = torch.randn(3, 5, 3, 7), torch.randn(3, 3, 3, 7)
    torch.testing.assert_close(
        linear(poses, each).double(), plain(poses, each, None), atol=1e-5, rtol=1e-5
    )
    one = torch.randn(1, 3, 3, 1).expand(3, -1, -1, -1)
    parts = torch.randn(3, 5, 4, 7)[:, :, :3]
    wanted = plain(parts, one[..., 0], None)
    torch.testing.assert_close(linear(parts, one).double(), wanted, atol=1e-5, rtol=1e-5)
    asked = poses.clone().requires_grad_()
    linear(asked, torch.eye(3).expand(3, 3, 3)).sum().backward()
    assert asked.grad is not None
    assert torch.equal(asked.grad, torch.ones_like(poses))
    assert linear(poses[:0], each[:0, :, :, :1]).shape == (0, 5, 3, 7)


@needs_c
@pytest.mark.parametrize("some", [False, True])
def test_cut_and_multiplied_at_once_is_cut_and_then_multiplied(some: bool) -> None:
    torch.manual_seed(0)
    frames, matrix = torch.randn(200, 3, 25), torch.randn(4, 3, 3, 1)
    first, length = torch.tensor([0, 3, 60, 199]), torch.tensor([64, 1, 140, 1])
    hit = torch.rand(4, 25) < 0.5 if some else None
    wanted = by_arrays(resample(frames, first, length, 16), matrix, hit)
    found = resample_by(frames, first, length, 16, matrix, hit)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)
    half = resample_by(frames.half(), first, length, 16, matrix, hit)
    torch.testing.assert_close(half, wanted, atol=2e-2, rtol=2e-2)


def test_windows_outside_the_frames_are_refused_not_read() -> None:
    frames, matrix = torch.randn(10, 3, 5), torch.eye(3)[None]
    for first, length in ((5, 6), (-1, 3)):
        with pytest.raises((RuntimeError, IndexError)):
            resample_by(frames, torch.tensor([first]), torch.tensor([length]), 8, matrix, None)


def made(layout: str, channels: int, placed: bool) -> SkeletonStore:
    """Clips of one or two bodies, some joints not seen, moved and turned as they are cut or not."""
    torch.manual_seed(1)
    bodies = torch.tensor([1, 2, 1, 2, 1])
    counts = torch.tensor(LENGTHS).repeat_interleave(bodies)
    frames = torch.randn(int(counts.sum()), channels, get_layout(layout).num_joints)
    frames[::3, :, 2] = 0
    store = SkeletonStore(
        frames=frames,
        start=counts.cumsum(0) - counts,
        body_ptr=torch.cat([torch.zeros(1, dtype=torch.long), bodies.cumsum(0)]),
        person=torch.tensor([0, 0, 1, 0, 0, 1, 0]),
        num_frames=torch.tensor(LENGTHS),
        id=torch.arange(5),
        layout=get_layout(layout),
        out_frames=FRAMES,
        persons=2,
    )
    space = store.layout.space
    put = Placement(origin=torch.randn(5, space), turn=torch.randn(5, space, space))
    return replace(store, placement=put) if placed else store


@needs_c
@pytest.mark.parametrize(
    ("layout", "channels", "placed"),
    [("ntu25", 3, False), ("ntu25", 3, True), ("coco17", 3, False), ("utd20", 3, False)],
)
@pytest.mark.parametrize("spatial", ["shear", "joint_mask", "rotate", "flip", "both"])
def test_views_give_the_same_in_c_and_in_arrays(
    layout: str, channels: int, placed: bool, spatial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ids = made(layout, channels, placed), torch.arange(5)
    last: Any = {"name": spatial, **({"joints": 4} if spatial == "joint_mask" else {})}
    if spatial == "both":
        last = {"name": "choice", "of": [{"name": "joint_mask", "joints": 4}, "shear"]}
    view = views.build({"name": "compose", "of": [{"name": "crop_resize", "min_frames": 5}, last]})
    if spatial == "rotate" and store.layout.space == 2:
        pytest.skip("flat poses are not rotated in space")

    def draws() -> torch.Generator:
        return torch.Generator().manual_seed(3)

    ours = view(store.source(ids), draws())
    monkeypatch.setattr("halpgraph.linear.loops", lambda: None)
    monkeypatch.setattr("halpgraph.resample.loops", lambda: None)
    theirs = view(store.source(ids), draws())
    torch.testing.assert_close(ours.pose, theirs.pose, atol=1e-5, rtol=1e-5)
    assert not torch.equal(ours.pose, sampled(store.source(ids)).pose)
    assert not pose.is_raw(ours)
