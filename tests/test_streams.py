"""Streams against plain loops, of layouts with and without a confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small import small_skeletons
from toy import toy_batch, toy_layout, toy_poses

from halpgraph.errors import UserError
from halpgraph.layout import AXES
from halpgraph.pose import sampled
from halpgraph.registry import views
from halpgraph.streams import STREAMS, derive, stream_channels

LAYOUTS = [
    toy_layout(),
    toy_layout("x", "y", up="-y"),
    toy_layout("x", "y", "score"),
    toy_layout("x", "y", "z", "score", up="z"),
]
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda found: "".join(found.channels))


def shown(batch: Any, stream: str) -> np.ndarray:
    found: np.ndarray = derive(batch, stream).pose.double().numpy()
    return found


def points(batch: Any) -> np.ndarray:
    found: np.ndarray = batch.pose.double().numpy()
    return found


def bones_of(pose: np.ndarray, layout: Any) -> np.ndarray:
    out = np.zeros_like(pose)
    space = layout.space
    for joint, parent in enumerate(layout.parents):
        out[:, :, :space, joint] = pose[:, :, :space, joint] - pose[:, :, :space, parent]
        out[:, :, space:, joint] = (pose[:, :, space:, joint] + pose[:, :, space:, parent]) / 2
    return out


def motion_of(pose: np.ndarray, layout: Any) -> np.ndarray:
    out, space = np.zeros_like(pose), layout.space
    for t in range(pose.shape[1] - 1):
        out[:, t, :space] = pose[:, t + 1, :space] - pose[:, t, :space]
        out[:, t, space:] = (pose[:, t, space:] + pose[:, t + 1, space:]) / 2
    return out


@every_layout
def test_bone_motion_and_both(layout: Any) -> None:
    batch = toy_poses(layout=layout)
    pose = points(batch)
    np.testing.assert_array_equal(shown(batch, "joint"), pose)
    np.testing.assert_allclose(shown(batch, "bone"), bones_of(pose, layout), atol=1e-6)
    np.testing.assert_allclose(shown(batch, "motion"), motion_of(pose, layout), atol=1e-6)
    both = motion_of(bones_of(pose, layout), layout)
    np.testing.assert_allclose(shown(batch, "bone-motion"), both, atol=1e-5)


@every_layout
def test_the_root_has_no_bone_and_the_last_frame_no_motion(layout: Any) -> None:
    batch = toy_poses(layout=layout)
    root = layout.parents.index(layout.joints.index("spine"))
    assert not shown(batch, "bone")[:, :, : layout.space, root].any()
    assert not shown(batch, "motion")[:, -1].any()
    assert not shown(batch, "bone-motion")[:, -1].any()
    assert shown(batch, "motion")[:, :-1].any()


@every_layout
def test_distances_point_by_point(layout: Any) -> None:
    batch = toy_poses(layout=layout, clips=4)
    pose, found = points(batch), shown(batch, "distances")
    space, (axis, sign) = layout.space, AXES[layout.up]
    anchors = list(dict.fromkeys([layout.centre, *layout.leaves]))
    assert found.shape[2] == len(anchors) + 2 == stream_channels("distances", layout)
    for r, t, v in np.ndindex(len(pose), pose.shape[1], layout.num_joints):
        here = pose[r, t, :space]
        for i, anchor in enumerate(anchors):
            apart = np.linalg.norm(here[:, v] - here[:, anchor])
            assert found[r, t, i, v] == pytest.approx(apart, abs=1e-5)
        height = sign * here[axis, v] - (sign * here[axis]).min()
        assert found[r, t, -2, v] == pytest.approx(height, abs=1e-5)
        speed = 0.0  # of the last frame, and where the body comes or goes
        if t + 1 < pose.shape[1] and here.any() and pose[r, t + 1].any():
            speed = float(np.linalg.norm(pose[r, t + 1, :space, v] - here[:, v]))
        assert found[r, t, -1, v] == pytest.approx(speed, abs=1e-5)


@pytest.mark.parametrize("up", ["x", "y", "-y", "z"])
def test_distances_do_not_change_when_bodies_turn_or_walk(up: str) -> None:
    batch = toy_poses(layout=toy_layout(up=up))
    batch.pose += 0.1 * (batch.pose == 0)
    turned = views.build({"name": "rotate", "yaw": [30, 150]})(batch, torch.Generator())
    np.testing.assert_allclose(shown(turned, "distances"), shown(batch, "distances"), atol=1e-5)
    turned.pose = turned.pose + torch.randn(len(batch.pose), 1, 3, 1)
    np.testing.assert_allclose(shown(turned, "distances"), shown(batch, "distances"), atol=1e-5)
    tilted = views.build({"name": "rotate", "yaw": [0, 0], "tilt": [40, 80]})(
        batch, torch.Generator()
    )
    assert np.abs(shown(tilted, "distances") - shown(batch, "distances")).max() > 0.1


@every_layout
def test_streams_side_by_side_are_those_streams(layout: Any) -> None:
    batch = toy_poses(layout=layout)
    both = shown(batch, "motion+distances")
    apart = [shown(batch, stream) for stream in ("motion", "distances")]
    np.testing.assert_array_equal(both, np.concatenate(apart, axis=2))
    assert both.shape[2] == stream_channels("motion+distances", layout)
    swapped = shown(batch, "distances+motion")
    np.testing.assert_array_equal(swapped, np.concatenate(apart[::-1], axis=2))


@every_layout
@pytest.mark.parametrize("stream", [*STREAMS, "joint+bone", "distances+motion+bone-motion"])
def test_shapes_absence_and_the_input(stream: Any, layout: Any) -> None:
    batch = toy_poses(layout=layout)
    batch.pose[2] = 0
    before = batch.pose.clone()
    out = derive(batch, stream)
    assert torch.equal(batch.pose, before)
    assert out.pose.shape == (*before.shape[:2], stream_channels(stream, layout), 7)
    assert out.pose.isfinite().all()
    assert not out.pose[2].any()
    if stream in ("joint", "bone", "distances", "joint+bone"):
        seen = (batch.pose != 0).flatten(2).any(2)  # [R, T]
        assert not out.pose[~seen].any()


def test_raw_clips_are_cut_first() -> None:
    batch = small_skeletons().store.source(torch.arange(5))
    assert torch.equal(derive(batch, "bone").pose, derive(sampled(batch), "bone").pose)


def test_unknown_streams_and_graphs_are_refused() -> None:
    with pytest.raises(UserError, match="stream bones: unknown - use one of joint, bone"):
        derive(toy_poses(), "bones")
    for wrong in ("motion+bones", "motion+", "+", ""):
        with pytest.raises(UserError, match=r"stream (bones|''): unknown - use one of .* joined"):
            derive(toy_poses(), wrong)
    with pytest.raises(UserError, match=r"stream motion\+joint\+motion: name each part once"):
        derive(toy_poses(), "motion+joint+motion")
    with pytest.raises(UserError, match="stream bone: needs skeletons"):
        derive(toy_batch(), "bone")
