"""Losses against plain loops in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from halpgraph.errors import UserError
from halpgraph.objectives import graphcl_official, info_nce, nt_xent, unit_rows


def views(b: int = 7, d: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(b, d, generator=draw, dtype=torch.double) for _ in range(2))  # type: ignore[return-value]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def slow(z1: Tensor, z2: Tensor, t: float, intra: bool, positive_below: bool = True) -> float:
    """One direction, anchor by anchor."""
    total = 0.0
    for i in range(len(z1)):
        below = 0.0
        for j in range(len(z2)):
            if j != i or positive_below:
                below += math.exp(cosine(z1[i], z2[j]) / t)
            if intra and j != i:
                below += math.exp(cosine(z1[i], z1[j]) / t)
        total -= math.log(math.exp(cosine(z1[i], z2[i]) / t) / below)
    return total / len(z1)


@pytest.mark.parametrize("intra", [False, True])
@pytest.mark.parametrize("temperature", [0.01, 0.025, 0.2, 1.0])
def test_nt_xent_against_a_loop(intra: bool, temperature: float) -> None:
    z1, z2 = views()
    one, other = slow(z1, z2, temperature, intra), slow(z2, z1, temperature, intra)
    both = nt_xent(z1, z2, temperature, intra_view=intra)
    single = nt_xent(z1, z2, temperature, intra_view=intra, symmetric=False)
    assert both.item() == pytest.approx((one + other) / 2, rel=1e-12)
    assert single.item() == pytest.approx(one, rel=1e-12)


def test_nt_xent_with_intra_view_is_simclr_on_the_joined_batch() -> None:
    z1, z2 = views(6)
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.t() / 0.5).fill_diagonal_(-math.inf)
    positives = torch.arange(12).roll(6)
    wanted = torch.nn.functional.cross_entropy(logits, positives)
    torch.testing.assert_close(nt_xent(z1, z2, 0.5, intra_view=True), wanted)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
def test_graphcl_official_against_a_loop(temperature: float) -> None:
    z1, z2 = views()
    wanted = slow(z1, z2, temperature, intra=False, positive_below=False)
    assert graphcl_official(z1, z2, temperature).item() == pytest.approx(wanted, rel=1e-12)


def test_graphcl_official_goes_below_zero_and_nt_xent_does_not() -> None:
    z = torch.eye(4)
    assert graphcl_official(z, z, 0.1) < 0
    assert nt_xent(z, z, 0.1) >= 0


LOSSES: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda a, b: nt_xent(a, b, 0.2),
    lambda a, b: nt_xent(a, b, 0.2, symmetric=False),
    lambda a, b: nt_xent(a, b, 0.02),
    lambda a, b: graphcl_official(a, b, 0.02),
    lambda a, b: nt_xent(a, b, 0.2, intra_view=True),
    lambda a, b: graphcl_official(a, b, 0.2),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_length_does_not_matter_and_gradients_check(loss: Callable[..., Tensor]) -> None:
    z1, z2 = views(5, 3)
    torch.testing.assert_close(loss(z1, z2), loss(3 * z1, z2 / 7))
    z1.requires_grad_()
    z2.requires_grad_()
    assert torch.autograd.gradcheck(loss, (z1, z2))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_of_zeros_and_sharp_temperatures_stay_finite(
    loss: Callable[..., Tensor], dtype: torch.dtype
) -> None:
    z1 = torch.zeros(4, 3, dtype=dtype)
    z1[1:] = 1e4
    z1.requires_grad_()
    value = loss(z1, z1.detach().clone())
    value.backward()
    assert value.isfinite()
    assert z1.grad is not None
    assert z1.grad.isfinite().all()
    a, b = (v.to(dtype) for v in views())
    assert nt_xent(a, b, 1e-3).isfinite()
    assert graphcl_official(a, b, 1e-3).isfinite()


@pytest.mark.parametrize("loss", LOSSES)
def test_refuses_batches_without_negatives_and_unlike_views(loss: Callable[..., Tensor]) -> None:
    z1, z2 = views()
    with pytest.raises(UserError, match="batch of 1 has no negatives"):
        loss(z1[:1], z2[:1])
    with pytest.raises(UserError, match="same shape"):
        loss(z1, z2[:-1])


def test_unit_rows_is_normalize_with_its_gradient() -> None:
    z, weight = views()
    z.requires_grad_()
    (mine,) = torch.autograd.grad((unit_rows(z) * weight).sum(), z)
    (wanted,) = torch.autograd.grad((torch.nn.functional.normalize(z, dim=1) * weight).sum(), z)
    torch.testing.assert_close(mine, wanted)
    torch.testing.assert_close(unit_rows(z), torch.nn.functional.normalize(z, dim=1))


def test_unit_rows_of_zeros_are_zeros_without_gradient() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    unit_rows(z).sum().backward()
    assert not unit_rows(z).any()
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("objective", [nt_xent, graphcl_official])
def test_rows_promised_to_be_unit_are_taken_as_they_are(objective: Callable[..., Tensor]) -> None:
    z1, z2 = views()
    given = objective(unit_rows(z1), unit_rows(z2), 0.2, unit=True)
    torch.testing.assert_close(given, objective(z1, z2, 0.2))


def test_info_nce_is_a_softmax_over_the_own_key_and_the_negatives() -> None:
    random = torch.Generator().manual_seed(0)
    q, k, n = (torch.randn(m, 7, generator=random, dtype=torch.float64) for m in (5, 5, 11))
    q.requires_grad_()
    loss = info_nce(q, k, n, 0.07)
    total = 0.0
    for i in range(5):
        cos = torch.cosine_similarity(q[i][None], torch.cat([k[i][None], n]))
        total = total - (cos / 0.07).softmax(0)[0].log() / 5
    torch.testing.assert_close(loss, total)
    (ours,) = torch.autograd.grad(loss, q)
    (plain,) = torch.autograd.grad(total, q)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(
        info_nce(*(F.normalize(z, dim=1) for z in (q, k, n)), 0.07, unit=True), loss
    )


def test_info_nce_holds_at_the_ends() -> None:
    """No overflow at tiny temperatures, no NaN of rows of zeros, 0 from below never."""
    q = torch.eye(4, requires_grad=True)
    best = info_nce(q, torch.eye(4), -torch.eye(4), 1e-3)
    worst = info_nce(q, -torch.eye(4), torch.eye(4), 1e-3)
    assert float(best) == 0
    assert float(worst) == pytest.approx(2000, rel=1e-4)
    worst.backward()
    assert bool(q.grad.isfinite().all())
    assert float(info_nce(torch.zeros(2, 4), torch.eye(4)[:2], torch.eye(4), 0.07)) == (
        pytest.approx(math.log(5), rel=1e-5)
    )


@pytest.mark.parametrize(
    "shapes", [((3, 4), (3, 4), (0, 4)), ((3, 4), (2, 4), (5, 4)), ((3, 4), (3, 4), (5, 3))]
)
def test_info_nce_refuses_what_does_not_go_together(shapes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(UserError, match="info_nce: needs query and key"):
        info_nce(*(torch.ones(s) for s in shapes), 0.07)


def test_graphcl_official_has_the_gradient_of_its_equation() -> None:
    """Written out in the loss; here autograd's, of a float32 batch as trained on."""
    draw = torch.Generator().manual_seed(0)
    a, b = (unit_rows(torch.randn(9, 6, generator=draw)).requires_grad_() for _ in range(2))
    across = a @ b.t() / 0.2
    below = across.masked_fill(torch.eye(9, dtype=torch.bool), -math.inf).logsumexp(1)
    plain = (below - across.diagonal()).mean()
    loss = graphcl_official(a, b, 0.2, unit=True)
    torch.testing.assert_close(loss, plain)
    wanted = torch.autograd.grad(3 * plain, (a, b))
    for mine, right in zip(torch.autograd.grad(3 * loss, (a, b)), wanted, strict=True):
        torch.testing.assert_close(mine, right)


def test_graphcl_official_in_half_precision() -> None:
    z1, z2 = (z.float().requires_grad_() for z in views(16, 8))
    with torch.autocast("cpu", torch.bfloat16):
        loss = graphcl_official(z1, z2, 0.2)
    loss.backward()
    (wanted,) = torch.autograd.grad(graphcl_official(z1, z2, 0.2), z1)
    assert z1.grad is not None
    assert z1.grad.dtype == torch.float32
    torch.testing.assert_close(z1.grad, wanted, rtol=0.1, atol=0.02)
