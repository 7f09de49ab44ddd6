"""Pictures of skeletons: every joint and bone that was seen is drawn, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from halpgraph.data.clips import Clip
from halpgraph.drawing import save_gif, save_strip, strip_svg
from halpgraph.drawing.picture import LEFT, MIDDLE, RIGHT, Picture, stills, strip
from halpgraph.drawing.scene import MINUS, make_scene, seen_joints
from halpgraph.errors import UserError
from halpgraph.layout import Layout, get_layout, layouts

Pose = NDArray[np.float32]


def random_pose(name: str = "kinect20", persons: int = 1, frames: int = 12) -> tuple[Pose, Layout]:
    layout = get_layout(name)
    random = np.random.default_rng(0)
    size = (persons, frames, layout.num_joints, len(layout.channels))
    return (random.random(size) + 1).astype(np.float32), layout


def drawn(text: str) -> tuple[list[tuple[float, ...]], list[tuple[float, ...]]]:
    """Return the bones (x1, y1, x2, y2) and joints (x, y) of an SVG without a legend."""
    found: dict[str, list[tuple[float, ...]]] = {"bones": [], "joints": []}
    for path in ElementTree.fromstring(text).iter():
        kind, number = path.get("class"), r"(-?[\d.]+)"
        if kind in found:
            line = rf"M{number} {number}" + (rf"L{number} {number}" if kind == "bones" else "h0")
            parts = re.findall(line, path.get("d", ""))
            assert re.sub(line, "", path.get("d", "")) == ""
            found[kind] += [tuple(map(float, part)) for part in parts]
    return found["bones"], found["joints"]


@pytest.mark.parametrize("name", layouts())
@pytest.mark.parametrize("persons", [1, 2])
def test_all_bones_and_joints_are_drawn(name: str, persons: int) -> None:
    pose, layout = random_pose(name, persons)
    bones, joints = drawn(strip_svg(pose, layout, frames=5, legend=False))
    assert len(joints) == 5 * persons * layout.num_joints
    assert len(bones) == 5 * persons * (layout.num_joints - 1)
    assert {end for a, b, c, d in bones for end in ((a, b), (c, d))} <= set(joints)


def test_what_was_not_seen_is_not_drawn() -> None:
    pose, layout = random_pose(persons=2, frames=3)
    pose[1, 1] = 0  # a body that is away in one of three frames
    pose[0, :, layout.index("left_elbow")] = 0  # one bone above, one below
    bones, joints = drawn(strip_svg(pose, layout, legend=False))
    assert len(joints) == (3 + 2) * 20 - 3
    assert len(bones) == (3 + 2) * 19 - 3 * 2


def test_a_score_alone_is_nothing_seen() -> None:
    pose, layout = random_pose("coco17", frames=1)
    pose[0, 0, 3, :2] = 0
    assert len(drawn(strip_svg(pose, layout, legend=False))[1]) == 16


def test_nobody_at_all_is_an_empty_picture() -> None:
    text = strip_svg(np.zeros((1, 4, 20, 3)), get_layout("kinect20"), legend=False)
    assert drawn(text) == ([], [])


def test_the_origin_of_a_centred_body_is_drawn() -> None:
    pose, layout = random_pose()
    centred = pose - pose[:, :, layout.origin, None]
    centred[..., layout.origin, :] = 0
    wide = np.concatenate([centred, centred], axis=2)[:, :, :20]
    wide[:, :, 1], wide[:, :, 2] = -5, 5  # joints stand around it
    assert seen_joints(wide, layout).all()
    pose[:, :, layout.origin] = 0  # but nobody stands around the camera
    assert (~seen_joints(pose, layout)).sum() == 12


def test_one_scale_and_one_ground_for_all_frames() -> None:
    pose, layout = random_pose(frames=3)
    pose[:, 1] = pose[:, 0] * [1, 0.5, 1] + [4, 0, 0]  # half as tall, and elsewhere
    pose[:, 2] = pose[:, 0] - [1, 0, 0]
    limbs = np.array(drawn(strip_svg(pose, layout, legend=False))[1]).reshape(3, 20, 2)
    tall = np.ptp(limbs[..., 1], axis=1)
    assert tall[1] == pytest.approx(tall[0] / 2, abs=0.2)
    assert np.ptp(limbs[0, :, 0]) == pytest.approx(np.ptp(limbs[1, :, 0]), abs=0.2)
    step = limbs[2] - limbs[0]
    np.testing.assert_allclose(step, np.broadcast_to(step[0], step.shape), atol=0.2)
    assert step[0, 1] == pytest.approx(0, abs=0.11)


def figure(layout: str, **joints: tuple[float, ...]) -> tuple[Pose, Layout]:
    """Return a body of a few joints, one frame."""
    found = get_layout(layout)
    pose = np.zeros((1, 1, found.num_joints, len(found.channels)), np.float32)
    for name, place in joints.items():
        pose[0, 0, found.index(name)] = place
    return pose, found


@pytest.mark.parametrize(
    ("layout", "places"),
    [
        ("kinect20", {"head": (0.1, 2, 3), "left_hand": (-1, 1, 3), "right_hand": (1, 1, 3)}),
        ("mediapipe33", {"nose": (0.1, -2, 3), "left_hip": (1, 1, 3), "right_hip": (-1, 1, 3)}),
        ("h36m17", {"head": (0.1, 3, 2), "left_wrist": (1, 3, 1), "right_wrist": (-1, 3, 1)}),
        ("coco17", {"nose": (50, 10, 1), "left_hip": (90, 99, 1), "right_hip": (9, 99, 1)}),
    ],
)
def test_the_head_is_above_and_left_is_right_as_seen_from_the_front(
    layout: str, places: dict[str, tuple[float, ...]]
) -> None:
    picture = strip(make_scene(*figure(layout, **places)), legend=False)
    at = {limbs.side: limbs.dots[0] for limbs in picture.limbs}
    assert at[MIDDLE][1] < at[LEFT][1] == at[RIGHT][1]
    assert at[RIGHT][0] < at[MIDDLE][0] < at[LEFT][0]


def test_from_the_side_what_is_nearer_to_the_sensor_is_on_the_left() -> None:
    pose, layout = figure("kinect20", head=(0.1, 2, 3), left_hand=(0.1, 1, 2))
    picture = strip(make_scene(pose, layout, turn=90), legend=False)
    at = {limbs.side: limbs.dots[0] for limbs in picture.limbs}
    assert at[LEFT][0] < at[MIDDLE][0]


def test_sides_are_coloured_and_others_are_paler() -> None:
    pose, layout = random_pose(persons=2, frames=1)
    picture = strip(make_scene(pose, layout), legend=False)
    assert [limbs.faded for limbs in picture.limbs] == [True] * 3 + [False] * 3
    count = Counter((limbs.side, len(limbs.dots), len(limbs.lines)) for limbs in picture.limbs)
    assert count == {(LEFT, 8, 8): 2, (RIGHT, 8, 8): 2, (MIDDLE, 4, 3): 2}
    text = strip_svg(pose, layout, legend=False)
    assert text.count("var(--c0,") == text.count("var(--c1,") == 2
    assert text.count('opacity="0.4"') == 3


def words(picture: Picture) -> list[str]:
    return [text for *_, text, _ in picture.words]


def test_frames_are_numbered_and_spread_from_the_first_to_the_last() -> None:
    pose, layout = random_pose(frames=31)
    scene = make_scene(pose, layout, frames=4)
    assert scene.frames.tolist() == [0, 10, 20, 30]
    assert words(strip(scene, legend=False))[1:] == ["10", "20", "30"]
    assert make_scene(pose[:, :3], layout, 8).frames.tolist() == [0, 1, 2]
    assert make_scene(pose, layout, None).frames.tolist() == list(range(31))


def test_the_legend_says_sides_persons_and_axes() -> None:
    pose, layout = random_pose(persons=2)
    said = words(strip(make_scene(pose, layout)))[8:]
    assert said == [
        "left",
        "right",
        "middle",
        "second person",
        "frames 0 to 11",
        f"→ {MINUS}x  ↑ y",
    ]
    alone = words(strip(make_scene(pose[:1], layout, turn=30)))[8:]
    assert alone == ["left", "right", "middle", "frames 0 to 11", "turned by 30°  ↑ y"]
    flat = words(strip(make_scene(*random_pose("openpose25"))))
    assert flat[-1] == f"→ x  ↑ {MINUS}y"


def test_svg_needs_nothing_and_says_what_it_shows() -> None:
    pose, layout = random_pose()
    for alone in (False, True):
        text = strip_svg(pose, layout, said='<b> & "x"', alone=alone)
        root = ElementTree.fromstring(text)
        assert root.get("aria-label") == '<b> & "x"'
        assert root[0].text == '<b> & "x"'
        assert "href" not in text
        assert "url(" not in text
        assert ("prefers-color-scheme" in text) == alone


def test_everything_is_inside_the_picture() -> None:
    for name in ("kinect20", "coco17"):
        pose, layout = random_pose(name, persons=2)
        scene = make_scene(pose, layout)
        one = make_scene(pose[:, :1], layout)  # its legend is wider than its frame
        assert strip(one).width > strip(one, legend=False).width
        for picture in (strip(scene), strip(one), *stills(scene)):
            dots = np.array([dot for limbs in picture.limbs for dot in limbs.dots])
            assert (dots > 0).all()
            assert (dots < [picture.width, picture.height]).all()
            assert all(0 <= x < picture.width for x, *_ in picture.words)


def test_a_clip_is_drawn_as_its_pose() -> None:
    pose, layout = random_pose()
    assert strip_svg(Clip("a", pose, 1), layout) == strip_svg(pose, layout)


def test_strips_are_written_as_png_and_svg(tmp_path: Path) -> None:
    pose, layout = random_pose(persons=2)
    assert save_strip(tmp_path / "a.png", pose, layout, frames=5) == 5
    with Image.open(tmp_path / "a.png") as image:
        colours = {pixel for _, pixel in image.convert("RGB").getcolors(1 << 20) or []}
    assert {(0, 114, 178), (213, 94, 0), (255, 255, 255)} <= colours
    assert save_strip(tmp_path / "a.svg", pose, layout) == 8
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("still", [False, True])
def test_a_gif_has_every_frame(tmp_path: Path, still: bool) -> None:
    pose, layout = random_pose(frames=7)
    if still:
        pose[:] = pose[:, :1]
    assert save_gif(tmp_path / "a.gif", pose, layout, fps=10) == 7
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 7
        assert image.info["duration"] == 100
        assert image.info["loop"] == 0
    assert save_gif(tmp_path / "b.gif", pose, layout, frames=3) == 3


def test_bodies_move_about_in_a_gif() -> None:
    pose, layout = random_pose(frames=2)
    pose[:, 1] = pose[:, 0] + [-1, 0, 0]  # to the right, as seen from the front
    first, second = stills(make_scene(pose, layout))
    a, b = (np.array([dot for limbs in p.limbs[:3] for dot in limbs.dots]) for p in (first, second))
    step = b - a
    assert (step[:, 0] > 10).all()
    np.testing.assert_allclose(step[:, 1], 0, atol=0.11)
    assert (first.width, first.height) == (second.width, second.height)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    pose, layout = random_pose()
    with pytest.raises(UserError, match=r"poses \[M, T, 25, 3\] are needed"):
        strip_svg(pose, get_layout("ntu25"))
    with pytest.raises(UserError, match="frames: 0"):
        strip_svg(pose, layout, frames=0)
    with pytest.raises(UserError, match="turn: the poses of layout coco17 are flat"):
        strip_svg(*random_pose("coco17"), turn=10)
    with pytest.raises(UserError, match=r"\.png or \.svg"):
        save_strip(tmp_path / "a.gif", pose, layout)
    with pytest.raises(UserError, match=r"drawn as \.gif"):
        save_gif(tmp_path / "a.png", pose, layout)
    with pytest.raises(UserError, match="fps"):
        save_gif(tmp_path / "a.gif", pose, layout, fps=0)
    assert not list(tmp_path.iterdir())
