"""HCN against the published form written out: person by person, in the published order."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small import small_skeletons
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.encoders._dropout import Dropout
from halpgraph.encoders.hcn import HCN, Points, stretched_steps
from halpgraph.errors import UserError
from halpgraph.layout import get_layout
from halpgraph.pose import with_pose
from halpgraph.streams import derive

SMALL = {"width": 8, "planes": 16, "rows": 1}


def make(seed: int = 0, layout: str = "kinect20", channels: int = 3, **settings: Any) -> HCN:
    torch.manual_seed(seed)
    wired = {"in_channels": channels, "layout": get_layout(layout), "persons": 2}
    spec = {"name": "hcn", "dropout": 0, **SMALL, **settings}
    encoder: HCN = registry.encoders.build(spec, "encoder", **wired)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.endswith("bias"):
                parameter.uniform_(-0.2, 0.2)
    return encoder


def example(frames: int = 16, persons: int = 2, **settings: Any) -> Batch:
    return small_skeletons(n=9, persons=persons, frames=frames, **settings).store.batch()


def half(points: Points, x: Tensor) -> Tensor:
    """One branch as published. Shapes: x [1, C, T, V] -> [1, width, T / 4, planes / 4]."""
    x = torch.relu(F.conv2d(x, points.point.weight, points.point.bias))
    x = F.conv2d(x, points.along.weight, points.along.bias, padding=(1, 0))
    x = x.permute(0, 3, 2, 1)
    x = F.max_pool2d(F.conv2d(x, points.joints.weight, points.joints.bias, padding=1), 2)
    return F.max_pool2d(F.conv2d(x, points.deeper.weight, points.deeper.bias, padding=1), 2)


def written_out(encoder: HCN, batch: Batch) -> Tensor:
    """The whole encoder, body by body, then the largest of each clip's. Shapes: [B, D]."""
    rows = []
    for b in range(batch.num_graphs):
        bodies = []
        for row in range(int(batch.body_ptr[b]), int(batch.body_ptr[b + 1])):
            pose = batch.pose[row].permute(1, 0, 2)[None]  # [1, C, T, V]
            steps = torch.stack(
                [pose[:, :, t + 1] - pose[:, :, t] for t in range(pose.size(2) - 1)], 2
            )
            steps = F.interpolate(steps, size=pose.shape[2:], mode="bilinear", align_corners=False)
            x = torch.cat([half(encoder.positions, pose), half(encoder.steps, steps)], 1)
            x = F.conv2d(x, encoder.both.weight, encoder.both.bias, padding=1)
            x = F.max_pool2d(torch.relu(x), 2)
            x = F.conv2d(x, encoder.last.weight, encoder.last.bias, padding=1)
            bodies.append(F.max_pool2d(torch.relu(x), 2).flatten())
        rows.append(torch.stack(bodies).amax(0))
    return torch.stack(rows)


@pytest.mark.parametrize(("frames", "rows"), [(16, 1), (64, 4)])
def test_equals_the_published_form_in_values_and_gradients(frames: int, rows: int) -> None:
    batch = example(frames)
    batch.pose = batch.pose.double()
    ours, theirs = (make(rows=rows, planes=32).double() for _ in range(2))
    mine, wanted = ours(batch).graph, written_out(theirs, batch)
    assert mine.shape == (9, 32 * rows * 2)
    torch.testing.assert_close(mine, wanted, rtol=1e-9, atol=1e-9)
    weight = torch.randn(mine.shape, generator=torch.Generator().manual_seed(1)).double()
    (mine * weight).sum().backward()
    (wanted * weight).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-7, atol=1e-9, msg=name)


def test_the_defaults_are_the_published_sizes() -> None:
    wired = {"in_channels": 3, "layout": get_layout("ntu25"), "persons": 2}
    encoder = registry.encoders.build("hcn", **wired)
    assert encoder.out_channels == 256 * (64 // 16) ** 2
    convolutions = [(64 * 3, 64), (64 * 64 * 3, 64), (32 * 25 * 9, 32), (64 * 32 * 9, 64)]
    after = [(128 * 128 * 9, 128), (256 * 128 * 9, 256)]
    wanted = 2 * sum(w + b for w, b in convolutions) + sum(w + b for w, b in after)
    assert sum(p.numel() for p in encoder.parameters()) == wanted == 519_424
    shares = [m.share for m in encoder.modules() if isinstance(m, Dropout)]
    assert shares == [0.5] * 4


def without(batch: Batch, slot: int) -> Batch:
    """The batch with the bodies of a slot zeroed: they are there, but not in what is shown."""
    pose = batch.pose.clone()
    pose[batch.person == slot] = 0
    return with_pose(batch, pose)


def test_a_body_that_is_absent_does_not_count() -> None:
    batch, encoder = example(), make().eval()
    alone = batch.body_ptr.diff() == 1
    assert alone.any()
    assert not alone.all()
    out = encoder(without(batch, 1)).graph
    torch.testing.assert_close(out[alone], encoder(batch).graph[alone])
    both = ~alone
    first = encoder(without(batch, 1)).graph[both]
    second = encoder(without(batch, 0)).graph[both]
    torch.testing.assert_close(torch.maximum(first, second), encoder(batch).graph[both])
    bodies = batch.pose[batch.person == 0]
    torch.testing.assert_close(out, encoder.image(bodies).flatten(1))
    blank = encoder.image(torch.zeros_like(bodies[:1])).flatten()
    assert (blank > out.amin(0)).any()  # zeros would have counted


def test_who_stands_in_which_slot_makes_no_difference() -> None:
    batch, encoder = example(), make().eval()
    before = encoder(batch).graph
    batch.person = 1 - batch.person
    torch.testing.assert_close(encoder(batch).graph, before)


@pytest.mark.parametrize("frames", [2, 7, 16, 33, 50])
@pytest.mark.parametrize("planes", [1, 20, 32])
def test_any_number_of_frames_and_planes(frames: int, planes: int) -> None:
    encoder = make(planes=planes, rows=3)
    out = encoder(example(frames))
    assert out.graph.shape == (9, encoder.out_channels)
    assert out.local.shape[1:] == (3, encoder.out_channels // 3)
    assert torch.isfinite(out.graph).all()


def test_the_last_frame_counts_of_any_length() -> None:
    for frames in (16, 17, 21, 33):
        batch, encoder = example(frames), make(rows=3).eval()
        pose = batch.pose.clone()
        pose[:, -1] += 5
        assert not torch.equal(encoder(with_pose(batch, pose)).graph, encoder(batch).graph)


@pytest.mark.parametrize(("layout", "stream"), [("ntu25", "bone"), ("kinect20", "distances")])
def test_other_layouts_and_streams(layout: str, stream: str) -> None:
    batch = derive(example(layout=layout), stream)
    encoder = make(layout=layout, channels=batch.pose.size(2))
    assert encoder(batch).graph.shape == (9, 32)


def test_a_single_frame_has_no_steps() -> None:
    x = torch.randn(2, 3, 1, 5)
    assert torch.equal(stretched_steps(x), torch.zeros_like(x))
    still = x.expand(-1, -1, 6, -1) + torch.arange(6.0)[:, None]
    torch.testing.assert_close(stretched_steps(still), torch.ones(2, 3, 6, 5))


def test_dropout_drops_whole_channels_and_is_drawn_from_the_state() -> None:
    out = Dropout(0.25, planes=True)(torch.ones(50, 80, 2, 3))
    share = (out == 0).float().mean((2, 3))
    assert set(share.unique().tolist()) == {0.0, 1.0}
    assert abs(float(share.mean()) - 0.25) < 0.03
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    batch, encoder = example(), make(dropout=0.5)
    twin = make(seed=5, dropout=0.5)
    twin.load_state_dict(copy.deepcopy(encoder.state_dict()))
    first, second = encoder(batch).graph, encoder(batch).graph
    assert not torch.equal(first, second)
    assert torch.equal(twin(batch).graph, first)
    assert torch.equal(twin(batch).graph, second)


def test_bfloat16_is_near_and_trains() -> None:
    batch, encoder = example(), make()
    exact = encoder(batch).graph
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = encoder(batch).graph
    torch.testing.assert_close(near.float(), exact, rtol=0.1, atol=0.05)
    near.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_refuses_nonsense() -> None:
    with pytest.raises(UserError, match=r"encoder\.width: must be even \(got 7\); use 8"):
        make(width=7)
    with pytest.raises(UserError, match=r"encoder\.rows"):
        make(rows=0)
    with pytest.raises(UserError, match="encoder hcn: has no maps"):
        make().read(torch.zeros(1, 1, 1, 1), example())
