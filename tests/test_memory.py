"""The ring of keys, and spherical k-means against a plain one and against Geomstats."""

from __future__ import annotations

import io
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from halpgraph.errors import UserError
from halpgraph.memory import KeyBank, spherical_kmeans


def clouds(count: int, groups: int, dim: int, spread: float = 0.6, seed: int = 0) -> Tensor:
    """Unit vectors around random directions, as keys are."""
    g = torch.Generator().manual_seed(seed)
    centres = F.normalize(torch.randn(groups, dim, generator=g), dim=1)
    noise = spread * F.normalize(torch.randn(count, dim, generator=g), dim=1)
    return F.normalize(centres[torch.randint(groups, (count,), generator=g)] + noise, dim=1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.lists(st.integers(0, 14), max_size=8))
def test_the_bank_holds_the_newest_keys_in_order(size: int, pushes: list[int]) -> None:
    bank, plain, count = KeyBank(size, 2), deque[list[float]](maxlen=size), 0
    for many in pushes:
        keys = torch.arange(count, count + many).float()[:, None].expand(-1, 2)
        count += many
        bank.push(keys)
        plain.extend(keys.tolist())
        assert bank.newest().tolist() == list(plain)
        assert bank.full == (len(plain) == size)
        for want in range(size + 2):
            assert bank.newest(want).tolist() == list(plain)[len(plain) - min(want, len(plain)) :]


def test_the_bank_goes_on_where_its_saved_state_stopped() -> None:
    bank, twin = KeyBank(7, 3), KeyBank(7, 3)
    bank.push(torch.randn(10, 3))
    file = io.BytesIO()
    torch.save(bank.state_dict(), file)
    file.seek(0)
    twin.load_state_dict(torch.load(file, weights_only=True))
    for each in (bank, twin):
        each.push(torch.arange(12.0).view(4, 3))
    assert torch.equal(bank.newest(), twin.newest())
    assert torch.equal(bank.keys, twin.keys)


def test_the_bank_keeps_its_own_copy_without_gradient_in_float32() -> None:
    bank = KeyBank(4, 2)
    keys = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    bank.push(keys)
    found = bank.newest()
    found.zero_()
    assert bank.keys.dtype == torch.float32
    assert not bank.keys.requires_grad
    assert bank.newest().sum() == 8


@pytest.mark.parametrize(("size", "dim"), [(0, 3), (3, 0), (-1, 3)])
def test_an_impossible_bank_is_refused(size: int, dim: int) -> None:
    with pytest.raises(UserError, match="KeyBank"):
        KeyBank(size, dim)


def test_keys_of_another_width_are_refused() -> None:
    with pytest.raises(UserError, match=r"\[B, 3\]"):
        KeyBank(4, 3).push(torch.ones(2, 4))


def plain_kmeans(x: NDArray[np.float64], k: int, seed: int) -> float:
    """Spherical k-means in NumPy, point by point; returns the mean cosine."""
    rng = np.random.default_rng(seed)
    centres = [x[rng.integers(len(x))]]
    while len(centres) < k:
        away = np.array([max(0.0, 1 - max(float(p @ c) for c in centres)) for p in x])
        centres.append(x[rng.choice(len(x), p=away / away.sum())])
    labels: list[int] = []
    for _ in range(100):
        now = [int(np.argmax([p @ c for c in centres])) for p in x]
        if now == labels:
            break
        labels = now
        for j in range(k):
            members = [x[i] for i in range(len(x)) if labels[i] == j]
            if members:
                total = np.sum(members, axis=0)
                centres[j] = total / np.linalg.norm(total)
    return float(np.mean([max(p @ c for c in centres) for p in x]))


@pytest.mark.parametrize(("groups", "spread"), [(8, 0.5), (8, 2.0), (30, 1.0)])
def test_objective_is_no_worse_than_plain_kmeans(groups: int, spread: float) -> None:
    x = clouds(120, groups, 16, spread, seed=groups)
    plain = [plain_kmeans(x.double().numpy(), 8, seed) for seed in range(10)]
    ours = [
        float(spherical_kmeans(x, 8, torch.Generator().manual_seed(seed)).objective)
        for seed in range(10)
    ]
    noise = (np.var(plain) / 10 + np.var(ours) / 10) ** 0.5
    assert np.mean(ours) >= np.mean(plain) - 3 * noise - 1e-6


@pytest.mark.slow
def test_objective_is_no_worse_than_geomstats() -> None:
    pytest.importorskip("geomstats", reason="geomstats is not installed")
    from geomstats.geometry.hypersphere import Hypersphere
    from geomstats.learning.kmeans import RiemannianKMeans

    x = clouds(256, 20, 32, 1.0)
    theirs, ours = [], []
    for seed in range(5):
        np.random.seed(seed)
        kmeans = RiemannianKMeans(Hypersphere(31), n_clusters=20, init="kmeans++", tol=1e-3)
        kmeans.fit(x.double().numpy())
        centres = torch.as_tensor(np.asarray(kmeans.cluster_centers_)).float()
        theirs.append(float((x @ centres.T).amax(1).mean()))
        ours.append(float(spherical_kmeans(x, 20, torch.Generator().manual_seed(seed)).objective))
    assert np.mean(ours) >= np.mean(theirs) - 2e-3


kmeans_inputs = st.tuples(
    st.integers(1, 40), st.integers(1, 12), st.integers(1, 6), st.integers(0, 10**6), st.booleans()
)


@settings(max_examples=100, deadline=None)
@given(kmeans_inputs)
def test_every_result_is_consistent_and_the_objective_never_falls(
    drawn: tuple[int, int, int, int, bool],
) -> None:
    M, k, D, seed, repeat = drawn
    x = clouds(M, 3, D, 0.9, seed)
    if repeat:
        x = x[torch.randint(max(1, M // 4), (M,), generator=torch.Generator().manual_seed(seed))]
    found = []
    for iterations in range(6):
        generator = torch.Generator().manual_seed(seed)
        centres, assignment, objective = spherical_kmeans(x, k, generator, iterations)
        assert centres.shape == (min(k, M), D)
        torch.testing.assert_close(centres.norm(dim=1), torch.ones(min(k, M)), atol=1e-5, rtol=0)
        cosines = x @ centres.T
        torch.testing.assert_close(cosines.amax(1), cosines.gather(1, assignment[:, None])[:, 0])
        assert float(objective) == pytest.approx(float(cosines.amax(1).mean()), abs=1e-5)
        found.append(float(objective))
    assert all(b >= a - 1e-6 for a, b in pairwise(found))


def test_every_distinct_vector_gets_a_centre_when_there_are_enough() -> None:
    distinct = torch.eye(5)
    x = distinct.repeat_interleave(torch.tensor([1, 30, 2, 7, 1]), dim=0)
    for seed in range(20):
        found = spherical_kmeans(x, 8, torch.Generator().manual_seed(seed))
        assert float(found.objective) == pytest.approx(1, abs=1e-6)
        assert len(found.assignment.unique()) == 5
        assert found.centres.isfinite().all()


def test_vectors_that_all_coincide_give_centres_that_all_coincide() -> None:
    x = F.normalize(torch.ones(9, 4), dim=1)
    found = spherical_kmeans(x, 4)
    torch.testing.assert_close(found.centres, x[:4])


def test_centres_follow_from_the_generator_alone() -> None:
    x = clouds(80, 6, 8)
    first = spherical_kmeans(x, 6, torch.Generator().manual_seed(1))
    torch.manual_seed(99)
    again = spherical_kmeans(x, 6, torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_separate_clouds_are_found() -> None:
    x = clouds(200, 5, 64, 0.3, seed=3)
    best = max(
        float(spherical_kmeans(x, 5, torch.Generator().manual_seed(s)).objective) for s in range(5)
    )
    found = spherical_kmeans(x, 5, torch.Generator().manual_seed(0))
    assert float(found.objective) == pytest.approx(best, abs=1e-3)
    gram = x @ x.T
    same = found.assignment[:, None] == found.assignment
    assert gram[same].min() > gram[~same].max()


@pytest.mark.parametrize(("shape", "k"), [((0, 3), 2), ((4, 3), 0), ((4,), 2)])
def test_nothing_to_cluster_is_refused(shape: tuple[int, ...], k: int) -> None:
    with pytest.raises(UserError, match="spherical_kmeans"):
        spherical_kmeans(torch.ones(shape), k)


def test_nan_gives_nan_and_no_crash() -> None:
    x = clouds(20, 3, 4)
    x[3, 1] = torch.nan
    assert spherical_kmeans(x, 4).centres.shape == (4, 4)
