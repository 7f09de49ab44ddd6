"""Every layout file: a tree, all its joints, sides that mirror each other, names all share."""

from __future__ import annotations

import pytest
import yaml

from halpgraph.errors import UserError
from halpgraph.layout import AXES, FOLDER, Layout, get_layout, layouts, make_layout
from halpgraph.layout_map import NAMES

JOINTS = {
    "coco17": 17,
    "h36m17": 17,
    "kinect20": 20,
    "mediapipe33": 33,
    "msr20": 20,
    "ntu25": 25,
    "openpose18": 18,
    "openpose25": 25,
    "utd20": 20,
}


@pytest.fixture(params=layouts())
def layout(request: pytest.FixtureRequest) -> Layout:
    return get_layout(request.param)


def test_every_layout_is_known_here() -> None:
    assert layouts() == sorted(JOINTS)


def test_joints_are_as_many_as_its_name_says(layout: Layout) -> None:
    assert layout.num_joints == JOINTS[layout.name] == len(set(layout.joints))


def test_it_is_a_tree_with_one_root(layout: Layout) -> None:
    assert len(layout.bones) == layout.num_joints - 1
    (root,) = (i for i, p in enumerate(layout.parents) if i == p)
    for joint in range(layout.num_joints):
        steps = 0
        while joint != root:
            joint, steps = layout.parents[joint], steps + 1
            assert steps < layout.num_joints


def test_names_are_those_that_all_layouts_share(layout: Layout) -> None:
    assert set(layout.joints) <= set(NAMES)


def test_mirror_is_an_involution_that_swaps_the_sides(layout: Layout) -> None:
    assert [layout.mirror[i] for i in layout.mirror] == list(range(layout.num_joints))
    swap = {"left": "right", "right": "left"}
    for joint, other in zip(layout.joints, layout.mirror, strict=True):
        side, _, rest = joint.partition("_")
        want = f"{swap[side]}_{rest}" if side in swap else joint
        assert layout.joints[other] == want


def test_mirrored_bones_are_bones(layout: Layout) -> None:
    mirrored = {(layout.mirror[c], layout.mirror[p]) for c, p in layout.bones}
    assert mirrored == set(layout.bones)


def test_parents_of_one_side_are_on_it_or_in_the_middle(layout: Layout) -> None:
    for child, parent in layout.bones:
        sides = [layout.joints[i].split("_")[0] for i in (child, parent)]
        if sides[0] not in ("left", "right"):
            assert sides[1] not in ("left", "right")
        else:
            assert sides[1] in (sides[0], *{"hip", "spine", "shoulder", "neck", "nose", "head"})


def test_torso_shoulders_up_and_origin_are_sensible(layout: Layout) -> None:
    assert layout.torso is not None
    assert layout.shoulders is not None
    low, high = (layout.joints[i] for i in layout.torso)
    assert "hip" in low
    assert "shoulder" in high or high == "neck"
    left, right = (layout.joints[i] for i in layout.shoulders)
    assert (left, right) == ("left_shoulder", "right_shoulder")
    assert AXES[layout.up][0] < layout.space
    assert layout.joints[layout.origin] in ("hip_centre", "spine", "neck", "nose")


def test_content_is_read_back(layout: Layout) -> None:
    assert make_layout(layout.name, layout.content()) == layout
    text = (FOLDER / f"{layout.name}.yaml").read_text(encoding="utf-8")
    assert make_layout(layout.name, yaml.safe_load(text)) == layout


def test_poses_in_images_have_a_score_and_y_downwards() -> None:
    for name in ("coco17", "openpose18", "openpose25"):
        layout = get_layout(name)
        assert (layout.channels, layout.up) == (("x", "y", "score"), "-y")


@pytest.mark.parametrize(
    ("name", "joint", "number"),
    [
        ("coco17", "left_ankle", 15),
        ("openpose18", "right_eye", 14),
        ("openpose18", "left_ear", 17),
        ("openpose25", "hip_centre", 8),
        ("openpose25", "right_heel", 24),
        ("mediapipe33", "left_hip", 23),
        ("mediapipe33", "right_big_toe", 32),
        ("h36m17", "left_hip", 4),
        ("h36m17", "head", 10),
        ("msr20", "left_foot", 18),
        ("msr20", "head", 19),
        ("ntu25", "shoulder_centre", 20),
        ("kinect20", "left_shoulder", 4),
    ],
)
def test_joints_stand_where_the_data_have_them(name: str, joint: str, number: int) -> None:
    assert get_layout(name).index(joint) == number


MSR_BONES = """20-3 1-3 2-3 1-8 8-10 10-12 2-9 9-11 11-13 3-4 4-7 7-5 7-6 5-14 6-15 14-16 15-17
16-18 17-19"""
OPENPOSE18 = """4-3 3-2 7-6 6-5 13-12 12-11 10-9 9-8 11-5 8-2 5-1 2-1 0-1 15-0 14-0 17-15 16-14"""
COCO17 = "15-13 13-11 16-14 14-12 11-5 12-6 9-7 7-5 10-8 8-6 5-0 6-0 1-0 3-1 2-0 4-2"
BODY_25 = """1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18
14-19 19-20 14-21 11-22 22-23 11-24"""


@pytest.mark.parametrize(
    ("name", "bones", "first"),
    [
        ("msr20", MSR_BONES, 1),
        ("openpose18", OPENPOSE18, 0),
        ("coco17", COCO17, 0),
        ("openpose25", BODY_25, 0),
    ],
)
def test_bones_are_the_published_ones(name: str, bones: str, first: int) -> None:
    pairs = [[int(joint) - first for joint in bone.split("-")] for bone in bones.split()]
    assert {frozenset(bone) for bone in pairs} == {frozenset(b) for b in get_layout(name).bones}


def test_an_unknown_layout_is_refused_with_a_hint() -> None:
    with pytest.raises(UserError, match="did you mean 'coco17'"):
        get_layout("coco_17")
