"""The head: its loss against the materialised one, its schedule, its state, and odd batches."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from halpgraph.contracts import Contrast
from halpgraph.errors import UserError
from halpgraph.hallucination import (
    FILTERS,
    hallucinate,
    rank_filter,
    variant_1_filter,
    variant_2_filter,
)
from halpgraph.heads.halp import HaLP, HaLPHead
from halpgraph.registry import heads

D = 12


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(B: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return a query that needs a gradient and the key near it, neither of unit length."""
    g = seeded(seed)
    centres = torch.randn(5, D, generator=g)
    key = centres[torch.randint(5, (B,), generator=g)] + 0.7 * torch.randn(B, D, generator=g)
    query = 2 * key + torch.randn(B, D, generator=g)
    return query.requires_grad_(), key


def with_prototypes(prototypes: Tensor, **settings: Any) -> HaLP:
    """Return a head without a bank that holds these prototypes and keeps them."""
    halp = HaLP(prototypes.size(1), bank=0, refresh=10**9, **settings)
    state = {"prototypes": prototypes, "in_use": torch.tensor(1.0), "steps": 1}
    halp.set_extra_state(state)
    return halp


def plain_loss(
    query: Tensor, key: Tensor, prototypes: Tensor, name: str, temperature: float, seed: int
) -> tuple[Tensor, dict[str, float]]:
    """Return the loss, and what is measured, with the points written out."""
    q, z = F.normalize(query, dim=1), F.normalize(key, dim=1)
    points, target, _ = hallucinate(z, prototypes, 50, 0.8, generator=seeded(seed))
    keep = {
        "rank": rank_filter(points, z, prototypes),
        "variant-1": variant_1_filter(points, z, q.detach()),
        "variant-2": variant_2_filter(points, z, prototypes, target),
        "none": torch.ones_like(target, dtype=torch.bool),
    }[name]
    similar = (points * q[:, None]).sum(-1)  # [B, G]
    own = F.one_hot((z @ prototypes.T).argmax(1), len(prototypes)).bool()  # [B, P]
    B, tables = len(z), {"key": z @ prototypes.T}
    own_of = own[:, None].expand(-1, 50, -1)
    tables |= {"kept": (points @ prototypes.T)[keep], "rejected": (points @ prototypes.T)[~keep]}
    owns = {"key": own, "kept": own_of[keep], "rejected": own_of[~keep]}
    off = ~torch.eye(B, dtype=torch.bool)
    found = {
        "kept": keep.double().mean(),
        "sim_query_key": (q * z).sum(1).mean(),
        "sim_query_positive": similar[keep].mean(),
        "sim_query_negative": (q @ z.T)[off].mean(),
        "sim_positive_negative": torch.stack(
            [(points[b][keep[b]] @ z[off[b]].T).sum() for b in range(B)]
        ).sum()
        / (keep.sum() * (B - 1)),
    }
    for who, table in tables.items():
        found[f"sim_{who}_prototype_own"] = table[owns[who]].mean()
        found[f"sim_{who}_prototype_other"] = table[~owns[who]].mean()
    loss = -similar[keep].sum() / keep.sum() / temperature
    return loss, {k: float(v.detach()) for k, v in found.items()}


@pytest.mark.parametrize("name", FILTERS)
def test_loss_gradient_and_diagnostics_are_those_of_the_points(name: str) -> None:
    query, key = pair()
    key.requires_grad_()
    prototypes = F.normalize(torch.randn(9, D, generator=seeded(3)), dim=1)
    halp = with_prototypes(prototypes, positives=50, filter=name, generator=seeded(5))
    loss = halp(query, key, temperature=0.2)
    (gradient,) = torch.autograd.grad(loss, query)
    expected, found = plain_loss(query, key, prototypes, name, 0.2, seed=5)
    (slope,) = torch.autograd.grad(expected, query)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, slope, atol=1e-7, rtol=1e-4)
    measured = halp.diagnostics
    for what, value in found.items():
        if math.isnan(value):
            assert measured[what] is None
        else:
            assert measured[what] == pytest.approx(value, abs=2e-5), what


def test_gradient_reaches_the_query_alone() -> None:
    query, key = pair()
    key.requires_grad_()
    halp = HaLP(D, bank=0, generator=seeded())
    halp(query, key).backward()
    assert query.grad is not None
    assert query.grad.abs().max() > 0
    assert key.grad is None
    assert not halp.prototypes.requires_grad


def test_gradient_agrees_with_finite_differences_of_the_loss() -> None:
    query, key = pair(6)
    prototypes = F.normalize(torch.randn(5, D, generator=seeded(3)), dim=1)

    def loss(q: Tensor) -> Tensor:
        return with_prototypes(prototypes, positives=20, generator=seeded(1))(q, key, 1.0)

    (gradient,) = torch.autograd.grad(3 * loss(query), query)
    step = torch.randn(query.shape, generator=seeded(9)) * 1e-2
    difference = 3 * (loss(query.detach() + step) - loss(query.detach() - step)) / 2
    assert float((gradient * step).sum()) == pytest.approx(float(difference), abs=2e-5)


def test_only_directions_count() -> None:
    query, key = pair()
    halps = [HaLP(D, bank=0, generator=seeded()) for _ in range(2)]
    first = halps[0](query, key)
    second = halps[1](7 * query, 0.1 * key)
    torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-5)


def test_the_bank_fills_before_the_term_starts_and_old_prototypes_are_used() -> None:
    halp = HaLP(D, prototypes=4, bank=100, refresh=2, generator=seeded())
    seen = []
    for step in range(8):
        query, key = pair(seed=step)
        before = halp.prototypes
        loss = halp(query, key)
        loss.backward()
        assert query.grad is not None
        seen.append((float(loss.detach()), len(before), halp.prototypes is not before))
    assert [bool(loss) for loss, _, _ in seen] == [False] * 3 + [True] * 5
    # 40 keys a step fill 100 places in the third; then there is a search every second step.
    assert [new for _, _, new in seen] == [False, False, False, True, False, True, False, True]
    assert halp.bank is not None
    assert halp.bank.full


def test_prototypes_of_a_step_do_not_know_its_keys() -> None:
    banks = []
    for last in (7, 8):
        halp = HaLP(D, prototypes=4, bank=40, refresh=1, generator=seeded())
        halp(*pair(seed=1))
        query, key = pair(seed=2)
        halp(query, key)
        banks.append(halp.prototypes)
        halp(*pair(seed=last))
    assert torch.equal(*banks)


def test_without_a_bank_prototypes_come_from_the_batch_at_every_refresh() -> None:
    halp = HaLP(D, prototypes=4, bank=0, refresh=3, generator=seeded())
    found = []
    for step in range(7):
        loss = halp(*pair(seed=step))
        assert float(loss.detach()) != 0
        found.append(halp.prototypes)
    fresh = [a is not b for a, b in zip([None, *found], found, strict=False)]
    assert fresh == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("bank", [0, 40])
def test_keys_themselves_may_be_the_prototypes(bank: int) -> None:
    halp = HaLP(D, bank=bank, refresh=1, source="keys", generator=seeded())
    for step in range(3):
        query, key = pair(seed=step)
        loss = halp(query, key)
        loss.backward()
    assert query.grad is not None
    assert query.grad.isfinite().all()
    assert float(loss.detach()) != 0
    assert halp.prototypes.shape == (40, D)
    if bank == 0:  # every key is its own prototype
        assert halp.diagnostics["sim_key_prototype_own"] == pytest.approx(1, abs=1e-5)
    assert halp.diagnostics["prototypes"] == 40


@pytest.mark.parametrize(("B", "expected"), [(1, 0), (2, 2), (5, 2), (16, 4), (40, 10), (200, 20)])
def test_small_batches_get_fewer_prototypes(B: int, expected: int) -> None:
    halp = HaLP(D, prototypes=20, bank=0, generator=seeded())
    query, key = pair(B)
    loss = halp(query, key)
    loss.backward()
    assert query.grad is not None
    assert query.grad.isfinite().all()
    assert (float(loss.detach()) == 0) == (expected == 0)
    if expected:
        assert halp.prototypes.size(0) == expected
        assert halp.diagnostics["prototypes"] is not None
    else:
        assert halp.diagnostics["kept"] is None


def test_identical_keys_are_pulled_to_as_they_are() -> None:
    query, key = pair()
    key = key[:1].expand(40, D)
    halp = HaLP(D, bank=0, generator=seeded())
    query = query.detach()
    loss = halp(query, key, temperature=1.0)
    assert float(loss) == pytest.approx(-float(F.cosine_similarity(query, key).mean()), abs=1e-5)
    assert halp.diagnostics["prototypes"] == 1


def test_nothing_kept_gives_exactly_zero_and_no_gradient() -> None:
    # Both other prototypes lie on the way; variant-1 keeps nothing, since every step leads away.
    prototypes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]])
    query, key = torch.tensor([[1.0, -1.0]], requires_grad=True), torch.tensor([[1.0, -0.2]])
    halp = with_prototypes(prototypes, filter="variant-1", hardness=0.5, generator=seeded())
    loss = halp(query, key)
    loss.backward()
    assert float(loss.detach()) == 0
    assert query.grad is not None
    assert (query.grad == 0).all()
    assert halp.diagnostics["kept"] == 0
    assert halp.diagnostics["sim_query_positive"] is None


def test_no_positives_switch_the_term_off() -> None:
    query, key = pair()
    loss = HaLP(D, bank=0, positives=0)(query, key)
    loss.backward()
    assert float(loss.detach()) == 0
    assert query.grad is not None
    assert (query.grad == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_and_autocast_are_computed_in_float32(dtype: torch.dtype) -> None:
    query, key = pair()
    full = HaLP(D, bank=0, generator=seeded())(query.detach().to(dtype).float(), key)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = query.detach().to(dtype).requires_grad_()
        loss = HaLP(D, bank=0, generator=seeded())(half, key)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad is not None
    assert half.grad.dtype == dtype
    assert half.grad.isfinite().all()
    assert torch.equal(loss.detach(), full)


def run(halp: HaLP, steps: range) -> list[float]:
    return [float(halp(*pair(seed=step)).detach()) for step in steps]


@pytest.mark.parametrize("settings", [{"bank": 90}, {"bank": 0}, {"bank": 0, "source": "keys"}])
def test_a_saved_head_goes_on_bit_for_bit(settings: dict[str, Any]) -> None:
    generator = seeded()
    halp = HaLP(D, prototypes=5, refresh=3, generator=generator, **settings)
    run(halp, range(7))
    file = io.BytesIO()
    torch.save({"head": halp.state_dict(), "generator": generator.get_state()}, file)
    expected = run(halp, range(7, 15))
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    fresh = seeded(123)
    twin = HaLP(D, prototypes=5, refresh=3, generator=fresh, **settings)
    twin.load_state_dict(saved["head"])
    fresh.set_state(saved["generator"])
    assert run(twin, range(7, 15)) == expected
    assert all(expected)


def test_without_a_generator_torch_seeds_decide() -> None:
    values = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        values.append(run(HaLP(D, bank=0), range(2)))
    assert values[0] == values[1] != values[2]


def test_eval_mode_stores_nothing() -> None:
    halp = HaLP(D, bank=50, generator=seeded()).eval()
    run(halp, range(3))
    halp.observe(pair()[1])
    assert halp.bank is not None
    assert halp.bank.filled == 0
    assert halp.steps == 0


def test_diagnostics_start_anew_when_popped() -> None:
    halp = HaLP(D, bank=0, generator=seeded())
    assert halp.diagnostics["kept"] is None
    run(halp, range(3))
    assert (
        0 < (halp.diagnostics["seconds_prototypes"] or 0) < (halp.diagnostics["seconds_head"] or 0)
    )
    popped = halp.pop_diagnostics()
    assert popped["kept"] is not None
    assert 0 < popped["kept"] <= 1
    assert halp.diagnostics["kept"] is None


def test_the_first_batch_and_every_fifth_after_it_are_measured() -> None:
    halp = HaLP(D, bank=0, generator=seeded())
    shares = []
    for step in range(11):
        halp(*pair(seed=step))
        shares.append(halp.diagnostics["sim_query_key"])
    changed = [a != b for a, b in zip([None, *shares], shares, strict=False)]
    assert [step for step, new in enumerate(changed) if new] == [0, 5, 10]


def test_nan_does_not_crash_and_shows_in_the_loss() -> None:
    query, key = pair()
    key[3, 2] = torch.nan
    halp = HaLP(D, bank=0, generator=seeded())
    assert math.isnan(float(halp(query, key).detach()))
    assert halp.diagnostics["sim_query_key"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prototypes": 1}, r"HaLP\.prototypes: must be 2 or more, not 1"),
        ({"positives": -1}, r"HaLP\.positives"),
        ({"hardness": 1.5}, r"HaLP\.hardness: must be between 0 and 1, not 1\.5"),
        ({"hardness": math.nan}, r"HaLP\.hardness"),
        ({"bank": -1}, r"HaLP\.bank"),
        ({"refresh": 0}, r"HaLP\.refresh"),
        ({"candidates": 0}, r"HaLP\.candidates"),
        ({"filter": "ranked"}, r"HaLP\.filter: .*did you mean 'rank'"),
        ({"source": "kmean"}, r"HaLP\.source: .*did you mean 'kmeans'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        HaLP(D, **settings)


@pytest.mark.parametrize(
    ("query", "key", "temperature"),
    [((4, D), (5, D), 0.1), ((4, 3), (4, 3), 0.1), ((4, D), (4, D), 0)],
)
def test_impossible_inputs_are_refused(
    query: tuple[int, int], key: tuple[int, int], temperature: float
) -> None:
    with pytest.raises(UserError, match="HaLP"):
        HaLP(D)(torch.ones(query), torch.ones(key), temperature)


# --- the head of the engine ---------------------------------------------------------------------


def contrast(seed: int = 0, stream: str = "graph", temperature: float = 0.5) -> Contrast:
    query, key = pair(seed=seed)
    return Contrast(F.normalize(query, dim=1), F.normalize(key, dim=1), temperature, stream)


def test_the_registry_builds_the_head_from_a_recipe() -> None:
    head = heads.build(
        {"name": "halp", "filter": "variant-2", "candidates": 20, "mu": 2},
        "head",
        dim=D,
        streams=("joint", "bone"),
        generator=seeded(),
    )
    assert isinstance(head, HaLPHead)
    assert list(head.streams) == ["joint", "bone"]
    assert head.mu == 2
    assert heads.summary("halp")
    for wrong in ({"hardness": 2}, {"filter": "ranks"}, {"prototypes": 1}, {"hardnes": 0.5}):
        with pytest.raises(UserError, match=rf"head\.{next(iter(wrong))}"):
            heads.settings({"name": "halp", **wrong}, "head")


def test_the_weight_follows_start_and_ramp() -> None:
    def schedule(**settings: Any) -> list[float]:
        return [HaLPHead(D, **settings).weight(epoch) for epoch in range(6)]

    assert schedule(mu=2.0) == [2.0] * 6
    assert schedule(mu=2.0, start=3) == [0, 0, 0, 2, 2, 2]
    assert schedule(mu=2.0, start=1, ramp=4) == [0, 0.5, 1, 1.5, 2, 2]
    assert schedule(mu=0.0) == [0] * 6


def test_terms_scale_with_mu_and_are_zero_before_the_start() -> None:
    terms = [
        HaLPHead(D, bank=0, generator=seeded(), **settings)([contrast()], epoch=1)["halp"]
        for settings in ({"mu": 1.0}, {"mu": 3.0}, {"start": 2}, {"mu": 0.0})
    ]
    assert all(term.requires_grad for term in terms)
    values = [float(term.detach()) for term in terms]
    assert values[0] < 0
    assert values[1] == pytest.approx(3 * values[0])
    assert values[2:] == [0, 0]


def test_before_its_start_the_head_fills_its_bank_and_draws_nothing() -> None:
    generator = seeded()
    head = HaLPHead(D, bank=100, start=1, generator=generator)
    before = generator.get_state()
    for step in range(3):
        assert float(head([contrast(step)], epoch=0)["halp"].detach()) == 0
    assert torch.equal(generator.get_state(), before)
    assert head.pop_diagnostics()["kept"] is None
    assert float(head([contrast(4)], epoch=1)["halp"].detach()) < 0


def test_contrasts_of_a_stream_are_averaged_and_streams_are_summed() -> None:
    def one(*contrasts: Contrast, **settings: Any) -> float:
        head = HaLPHead(D, bank=0, source="keys", positives=2000, generator=seeded(), **settings)
        return float(head(contrasts, epoch=0)["halp"].detach())

    joint, bone = contrast(1, "joint"), contrast(2, "bone", temperature=0.1)
    both = one(joint, bone, streams=("joint", "bone"))
    alone = one(joint, streams=("joint",)), one(bone, streams=("bone",))
    assert both == pytest.approx(sum(alone), rel=2e-2)
    assert one(joint, joint, streams=("joint",)) < 0
    head = HaLPHead(D, bank=0, generator=seeded(), streams=("joint", "bone"))
    assert head([], epoch=0) == {}
    head([joint, bone], epoch=0)
    found = head.pop_diagnostics()
    each = found["joint/kept"], found["bone/kept"]
    assert found["kept"] == pytest.approx(sum(each) / 2)
    assert head.streams["joint"].prototypes is not head.streams["bone"].prototypes


def test_two_contrasts_of_a_stream_are_one_step() -> None:
    head = HaLPHead(D, bank=80, refresh=2, generator=seeded())
    for step in range(4):
        head([contrast(step), contrast(step + 10)], epoch=0)
    halp = head.streams["graph"]
    assert halp.steps == 4
    expected = torch.cat([contrast(3).key, contrast(13).key])
    torch.testing.assert_close(halp.bank.newest(), expected)


def test_the_head_trains_an_encoder_towards_its_keys() -> None:
    query, key = pair()
    free = query.detach().clone().requires_grad_()
    halp = HaLP(D, bank=0, generator=seeded())
    optimiser = torch.optim.SGD([free], lr=5.0)
    before = F.cosine_similarity(free, key).mean()
    for _ in range(60):
        optimiser.zero_grad()
        halp(free, key, temperature=0.5).backward()
        optimiser.step()
    assert F.cosine_similarity(free, key).mean() > before + 0.02


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("settings", [{"bank": 90}, {"bank": 0}])
def test_a_gpu_gives_what_a_cpu_gives(settings: dict[str, Any]) -> None:
    found = []
    for device in ("cpu", "cuda"):
        halp = HaLP(D, prototypes=5, refresh=2, generator=seeded(), **settings).to(device)
        losses = []
        for step in range(6):
            query, key = pair(seed=step)
            losses.append(float(halp(query.to(device), key.to(device)).detach()))
        found.append(torch.tensor(losses))
    torch.testing.assert_close(*found, atol=1e-3, rtol=1e-3)
