from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from halpgraph.data.readers._agcn import agcn, turn_to
from halpgraph.data.readers._crossclr import crossclr
from halpgraph.data.readers._sgn import plain, sgn
from halpgraph.data.readers._skeleton_text import Recording, parse
from tests.data.readers.raw_files import ID, frames_of, moving, skeleton_text
from tests.data.readers.slow import slow_agcn, slow_crossclr, slow_sgn

COUNT = 30


def recorded(frames: list[Any]) -> Recording:
    return parse(skeleton_text(frames).encode(), "x")


def body(seed: int, where: Any, size: float = 0.1) -> tuple[int, Any, Any]:
    return ID + seed, where, moving(COUNT, seed, size)


def wide(seed: int, where: Any, share: float) -> tuple[int, Any, Any]:
    xyz = moving(COUNT, seed, 0.5)
    lying = int(share * len(where))
    xyz[:lying] = xyz[:lying][..., [1, 0, 2]]  # as wide as it was high
    return ID + seed, where, xyz


CASES = {
    "one body": frames_of(body(1, range(COUNT)), count=COUNT),
    "two bodies": frames_of(body(1, range(COUNT)), body(2, range(COUNT), 0.4), count=COUNT),
    "empty frames at the start": frames_of(body(1, range(4, COUNT)), count=COUNT),
    "empty frames at the end": frames_of(body(1, range(12)), count=COUNT),
    "a gap": frames_of(body(1, [*range(5), *range(9, 22)]), count=COUNT),
    "a gap after an empty start": frames_of(body(1, [*range(3, 8), *range(12, 28)]), count=COUNT),
    "a second body with a gap": frames_of(
        body(1, range(COUNT)), body(2, [*range(8), *range(15, 25)], 0.3), count=COUNT
    ),
    "second body first in the file later": frames_of(
        body(3, range(15, 30), 0.3), body(1, range(5, 28)), count=COUNT
    ),
    "a short third body": frames_of(
        body(1, range(COUNT)), body(2, range(COUNT), 0.3), body(3, range(3, 14), 0.9), count=COUNT
    ),
    "one that takes over": frames_of(
        body(1, range(14)), body(2, range(COUNT), 0.4), body(3, range(16, 30), 0.2), count=COUNT
    ),
    "touching in one frame": frames_of(body(1, range(15)), body(2, range(14, 30)), count=COUNT),
    "mostly wide": frames_of(
        body(1, range(COUNT)), wide(2, range(COUNT), 0.8), body(4, range(COUNT)), count=COUNT
    ),
    "partly wide": frames_of(body(1, range(COUNT), 0.3), wide(2, range(COUNT), 0.4), count=COUNT),
    "all wide": frames_of(wide(1, range(COUNT), 1.0), wide(2, range(COUNT), 1.0), count=COUNT),
    "five at once": frames_of(*(body(k, range(COUNT), 0.1 * k) for k in range(1, 6)), count=COUNT),
}


@pytest.mark.parametrize("case", CASES)
def test_agcn_is_as_published(case: str) -> None:
    np.testing.assert_allclose(agcn(recorded(CASES[case])), slow_agcn(CASES[case]), atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_crossclr_is_as_published(case: str) -> None:
    got = crossclr(recorded(CASES[case]))
    np.testing.assert_allclose(got, slow_crossclr(CASES[case]), atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_sgn_is_as_published_with_true_frames(case: str) -> None:
    np.testing.assert_allclose(sgn(recorded(CASES[case])), slow_sgn(CASES[case]), atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_halpgraph_is_sgn_without_moving_and_without_the_length_rule(case: str) -> None:
    expected = slow_sgn(CASES[case], short=0, centred=False)
    np.testing.assert_allclose(plain(recorded(CASES[case])), expected, atol=1e-12)


def test_halpgraph_keeps_metres_before_the_camera() -> None:
    frames = CASES["empty frames at the start"]
    np.testing.assert_array_equal(plain(recorded(frames))[0], [f[0][1] for f in frames[4:]])


def test_a_body_that_comes_back_is_not_shifted_in_time() -> None:
    frames = CASES["a second body with a gap"]
    pose = plain(recorded(frames))
    there = [t for t, bodies in enumerate(frames) if len(bodies) == 2]
    second = int(np.argmin(pose.any((2, 3)).sum(1)))
    assert np.flatnonzero(pose[second].any((1, 2))).tolist() == there


def test_order_in_the_file_does_not_matter_where_bodies_have_ids() -> None:
    frames = CASES["two bodies"]
    turned = [bodies[::-1] if t % 2 else bodies for t, bodies in enumerate(frames)]
    np.testing.assert_array_equal(plain(recorded(frames)), plain(recorded(turned)))
    assert not np.allclose(agcn(recorded(frames)), agcn(recorded(turned)))  # as published


def test_agcn_puts_the_first_body_upright_and_facing() -> None:
    pose = agcn(recorded(CASES["two bodies"]))
    assert not pose[0, :, 1].any()  # joint 2 is the origin of every frame
    shoulders = pose[0, 0, 8] - pose[0, 0, 4]
    np.testing.assert_allclose(shoulders[1:], 0, atol=1e-9)
    assert shoulders[0] > 0


def test_crossclr_shoulders_have_no_depth_where_the_sense_fits() -> None:
    pose = crossclr(recorded(CASES["one body"]))
    frames = CASES["one body"]
    depth = np.array([f[0][1][8, 2] - f[0][1][4, 2] for f in frames])
    fits = np.sign(depth) == (1 if depth.sum() >= 0 else -1)
    assert fits.any()
    assert np.abs((pose[0, :, 8] - pose[0, :, 4])[fits, 2]).max() < 0.02


def test_crossclr_counts_the_frames_of_the_first_body() -> None:
    frames = CASES["a gap"]
    assert crossclr(recorded(frames)).shape[1] == 18


def test_turn_to_leaves_nothing_and_the_axis_alone() -> None:
    np.testing.assert_array_equal(turn_to(np.zeros(3), 2), np.eye(3))
    np.testing.assert_array_equal(turn_to(np.array([0, 0, 2.0]), 2), np.eye(3))


def test_turn_to_is_a_rotation_onto_the_axis() -> None:
    random = np.random.default_rng(0)
    for axis in range(3):
        vector = random.normal(size=3)
        turn = turn_to(vector, axis)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        np.testing.assert_allclose(
            turn @ vector, np.linalg.norm(vector) * np.eye(3)[axis], atol=1e-12
        )


def test_short_bodies_alone_are_kept_by_all_but_sgn() -> None:
    frames = frames_of(body(1, range(6)), body(2, range(8)), count=8)
    assert not sgn(recorded(frames)).any()
    assert plain(recorded(frames)).any((1, 2, 3)).all()
    assert agcn(recorded(frames)).any()


def test_a_single_frame_is_a_clip_by_every_convention() -> None:
    frames = frames_of(body(1, [0]), count=1)
    for convention in (plain, sgn, agcn, crossclr):
        pose = convention(recorded(frames))
        assert pose.shape == (2, 1, 25, 3)
        assert pose[0].any()
        assert not pose[1].any()
