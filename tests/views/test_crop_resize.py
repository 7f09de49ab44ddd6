"""Crop and resize against the published interpolation, clip by clip."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from small import small_skeletons
from torch.nn.functional import interpolate
from toy import check_batch, toy_poses

from halpgraph.batch import split_batch
from halpgraph.errors import UserError
from halpgraph.pose import clip_of_body, cut, sampled, windowed
from halpgraph.registry import views
from halpgraph.resample import TABLE, resample

CHOICE = {"name": "choice", "of": ["joint_mask", "shear"]}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def raw(**changes: Any) -> Any:
    return small_skeletons(persons=2, **changes).store.source(torch.arange(36))


def plain(window: np.ndarray, count: int) -> np.ndarray:
    """Resize a window frame by frame, half-pixel centres. Shapes: [L, C, V] -> [count, C, V]."""
    out = []
    for i in range(count):
        at = max((i + 0.5) * len(window) / count - 0.5, 0.0)
        low = int(at)
        high = min(low + 1, len(window) - 1)
        out.append((1 - (at - low)) * window[low] + (at - low) * window[high])
    return np.stack(out)


@pytest.mark.parametrize("count", [2, 7, 16, 64])  # fewer and more than there are
def test_fixed_windows_against_loops_and_torch(count: int) -> None:
    batch = raw()
    length = torch.minimum(1 + torch.arange(36), batch.num_frames)  # the first is one frame long
    begin = (batch.num_frames - length) // 2
    out, clip = cut(batch, begin, length, count).pose, clip_of_body(batch)
    for r in range(len(out)):
        low = int(batch.start[r] + begin[clip[r]])
        window = batch.frames[low : low + int(length[clip[r]])]
        np.testing.assert_allclose(out[r], plain(window.double().numpy(), count), atol=1e-5)
        rows = window.permute(1, 2, 0).flatten(0, 1)[None]  # [1, C * V, L]
        wanted = interpolate(rows, size=count, mode="linear", align_corners=False)
        wanted = wanted.view(*window.shape[1:], count).permute(2, 0, 1)  # [count, C, V]
        torch.testing.assert_close(out[r], wanted, atol=1e-5, rtol=1e-5)


def test_long_windows_among_short_ones() -> None:
    """Short windows are looked up, but only where all of them are short."""
    random = seeded()
    frames = torch.randn(3 * TABLE, 3, 7, generator=random)
    first, length = torch.tensor([0, 50, 200]), torch.tensor([50, 70, TABLE + 9])
    found = resample(frames, first, length, 16)
    assert torch.equal(found[:2], resample(frames, first[:2], length[:2], 16))
    window = frames[200 : 209 + TABLE].double().numpy()
    np.testing.assert_allclose(found[2], plain(window, 16), atol=1e-5)


@pytest.mark.parametrize("clips", [1, 36, 100])
def test_a_body_a_clip_takes_the_short_way_to_the_same_batch(clips: int) -> None:
    store = small_skeletons(n=100).store
    assert store._single
    plain_way = copy.copy(store)
    vars(plain_way)["_single"] = False
    ids = torch.randperm(100, generator=seeded())[:clips]
    view = views.build({"name": "compose", "of": ["crop_resize", CHOICE]})
    ours, theirs = (view(s.source(ids), seeded(1)) for s in (store, plain_way))
    assert sorted(ours.keys()) == sorted(theirs.keys())
    for name in ("pose", "edge_index", "rowptr", "ptr", "batch", "body_ptr", "person", "id"):
        assert torch.equal(ours[name], theirs[name]), name
    check_batch(ours)
    for a, b in zip(
        split_batch(ours, [0, 1, clips]), split_batch(theirs, [0, 1, clips]), strict=True
    ):
        assert torch.equal(a.pose, b.pose)
        assert torch.equal(a.edge_index, b.edge_index)
        assert torch.equal(clip_of_body(a), clip_of_body(b))


def test_batches_share_no_bones() -> None:
    store = small_skeletons(n=9).store
    ids = torch.arange(9)
    before = store.source(ids)
    before.edge_index += 1
    before.rowptr += 1
    before.batch += 1
    after = store.source(ids)
    check_batch(sampled(after))


def test_half_precision_frames_give_nearly_the_same() -> None:
    frames = torch.randn(200, 3, 7)
    first, length = torch.tensor([0, 50, 120]), torch.tensor([50, 70, 80])
    wanted = resample(frames.half().float(), first, length, 16)
    found = resample(frames.half(), first, length, 16)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def windows(batch: Any, monkeypatch: pytest.MonkeyPatch, seeds: int, **spec: Any) -> Any:
    """Return begin and length of every window that is cut. Shapes: [seeds, B] twice."""
    seen: list[Any] = []

    def watched(batch: Any, begin: Any, length: Any, frames: int) -> Any:
        seen.append((begin, length))
        return windowed(batch, begin, length, frames)

    monkeypatch.setattr("halpgraph.views.crop_resize.windowed", watched)
    view = views.build({"name": "crop_resize", **spec})
    for seed in range(seeds):
        view(batch, seeded(seed))
    return tuple(torch.stack(found) for found in zip(*seen, strict=True))


def test_windows_lie_inside_and_are_spread_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = raw()
    n = batch.num_frames
    begin, length = windows(batch, monkeypatch, 60, min_frames=5)
    assert (begin >= 0).all()
    assert (begin + length <= n).all()
    assert (length >= torch.minimum(n, torch.tensor(5))).all()
    place = begin / (n - length).clamp_min(1)  # 0 to 1 where there is room
    room = n - length > 5
    assert 0.45 < float(place[room].mean()) < 0.55
    long = n >= 30
    expected = (0.1 + 0.9 * torch.rand(100000, generator=seeded()))[:, None] * n[long]
    expected = expected.floor().clamp_min(5).mean(0)
    assert ((length[:, long].float().mean(0) / expected - 1).abs() < 0.25).all()
    assert (begin[room] == 0).any()
    assert (begin + length == n)[room].any()


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"ratio": [0.3, 0.3], "min_frames": 1}, lambda n: n * 3 // 10),
        ({"ratio": [0.5, 0.5], "min_frames": 15}, lambda n: min(max(n // 2, 15), n)),
        ({"ratio": [1.0, 1.0], "min_frames": 1}, lambda n: n),
        ({"min_frames": 64}, lambda n: n),
    ],
)
def test_lengths_as_published(spec: Any, wanted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = raw()
    _, length = windows(batch, monkeypatch, 3, **spec)
    assert (length == torch.tensor([wanted(int(n)) for n in batch.num_frames])).all()


def test_bodies_of_a_clip_share_their_window() -> None:
    """Both persons of the small clips move alike, so their views are alike too."""
    batch = raw()
    out = views.build({"name": "crop_resize", "min_frames": 2})(batch, seeded()).pose
    second = (batch.person == 1).nonzero().view(-1)
    assert len(second)
    assert torch.equal(out[second], out[second - 1])


def test_chosen_frames_and_what_is_left_of_raw() -> None:
    batch = raw()
    before = copy.copy(batch)
    view = views.build({"name": "crop_resize", "min_frames": 2, "frames": 9})
    chosen = torch.arange(36) % 2 == 0
    waiting = view.change(batch, chosen, seeded())
    assert waiting.pose.size(1) == 0  # chosen, not yet cut
    assert "window" not in batch
    out = sampled(waiting)
    assert out.pose.shape == (48, 9, 3, 20)
    body = chosen[clip_of_body(batch)]
    batch.target = 9
    assert torch.equal(out.pose[~body], sampled(batch).pose[~body])
    assert not torch.equal(out.pose[body], sampled(batch).pose[body])
    assert not {"frames", "start", "target", "origin", "turn", "window"} & set(out.keys())
    assert batch.frames is before.frames


def test_it_must_come_first() -> None:
    for batch in (toy_poses(), sampled(raw())):
        with pytest.raises(UserError, match="it must come first"):
            views.build("crop_resize")(batch, seeded())
    for parts in (["shear", "crop_resize"], ["crop_resize", "crop_resize"]):
        with pytest.raises(UserError, match="it must come first"):
            views.build({"name": "compose", "of": parts})(raw(), seeded())


def test_halp_from_raw_clips() -> None:
    spatial = {"name": "choice", "of": ["joint_mask", "shear"]}
    view = views.build({"name": "compose", "of": ["crop_resize", spatial]})
    a, b, c = (view(raw(), seeded(seed)).pose for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.shape == (48, 16, 3, 20)
