"""The closed form, the filters and the Gram form, against plain per-sample walking in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from halpgraph.errors import UserError
from halpgraph.hallucination import (
    hallucinate,
    kept,
    place,
    rank_filter,
    variant_1_filter,
    variant_2_filter,
    walks,
    weights,
)

Array = NDArray[np.float64]


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(shape, generator=generator, dtype=dtype), dim=-1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slerp(z: Array, target: Array, t: float) -> Array:
    """One point of the great circle from z to target, by the textbook formula."""
    w = np.arccos(np.clip(z @ target, -1, 1))
    return (np.sin((1 - t) * w) * z + np.sin(t * w) * target) / np.sin(w)


def far_as_allowed(z: Array, own: Array, target: Array) -> float:
    """Walk by bisection to where the target becomes as near as the key's own prototype."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        point = slerp(z, target, middle)
        low, high = (middle, high) if point @ own >= point @ target else (low, middle)
    return low


sizes = st.tuples(st.integers(1, 6), st.integers(2, 9), st.integers(2, 12), st.integers(0, 10**6))


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_the_end_of_every_walk_is_where_bisection_ends(size: tuple[int, int, int, int]) -> None:
    B, P, D, seed = size
    key, prototypes = unit(B, D, seed=seed), unit(P, D, seed=seed + 1)
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    z, c = key.numpy(), prototypes.numpy()
    for b in range(B):
        own = int(np.argmax(z[b] @ c.T))
        assert int(walk.own[b]) == own
        for at, s in enumerate(walk.target[b].tolist()):
            w = np.arccos(np.clip(z[b] @ c[s], -1, 1))
            if np.sin(w) < 1e-3 or z[b] @ (c[own] - c[s]) < 1e-6 or 1 - c[own] @ c[s] < 1e-6:
                continue
            expected = far_as_allowed(z[b], c[own], c[s]) * w
            assert float(walk.reach[b, at]) == pytest.approx(expected, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(sizes, st.floats(0, 1))
def test_points_lie_on_the_great_circle_where_t_says(
    size: tuple[int, int, int, int], hardness: float
) -> None:
    B, P, D, seed = size
    D += 1
    key, prototypes = unit(B, D, seed=seed), unit(P, D, seed=seed + 1)
    points, target, t = hallucinate(key, prototypes, 7, hardness, generator=seeded(seed))
    z, c = key.numpy(), prototypes.numpy()
    for b in range(B):
        own = int(np.argmax(z[b] @ c.T))
        for g in range(7):
            s, share = int(target[b, g]), float(t[b, g])
            assert s != own
            if np.sin(np.arccos(np.clip(z[b] @ c[s], -1, 1))) < 1e-3:
                continue
            np.testing.assert_allclose(points[b, g], slerp(z[b], c[s], share), atol=1e-9)
            end = far_as_allowed(z[b], c[own], c[s])
            assert (1 - hardness) * end - 1e-7 <= share <= end + 1e-7
            point = points[b, g].numpy()
            assert point @ c[own] >= point @ c[s] - 1e-9  # the paper's constraint
            assert np.linalg.norm(point) == pytest.approx(1, abs=1e-12)


def test_more_than_a_right_angle_still_walks_towards_the_target() -> None:
    # K + cos(w) < 0 here: a plain arctangent would turn round.
    key, c = torch.tensor([[1.0, 0.0]]).double(), np.deg2rad([-20.0, 140.0])
    prototypes = torch.tensor(np.stack([np.cos(c), np.sin(c)], axis=1))
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    assert float(walk.reach[0, 0].rad2deg()) == pytest.approx(60)
    c = np.deg2rad([-80.0, 170.0])
    prototypes = torch.tensor(np.stack([np.cos(c), np.sin(c)], axis=1))
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    assert float(walk.reach[0, 0].rad2deg()) > 0


def test_hardness_zero_lies_exactly_on_the_boundary_and_one_covers_the_walk() -> None:
    key, prototypes = unit(16, 8, seed=1), unit(5, 8, seed=2)
    points, target, t = hallucinate(key, prototypes, 400, 0.0, generator=seeded())
    own = prototypes[(key @ prototypes.T).argmax(1)]
    to_own = (points * own[:, None]).sum(-1)
    to_target = (points * prototypes[target]).sum(-1)
    torch.testing.assert_close(to_own, to_target, atol=1e-12, rtol=0)
    end = torch.zeros(16, 5).double().scatter_(1, target, t)  # with hardness 0, t is the end
    _, target, t = hallucinate(key, prototypes, 400, 1.0, generator=seeded(3))
    share = t / end.gather(1, target)
    assert share.min() < 0.005
    assert share.max() > 0.995
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    assert share.std() == pytest.approx(12**-0.5, abs=0.01)


def test_targets_are_uniform_over_the_others_or_the_nearest_of_them() -> None:
    key, prototypes = unit(6, 8, seed=1), unit(9, 8, seed=2)
    order = (key @ prototypes.T).argsort(dim=1, descending=True)
    for candidates, allowed in ((None, 8), (3, 3), (50, 8)):
        _, target, _ = hallucinate(key, prototypes, 4000, 0.8, candidates, seeded())
        for b in range(6):
            found, count = target[b].unique(return_counts=True)
            assert set(found.tolist()) == set(order[b, 1 : allowed + 1].tolist())
            assert (count / 4000 - 1 / allowed).abs().max() < 5 * (1 / allowed / 4000) ** 0.5


@pytest.mark.parametrize("name", ["rank", "variant-1", "variant-2", "none"])
@pytest.mark.parametrize("candidates", [None, 3])
@pytest.mark.parametrize(
    ("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["f64", "f32"]
)
def test_inner_products_alone_give_what_the_points_give(
    name: str, candidates: int | None, dtype: torch.dtype, close: float
) -> None:
    key, prototypes = unit(40, 12, seed=1, dtype=dtype), unit(11, 12, seed=2, dtype=dtype)
    query = F.normalize(key + 0.4 * unit(40, 12, seed=3, dtype=dtype), dim=1)
    points, target, _ = hallucinate(key, prototypes, 60, 0.8, candidates, seeded())
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T, candidates)
    made = place(walk, 60, 0.8, seeded())
    assert torch.equal(walk.target.gather(1, made.walk), target)
    keep = kept(name, walk, made, (query * key).sum(1), query @ prototypes.T)
    plain = {
        "rank": rank_filter(points, key, prototypes),
        "variant-1": variant_1_filter(points, key, query),
        "variant-2": variant_2_filter(points, key, prototypes, target),
        "none": torch.ones_like(keep),
    }[name]
    assert torch.equal(keep, plain)
    if name in ("rank", "variant-1"):
        assert 0.02 < keep.double().mean() < 0.98  # the filter had something to decide
    own, W = weights(walk, made, torch.stack([keep, ~keep]).to(dtype))
    for k, mask in enumerate((keep, ~keep)):
        expected = (points * mask[..., None]).sum(1)  # [B, D]
        got = own[k] * key + W[k] @ prototypes
        torch.testing.assert_close(got / 60, expected / 60, atol=close, rtol=0)


@settings(max_examples=60, deadline=None)
@given(sizes, st.floats(0, 1))
def test_rank_filter_by_angles_decides_as_argmax_does(
    size: tuple[int, int, int, int], hardness: float
) -> None:
    B, P, D, seed = size
    key, prototypes = unit(B, D, seed=seed), unit(P, D, seed=seed + 1)
    points, _, _ = hallucinate(key, prototypes, 30, hardness, generator=seeded(seed))
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    by_angle = kept("rank", walk, place(walk, 30, hardness, seeded(seed)))
    best = (points @ prototypes.T).topk(2, dim=-1).values
    clear = best[..., 0] - best[..., 1] > 1e-7  # hardness 0 makes ties, rounding decides those
    by_argmax = rank_filter(points, key, prototypes)
    assert torch.equal(by_angle[clear], by_argmax[clear])


def test_two_prototypes_keep_everything_even_at_the_boundary() -> None:
    for dtype in (torch.float32, torch.float64):
        key, prototypes = unit(50, 6, seed=4, dtype=dtype), unit(2, 6, seed=5, dtype=dtype)
        walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
        assert kept("rank", walk, place(walk, 100, 0.0, seeded())).all()


def degenerate(dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor]]:
    a, b, c = torch.eye(3, dtype=dtype)
    between = F.normalize(a + b, dim=0)
    return {
        "key is its prototype": (a[None], torch.stack([a, b])),
        "target is the key's antipode": (a[None], torch.stack([a, -a])),
        "target is the antipode, own is elsewhere": (a[None], torch.stack([between, -a])),
        "key on the boundary": (between[None], torch.stack([a, b])),
        "prototypes coincide": (between[None], torch.stack([a, a, a])),
        "own prototype twice": (a[None], torch.stack([between, between, b])),
        "everything coincides": (a[None], torch.stack([a, a])),
        "key at right angles to all": (c[None], torch.stack([a, b])),
        "nearly the key": (a[None], torch.stack([a, F.normalize(a + 1e-4 * b, dim=0)])),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", list(degenerate(torch.float32)))
@pytest.mark.parametrize("hardness", [0.0, 0.8, 1.0])
def test_degenerate_walks_are_defined(case: str, dtype: torch.dtype, hardness: float) -> None:
    key, prototypes = degenerate(dtype)[case]
    points, target, t = hallucinate(key, prototypes, 25, hardness, generator=seeded())
    assert points.isfinite().all()
    assert ((t >= 0) & (t <= 1)).all()
    torch.testing.assert_close(points.norm(dim=-1), torch.ones_like(t), atol=1e-6, rtol=0)
    to_own = points @ prototypes[(key @ prototypes.T).argmax()]
    to_target = (points * prototypes[target]).sum(-1)
    assert (to_own >= to_target - 1e-6).all()
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    made = place(walk, 25, hardness, seeded())
    assert kept("rank", walk, made).all()
    own, W = weights(walk, made, torch.ones(1, 1, 25, dtype=dtype))
    torch.testing.assert_close(own[0] * key + W[0] @ prototypes, points.sum(1), atol=1e-4, rtol=0)
    stays = {"target is the key's antipode", "prototypes coincide", "everything coincides"}
    if case in stays | {"key on the boundary"}:
        torch.testing.assert_close(points, key[:, None].expand_as(points), atol=1e-5, rtol=0)


def test_a_key_of_length_zero_gives_finite_points_and_next_to_no_pull() -> None:
    key, prototypes = torch.zeros(1, 3), torch.eye(3)
    points, _, t = hallucinate(key, prototypes, 25, generator=seeded())
    assert points.isfinite().all()
    assert t.isfinite().all()
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    _, W = weights(walk, place(walk, 25, 0.8, seeded()), torch.ones(1, 1, 25))
    assert W.abs().max() < 1e-4


def test_a_third_prototype_on_the_way_is_met_at_the_limit() -> None:
    degrees = torch.tensor([-10.0, 60.0, 45.0]).double().deg2rad()  # own, target, on the way
    prototypes = torch.stack([degrees.cos(), degrees.sin()], dim=1)
    key = torch.tensor([[1.0, 0.0]]).double()
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    reach, limit = walk.reach[0].rad2deg().tolist(), walk.limit[0].rad2deg().tolist()
    assert reach == pytest.approx([25, 17.5])
    assert limit == pytest.approx([17.5, 17.5])


@pytest.mark.parametrize(("key", "prototypes"), [((3, 4), (1, 4)), ((3, 4), (5, 3))])
def test_what_cannot_be_hallucinated_is_refused(
    key: tuple[int, int], prototypes: tuple[int, int]
) -> None:
    with pytest.raises(UserError, match="hallucinate"):
        hallucinate(unit(*key), unit(*prototypes))


def test_the_same_generator_gives_the_same_points() -> None:
    key, prototypes = unit(5, 4), unit(6, 4, seed=1)
    first = hallucinate(key, prototypes, 9, generator=seeded(7))
    again = hallucinate(key, prototypes, 9, generator=seeded(7))
    other = hallucinate(key, prototypes, 9, generator=seeded(8))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
