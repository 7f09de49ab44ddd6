"""Mapping between layouts against a slow oracle, joint by joint."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from halpgraph.axes import axis_name, turned, view_axes
from halpgraph.errors import UserError
from halpgraph.layout import Layout, get_layout, layouts, make_layout
from halpgraph.layout_map import LayoutMap, map_layout

SPACE = [name for name in layouts() if get_layout(name).space == 3]
PLANE = [name for name in layouts() if get_layout(name).space == 2]


def random_pose(layout: Layout, rows: int = 2, frames: int = 3, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    shape = (rows, frames, len(layout.channels), layout.num_joints)
    return torch.rand(shape, generator=random) + 0.1


def joint(pose: Tensor, layout: Layout, name: str) -> Tensor:
    return pose[..., layout.index(name)]


@pytest.mark.parametrize("name", layouts())
def test_a_layout_mapped_to_itself_is_the_same(name: str) -> None:
    layout = get_layout(name)
    found = map_layout(layout, layout)
    pose = random_pose(layout)
    assert torch.equal(found.apply(pose), pose)
    assert found.same == layout.joints
    assert len(found.notes()) == 1


@pytest.mark.parametrize(
    ("source", "target"), [*itertools.permutations(SPACE, 2), *itertools.permutations(PLANE, 2)]
)
def test_every_joint_is_shared_averaged_or_filled_in(source: str, target: str) -> None:
    a, b = get_layout(source), get_layout(target)
    try:
        found = map_layout(a, b)
    except UserError:
        assert target == "mediapipe33"  # the face alone has 11 joints
        return
    assert torch.allclose(found.weights.sum(0), torch.ones(b.num_joints))
    assert sorted([*found.same, *found.averaged, *found.filled]) == sorted(b.joints)
    pose, out = random_pose(a), found.apply(random_pose(a))
    turn = found.turn.numpy()
    for name in found.same:
        want = np.einsum("ij,rtj->rti", turn, joint(pose, a, name)[..., : a.space].numpy())
        np.testing.assert_allclose(joint(out, b, name)[..., : b.space], want, atol=1e-6)
    for name, other in found.filled.items():
        assert torch.equal(joint(out, b, name), joint(out, b, other))
        assert other not in found.filled


@pytest.mark.parametrize(("source", "target"), [*itertools.permutations(SPACE, 2)])
def test_what_is_up_stays_up_and_what_is_seen_stays(source: str, target: str) -> None:
    a, b = get_layout(source), get_layout(target)
    if target == "mediapipe33" and source != "ntu25":
        return
    found = map_layout(a, b)
    np.testing.assert_allclose(view_axes(b) @ found.turn.numpy(), view_axes(a), atol=1e-7)
    assert np.linalg.det(found.turn.numpy()) == pytest.approx(1)


def test_joints_that_kinect_v1_lacks() -> None:
    a, b = get_layout("kinect20"), get_layout("ntu25")
    found = map_layout(a, b)
    pose, out = random_pose(a), map_layout(a, b).apply(random_pose(a))
    assert found.averaged == {"neck": ("shoulder_centre",)}
    assert torch.equal(joint(out, b, "neck"), joint(pose, a, "shoulder_centre"))
    assert found.filled == {
        f"{side}_{name}": f"{side}_hand"
        for side in ("left", "right")
        for name in ("hand_tip", "thumb")
    }
    assert torch.equal(joint(out, b, "left_thumb"), joint(pose, a, "left_hand"))
    assert found.notes() == [
        "kinect20 to ntu25: 20 of 25 joints shared, 1 averaged, 4 filled in",
        "neck: shoulder_centre",
        "left_hand_tip: filled in with left_hand",
        "left_thumb: filled in with left_hand",
        "right_hand_tip: filled in with right_hand",
        "right_thumb: filled in with right_hand",
    ]


def test_means_of_means() -> None:
    a, b = get_layout("mediapipe33"), get_layout("kinect20")
    found = map_layout(a, b)
    pose = random_pose(a)
    out = found.apply(pose)
    turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))  # y is down there, and x the other way
    hips = (joint(pose, a, "left_hip") + joint(pose, a, "right_hip")) / 2 @ turn
    shoulders = (joint(pose, a, "left_shoulder") + joint(pose, a, "right_shoulder")) / 2 @ turn
    ears = (joint(pose, a, "left_ear") + joint(pose, a, "right_ear")) / 2 @ turn
    hand = (joint(pose, a, "left_index") + joint(pose, a, "left_pinky")) / 2 @ turn
    for name, want in (
        ("hip_centre", hips),
        ("shoulder_centre", shoulders),
        ("spine", (hips + shoulders) / 2),
        ("head", ears),
        ("left_hand", hand),
        ("left_foot", joint(pose, a, "left_big_toe") @ turn),
    ):
        torch.testing.assert_close(joint(out, b, name), want)
    assert "axes turned: -y is up there, y here" in found.notes()


def test_a_clip_is_mapped_as_a_batch_is() -> None:
    found = map_layout(get_layout("openpose25"), get_layout("coco17"))
    pose = random_pose(found.source)
    clip = pose.permute(0, 1, 3, 2).numpy()  # [M, T, V, C]
    want = found.apply(pose).permute(0, 1, 3, 2).numpy()
    np.testing.assert_array_equal(found.apply_clip(clip), want)
    np.testing.assert_array_equal(found.apply(pose[0]), found.apply(pose)[0])


def test_what_was_not_seen_stays_unseen() -> None:
    a, b = get_layout("coco17"), get_layout("openpose25")
    pose = random_pose(a)
    pose[0, 1, :, a.index("left_hip")] = 0
    pose[1] = 0
    out = map_layout(a, b).apply(pose)
    assert not joint(out, b, "left_hip")[0, 1].any()
    assert not joint(out, b, "hip_centre")[0, 1].any()
    assert joint(out, b, "hip_centre")[0, 0].all()
    assert joint(out, b, "right_hip")[0, 1].all()
    assert not out[1].any()


def test_score_is_averaged_dropped_or_one() -> None:
    a, b = get_layout("coco17"), get_layout("openpose18")
    pose = random_pose(a)
    score = joint(map_layout(a, b).apply(pose), b, "neck")[..., 2]
    ends = joint(pose, a, "left_shoulder"), joint(pose, a, "right_shoulder")
    torch.testing.assert_close(score, (ends[0] + ends[1])[..., 2] / 2)
    plain = make_layout("plain", {**a.content(), "channels": ["x", "y"]})
    assert torch.equal(map_layout(a, plain).apply(pose), pose[:, :, :2])
    flat = random_pose(plain)
    flat[0, 0, :, 3] = 0
    back = map_layout(plain, a).apply(flat)
    want = torch.ones(2, 3, 17)
    want[0, 0, 3] = 0
    assert torch.equal(back[:, :, 2], want)
    assert torch.equal(back[:, :, :2], flat)


def test_where_nothing_above_is_given_the_nearest_joint_is_taken() -> None:
    chain = {"head": None, "neck": "head", "spine": "neck", "hip_centre": "spine"}
    target = make_layout("chain", {"joints": chain})
    source = make_layout("low", {"joints": {"spine": None, "hip_centre": "spine"}})
    found = map_layout(source, target)
    assert found.filled == {"head": "spine", "neck": "spine"}


def test_above_comes_before_below() -> None:
    arm = ["left_shoulder", "left_elbow", "left_wrist", "left_hand"]
    target = make_layout("arm", {"joints": dict(zip(arm, [None, *arm], strict=False))})
    source = make_layout("ends", {"joints": {arm[0]: None, arm[3]: arm[0]}})
    found = map_layout(source, target)
    assert found.filled == {"left_elbow": "left_shoulder", "left_wrist": "left_shoulder"}


def test_too_little_in_common_is_refused() -> None:
    source = make_layout("hand", {"joints": {"left_wrist": None, "left_hand": "left_wrist"}})
    with pytest.raises(UserError, match=r"only 2 of the 20 joints of kinect20.*half are needed"):
        map_layout(source, get_layout("kinect20"))


@pytest.mark.parametrize(("a", "b"), [("ntu25", "coco17"), ("coco17", "ntu25")])
def test_space_and_plane_are_not_mixed(a: str, b: str) -> None:
    with pytest.raises(UserError, match=r"coordinates a joint.*Pre-train on poses with"):
        map_layout(get_layout(a), get_layout(b))


def test_poses_of_another_layout_are_refused() -> None:
    found: LayoutMap = map_layout(get_layout("kinect20"), get_layout("ntu25"))
    with pytest.raises(UserError, match="3 channels and 20 joints"):
        found.apply(torch.zeros(1, 2, 3, 25))


def test_a_person_who_faces_the_viewer_has_the_left_hand_on_the_right() -> None:
    left = {"y": [-1, 0, 0], "-y": [1, 0, 0], "z": [1, 0, 0]}  # sensor in front; room
    ahead = {"y": [0, 0, -1], "-y": [0, 0, -1], "z": [0, -1, 0]}
    for up, side in left.items():
        layout = make_layout("one", {"joints": {"head": None}, "up": up})
        right, upwards, towards = view_axes(layout)
        np.testing.assert_array_equal(right, side)
        np.testing.assert_array_equal(towards, ahead[up])
        np.testing.assert_array_equal(np.cross(right, upwards), towards)


def test_a_walk_around_comes_back_and_begins_at_the_right() -> None:
    axes = view_axes(get_layout("kinect20"))
    np.testing.assert_allclose(turned(axes, 360), axes, atol=1e-12)
    quarter = turned(axes, 90)
    np.testing.assert_allclose(quarter[2], axes[0], atol=1e-12)  # the viewer is where right was
    np.testing.assert_allclose(np.cross(quarter[0], quarter[1]), quarter[2], atol=1e-12)
    assert [axis_name(axis) for axis in quarter] == ["z", "y", "-x"]
    assert axis_name(turned(axes, 45)[0]) == ""
