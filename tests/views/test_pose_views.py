"""Views of skeletons: what holds for each of them, and what each does, against plain loops."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from toy import check_batch, toy_batch, toy_layout, toy_poses

from halpgraph.errors import UserError
from halpgraph.layout import make_layout
from halpgraph.pose import clip_of_body
from halpgraph.registry import views

LINEAR: list[dict[str, Any]] = [
    {"name": "shear", "ratio": 0.7},
    {"name": "joint_mask", "joints": 3},
    {"name": "joint_mask", "ratio": 0.6, "zero": 0.0},
    {"name": "rotate", "yaw": [-90, 90], "tilt": [0, 20]},
    {"name": "rotate", "yaw": [0, 30], "tilt": [0, 1], "axis": "any"},
    {"name": "scale"},
    {"name": "axis_mask", "p": 0.8},
]
OTHER: list[dict[str, Any]] = [
    {"name": "flip"},
    {"name": "flip", "mirror": False},
    {"name": "noise", "std": 0.1},
    {"name": "blur", "kernel": 5},
    {"name": "reverse"},
]
HALP = {"name": "choice", "of": [LINEAR[1], "shear"]}
MIXED = {"name": "choice", "of": ["identity", HALP, LINEAR[5], *OTHER]}
ALL = {"name": "compose", "of": [MIXED, HALP, *OTHER]}
SPECS = [*LINEAR, *OTHER, HALP, MIXED, ALL]
LAYOUTS = [
    toy_layout(),
    toy_layout("x", "y"),
    toy_layout("x", "y", "score", up="-y"),
    toy_layout("x", "y", "z", "score", up="z"),
]


def label(spec: dict[str, Any]) -> str:
    rest = [str(value) for key, value in spec.items() if key not in ("name", "of")]
    return "-".join([spec["name"], str(len(spec.get("of", ()))), *rest])


every_view = pytest.mark.parametrize("spec", SPECS, ids=label)
every_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda found: "".join(found.channels))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def apply(spec: Any, batch: Any, seed: int = 0, chosen: Any = None) -> torch.Tensor:
    found: torch.Tensor = views.build(spec).change(batch, chosen, seeded(seed)).pose
    return found


def on_points(batch: Any, matrices: torch.Tensor) -> np.ndarray:
    """Multiply every point by its matrix, one by one. Shapes: matrices [B, S, S, 1 or V]."""
    out, clip = batch.pose.double().numpy().copy(), clip_of_body(batch)
    each = matrices.double().numpy()
    bodies, frames, _, joints = out.shape
    space = batch.layout.space
    for r in range(bodies):
        for v in range(joints):
            matrix = each[clip[r], :, :, v if each.shape[3] > 1 else 0]
            for t in range(frames):
                out[r, t, :space, v] = matrix.T @ out[r, t, :space, v]
                if not matrix.any():
                    out[r, t, space:, v] = 0
    return out


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-4, atol=1e-5)


@every_view
@every_layout
def test_layout_order_and_the_input_are_kept(spec: dict[str, Any], layout: Any) -> None:
    batch = toy_poses(layout=layout)
    before = batch.pose.clone()
    out = views.build(spec)(batch, seeded())
    check_batch(out)
    assert out.pose.shape == before.shape
    assert out.pose.isfinite().all()
    assert torch.equal(batch.pose, before), "the input was changed"
    assert torch.equal(out.id, batch.id)
    assert torch.equal(out.body_ptr, batch.body_ptr)
    assert not torch.equal(out.pose, before)


@every_view
@every_layout
def test_what_is_absent_stays_absent(spec: dict[str, Any], layout: Any) -> None:
    """Joints that change places (flip) or frames (reverse) take their absence with them."""
    batch = toy_poses(layout=layout)
    batch.pose[3] = 0
    moves = "flip" in str(spec) or "reverse" in str(spec)
    for seed in range(4):
        out = apply(spec, batch, seed)
        assert not out[3].any()
        gone = (batch.pose == 0).all(2)
        there = (out != 0).any(2)
        assert not (there & gone).any() or moves
        assert there.sum() <= (~gone).sum()


@every_view
@every_layout
def test_clips_that_are_not_chosen_stay_bit_equal(spec: dict[str, Any], layout: Any) -> None:
    batch = toy_poses(layout=layout, clips=15)
    chosen = torch.arange(15) % 3 == 0
    body = chosen[clip_of_body(batch)]
    out = apply(spec, batch, chosen=chosen)
    assert torch.equal(out[~body], batch.pose[~body])
    assert not torch.equal(out[body], batch.pose[body])
    assert torch.equal(apply(spec, batch, chosen=~chosen & chosen), batch.pose)


@every_view
def test_the_generator_alone_decides(spec: dict[str, Any]) -> None:
    batch, view = toy_poses(), views.build(spec)
    first = view(batch, seeded(1)).pose
    torch.manual_seed(3)
    for twin in (view, copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        assert repr(twin) == repr(view)
        assert torch.equal(twin(batch, seeded(1)).pose, first)
    assert any(not torch.equal(view(batch, seeded(s)).pose, first) for s in range(2, 6))


@every_view
def test_clips_do_not_see_each_other(spec: dict[str, Any]) -> None:
    """Other contents of all clips but one leave that one as it was."""
    batch, other = toy_poses(1), toy_poses(2)
    mine = clip_of_body(batch) == 7
    other.pose[mine] = batch.pose[mine]
    a, b = apply(spec, batch), apply(spec, other)
    assert torch.equal(a[mine], b[mine])
    assert not torch.equal(a, b)


@pytest.mark.parametrize("spec", LINEAR, ids=label)
@every_layout
def test_linear_views_are_the_plain_product(spec: dict[str, Any], layout: Any) -> None:
    batch = toy_poses(layout=layout)
    view = views.build({**spec, "p": 1.0} if "p" in spec else spec)
    matrices = view.matrices(batch, seeded(4))
    out = view(batch, seeded(4)).pose
    close(out, on_points(batch, matrices))
    assert len(matrices.flatten(1).unique(dim=0)) > 1, "clips draw for themselves"


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "shear", "ratio": 0},
        {"name": "joint_mask", "joints": 0},
        {"name": "rotate", "yaw": [0, 0]},
        {"name": "scale", "factor": [1, 1]},
        {"name": "axis_mask", "p": 0},
        {"name": "flip", "p": 0},
        {"name": "noise", "std": 0},
        {"name": "noise", "p": 0},
        {"name": "blur", "p": 0},
        {"name": "blur", "kernel": 1, "p": 1},
        {"name": "reverse", "p": 0},
        {"name": "identity"},
    ],
    ids=label,
)
@every_layout
def test_nothing_to_do(spec: dict[str, Any], layout: Any) -> None:
    batch = toy_poses(layout=layout)
    torch.testing.assert_close(apply(spec, batch), batch.pose)


class TestShear:
    @every_layout
    def test_ones_and_bounded_slants(self, layout: Any) -> None:
        batch = toy_poses(layout=layout, clips=400)
        found = views.build({"name": "shear", "ratio": 0.5}).matrices(batch, seeded())[..., 0]
        space = layout.space
        diagonal = torch.eye(space, dtype=torch.bool)
        assert (found[:, diagonal] == 1).all()
        rest = found[:, ~diagonal]
        assert rest.abs().max() <= 0.5
        assert rest.min() < -0.49
        assert rest.max() > 0.49
        assert abs(float(rest.mean())) < 0.05
        assert torch.corrcoef(rest.T).fill_diagonal_(0).abs().max() < 0.2  # each s another


class TestJointMask:
    @every_layout
    @pytest.mark.parametrize("joints", [1, 3, 6])
    def test_exactly_so_many_in_all_frames_and_bodies(self, layout: Any, joints: int) -> None:
        batch = toy_poses(layout=layout, clips=40)
        batch.pose += 1e-3 * (batch.pose == 0)
        out = apply({"name": "joint_mask", "joints": joints}, batch)
        hit = (out != batch.pose).any(2)  # [R, T, V]
        assert (hit == hit[:, :1]).all()
        for clip, low in enumerate(batch.body_ptr[:-1].tolist()):
            bodies = hit[low : int(batch.body_ptr[clip + 1]), 0]
            assert (bodies == bodies[0]).all()
            assert bodies[0].sum() == joints
        assert len(hit[:, 0].unique(dim=0)) > 4

    def test_zeroed_or_multiplied_by_one_matrix(self) -> None:
        batch = toy_poses(clips=600, layout=toy_layout("x", "y", "z", "score"))
        found = views.build({"name": "joint_mask", "joints": 4, "zero": 0.25})
        found = found.matrices(batch, seeded())  # [B, 3, 3, V]
        hit = (found != torch.eye(3)[..., None]).flatten(1, 2).any(1)
        assert (hit.sum(1) == 4).all()
        zero = 0
        for matrices, mine in zip(found, hit, strict=True):
            one = matrices[..., mine]
            assert (one == one[..., :1]).all()
            assert one.abs().max() <= 1
            zero += int(not one.any())
        assert 0.18 < zero / 600 < 0.32
        assert hit.float().mean(0).min() > 0.45  # each joint as often: 4 / 7
        assert hit.float().mean(0).max() < 0.7

    def test_confidence_goes_with_the_joint(self) -> None:
        batch = toy_poses(layout=toy_layout("x", "y", "score"))
        spec = {"name": "joint_mask", "joints": 3, "zero": 1.0}
        out = apply(spec, batch)
        assert ((out[1:-1, :, -1] == 0).sum(2) == 3).all()
        kept = apply({**spec, "zero": 0.0}, batch)
        assert torch.equal(kept[:, :, -1], batch.pose[:, :, -1])

    def test_ratio_rounds_down_and_too_many_are_refused(self) -> None:
        batch = toy_poses()
        hit = apply({"name": "joint_mask", "ratio": 0.6, "zero": 1.0}, batch)[1] == 0
        assert hit[0, 0].sum() == 4
        with pytest.raises(UserError, match=r"joint_mask\.joints: 7, but layout toy has 7; use 6"):
            apply({"name": "joint_mask", "joints": 7}, batch)


class TestRotate:
    @pytest.mark.parametrize("up", ["x", "y", "z", "-x", "-y", "-z"])
    def test_yaw_keeps_heights_and_lengths(self, up: str) -> None:
        layout = toy_layout(up=up)
        batch = toy_poses(layout=layout)
        out = apply({"name": "rotate", "yaw": [20, 160]}, batch)
        axis = "xyz".index(up[-1])
        torch.testing.assert_close(out[:, :, axis], batch.pose[:, :, axis])
        torch.testing.assert_close(out.norm(dim=2), batch.pose.norm(dim=2))
        others = [i for i in range(3) if i != axis]
        assert (out - batch.pose)[:, :, others].abs().max() > 0.1

    @pytest.mark.parametrize("axis", ["up", "any"])
    def test_distances_and_handedness_are_kept(self, axis: str) -> None:
        batch = toy_poses()
        spec = {"name": "rotate", "yaw": [-180, 180], "tilt": [-60, 60], "axis": axis}
        out = apply(spec, batch)
        old, new = (p.transpose(2, 3).double() for p in (batch.pose, out))  # [R, T, V, 3]
        close(torch.cdist(new, new), torch.cdist(old, old))
        matrices = views.build(spec).matrices(batch, seeded())[..., 0]
        close(torch.linalg.det(matrices), torch.ones(12))

    @pytest.mark.parametrize(("up", "sign"), [("y", 1), ("-y", -1)])
    def test_a_quarter_turn(self, up: str, sign: int) -> None:
        """About y, z goes to x; about -y, the other way."""
        batch = toy_poses(layout=toy_layout(up=up))
        x, y, z = batch.pose.unbind(2)
        out = apply({"name": "rotate", "yaw": [90, 90]}, batch)
        close(out, torch.stack([sign * z, y, -sign * x], 2))

    def test_flat_poses_turn_in_their_plane(self) -> None:
        batch = toy_poses(layout=toy_layout("x", "y", "score"))
        x, y, score = batch.pose.unbind(2)
        out = apply({"name": "rotate", "yaw": [90, 90], "tilt": [50, 60]}, batch)
        close(out, torch.stack([-y, x, score], 2))

    def test_any_axis_is_the_main_one_as_often(self) -> None:
        batch = toy_poses(clips=600)
        spec = {"name": "rotate", "yaw": [30, 30], "axis": "any"}
        found = views.build(spec).matrices(batch, seeded())[..., 0]  # [B, 3, 3]
        main = (found.diagonal(dim1=1, dim2=2) - 1).abs() < 1e-6
        assert (main.sum(1) == 1).all()
        assert (main.sum(0) > 150).all()
        close(found.diagonal(dim1=1, dim2=2).sum(1), np.full(600, 1 + 2 * math.cos(math.pi / 6)))


class TestScaleAndAxes:
    def test_scale_is_one_number_a_clip(self) -> None:
        batch = toy_poses(clips=300)
        out = apply({"name": "scale", "factor": [0.5, 2.0]}, batch)
        factor = out.flatten(1).norm(dim=1) / batch.pose.flatten(1).norm(dim=1)
        close(out, batch.pose * factor[:, None, None, None])
        clip = clip_of_body(batch)
        close(factor, factor[batch.body_ptr[:-1]][clip])
        assert 0.5 <= factor.min() < 0.6
        assert 1.9 < factor.max() <= 2.0

    @every_layout
    def test_one_axis_goes_with_probability_p(self, layout: Any) -> None:
        batch = toy_poses(clips=600, layout=layout)
        out = apply({"name": "axis_mask", "p": 0.4}, batch)
        first = batch.body_ptr[:-1][1:]
        gone = (out[first][:, :, : layout.space] == 0).flatten(3).all(3).all(1)  # [B - 1, S]
        assert gone.sum(1).max() == 1
        assert 0.3 < gone.any(1).float().mean() < 0.5
        assert (gone.sum(0) > 40).all()
        stays = ~gone.any(1)
        assert torch.equal(out[first][stays], batch.pose[first][stays])
        if layout.score:
            assert torch.equal(out[:, :, -1], batch.pose[:, :, -1])


class TestFlip:
    @every_layout
    @pytest.mark.parametrize("mirror", [True, False])
    def test_joints_change_sides(self, layout: Any, mirror: bool) -> None:
        batch = toy_poses(layout=layout)
        spec = {"name": "flip", "p": 1, "mirror": mirror}
        out = apply(spec, batch)
        wanted = batch.pose[..., [0, 1, 2, 4, 3, 6, 5]].clone()
        wanted[:, :, 0] *= -1 if mirror else 1
        assert torch.equal(out, wanted)
        again = toy_poses(layout=layout)
        again.pose = out
        assert torch.equal(apply(spec, again), batch.pose)

    def test_the_mirror_stands_upright(self) -> None:
        batch = toy_poses(layout=toy_layout(up="x"))
        out = apply({"name": "flip", "p": 1}, batch)
        assert torch.equal(out[:, :, 0], batch.pose[:, :, 0][..., [0, 1, 2, 4, 3, 6, 5]])

    def test_half_of_the_clips(self) -> None:
        batch = toy_poses(clips=600)
        out = apply({"name": "flip", "p": 0.5, "mirror": False}, batch)
        changed = (out != batch.pose).flatten(1).any(1)[batch.body_ptr[:-1]]
        assert 0.42 < changed.float().mean() < 0.58

    def test_a_layout_without_pairs_is_refused(self) -> None:
        bare = make_layout("bare", {"joints": {"a": None, "b": "a", "c": "b"}})
        with pytest.raises(UserError, match=r"views\.flip: layout bare has no pairs"):
            apply({"name": "flip", "p": 1}, toy_poses(layout=bare, clips=3))


class TestNoise:
    @every_layout
    def test_spread_and_what_was_not_measured(self, layout: Any) -> None:
        batch = toy_poses(clips=60, layout=layout)
        out = apply({"name": "noise", "std": 0.2, "p": 1}, batch)
        change = out - batch.pose
        if layout.score:
            assert not change[:, :, -1].any()
            change = change[:, :, : layout.space]
        seen = batch.pose[:, :, : layout.space] != 0
        assert not change[~seen].any()
        assert abs(float(change[seen].std()) - 0.2) < 0.01
        assert abs(float(change[seen].mean())) < 0.01
        assert len(change[1:-1].unique()) > 0.9 * change[1:-1].numel()  # bodies differ too


class TestBlur:
    @every_layout
    @pytest.mark.parametrize("frames", [3, 16])
    def test_against_a_plain_loop(self, layout: Any, frames: int) -> None:
        batch = toy_poses(layout=layout, frames=frames)
        out = apply({"name": "blur", "kernel": 7, "sigma": [1.5, 1.5], "p": 1}, batch)
        pose, space = batch.pose.double().numpy(), layout.space
        wanted = pose.copy()
        for r, t, v in np.ndindex(len(pose), frames, layout.num_joints):
            total, weights = np.zeros(space), 0.0
            for d in range(-3, 4):
                point = pose[r, min(max(t + d, 0), frames - 1), :space, v]
                if point.any():
                    weight = math.exp(-0.5 * (d / 1.5) ** 2)
                    total, weights = total + weight * point, weights + weight
            if pose[r, t, :space, v].any():
                wanted[r, t, :space, v] = total / weights
        close(out, wanted)

    def test_constants_stay_even_where_frames_are_missing(self) -> None:
        batch = toy_poses()
        batch.pose[:] = torch.randn(len(batch.pose), 1, 3, 7)
        batch.pose[:, ::3] = 0
        torch.testing.assert_close(apply({"name": "blur", "p": 1}, batch), batch.pose)

    def test_each_clip_has_its_own_width(self) -> None:
        batch = toy_poses(clips=40)
        batch.pose[:] = 1e-20  # seen, but nearly zero
        batch.pose[:, 8] = 1
        peak = apply({"name": "blur", "sigma": [0.1, 2.0], "p": 1}, batch)[:, 8, 0, 0]
        clip = clip_of_body(batch)
        assert torch.equal(peak, peak[batch.body_ptr[:-1]][clip])
        assert peak.min() < 0.25
        assert peak.max() > 0.95

    def test_even_kernels_are_refused(self) -> None:
        with pytest.raises(UserError, match=r"views\.kernel: must be odd"):
            views.build({"name": "blur", "kernel": 4})


@every_layout
def test_reverse_is_time_backwards(layout: Any) -> None:
    batch = toy_poses(layout=layout)
    out = apply({"name": "reverse", "p": 1}, batch)
    assert torch.equal(out, batch.pose[:, torch.arange(15, -1, -1)])


def test_choice_gives_each_clip_one_of_its_views() -> None:
    """Linear views are merged into one product; each clip shows what one of them does alone."""
    batch = toy_poses(clips=300)
    of = [{"name": "scale", "factor": [2, 2]}, "reverse", {"name": "scale", "factor": [3, 3]}]
    of[1] = {"name": "reverse", "p": 1}
    out = apply({"name": "choice", "of": [*of, "identity"]}, batch)
    kinds = torch.stack([2 * batch.pose, batch.pose.flip(1), 3 * batch.pose, batch.pose])
    match = (kinds == out).flatten(2).all(2)[:, batch.body_ptr[:-1]]  # [4, B]
    assert (match.sum(0) == 1).all()
    assert (match.sum(1) > 50).all()


def test_compose_goes_in_order() -> None:
    batch = toy_poses()
    spec = [{"name": "axis_mask", "p": 1}, {"name": "noise", "p": 1, "std": 1.0}]
    masked = apply({"name": "compose", "of": spec}, batch)
    noisy = apply({"name": "compose", "of": spec[::-1]}, batch)
    assert ((masked == 0).flatten(3).all(3).all(1).sum(1) >= 1).all()
    assert ((noisy == 0).flatten(3).all(3).all(1).sum(1) >= 1).all()
    assert not torch.equal(masked, noisy)


@pytest.mark.parametrize("name", ["drop_nodes", "perturb_edges", "subgraph", "mask_features"])
def test_views_of_graphs_refuse_skeletons(name: str) -> None:
    for spec in (name, {"name": "choice", "of": ["identity", name]}):
        with pytest.raises(UserError, match=f"{name} changes graphs.*crop_resize.*shear"):
            views.build(spec)(toy_poses(), seeded())


@pytest.mark.parametrize("spec", [*LINEAR, *OTHER, {"name": "crop_resize"}], ids=label)
def test_views_of_skeletons_refuse_graphs(spec: dict[str, Any]) -> None:
    for whole in (spec, {"name": "choice", "of": ["identity", spec]}):
        with pytest.raises(UserError, match=f"{spec['name']} changes skeletons.*drop_nodes"):
            views.build(whole)(toy_batch(), seeded())


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "shear", "ratio": -1},
        {"name": "joint_mask", "joints": -1},
        {"name": "joint_mask", "ratio": 1.0},
        {"name": "joint_mask", "zero": 1.5},
        {"name": "rotate", "yaw": [10, -10]},
        {"name": "rotate", "axis": "z"},
        {"name": "scale", "factor": [0, 1]},
        {"name": "noise", "std": -1},
        {"name": "flip", "p": 2},
        {"name": "crop_resize", "ratio": [0.5, 0.1]},
        {"name": "crop_resize", "ratio": [0.5, 1.1]},
    ],
    ids=label,
)
def test_impossible_settings_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^views\.0\."):
        views.build(spec, "views.0")
