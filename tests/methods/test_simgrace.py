"""SimGRACE: a plain step, what the noise does and does not touch, its draws, and its training."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from graph_methods import gradients, make, trainer
from resuming import resumes_bit_equal
from small import small_recipe, small_skeletons
from torch import Tensor
from toy import toy_batch

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.simgrace import SimGRACE


def simgrace(**settings: Any) -> SimGRACE:
    method = make("simgrace", **settings)
    assert isinstance(method, SimGRACE)
    return method


def plain(method: SimGRACE, temperature: float, below: bool) -> tuple[float, Tensor, Tensor]:
    """The step in loops: a second network whose tensors are moved one number at a time."""
    batch = toy_batch(3)
    noisy = copy.deepcopy(method.encoder)
    parameters = list(noisy.parameters())
    seed, count = method.noise.drawn.tolist()
    draw = torch.Generator().manual_seed(seed + count)
    noise = iter(torch.randn(sum(p.numel() for p in parameters), generator=draw).tolist())
    for p in parameters:
        values = p.detach().flatten().tolist()
        mean = sum(values) / len(values)
        std = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        moved = [v + method.eta * std * next(noise) for v in values]
        p.data = torch.tensor(moved).view_as(p)
    with torch.no_grad():
        q, k = (method.projector(f(batch).graph) for f in (method.encoder, noisy))
    q, k = (z / z.norm(dim=1, keepdim=True) for z in (q, k))
    losses = []
    for i in range(len(q)):
        others = [j for j in range(len(k)) if below or j != i]
        total = sum(math.exp(float(q[i] @ k[j]) / temperature) for j in others)
        losses.append(math.log(total) - float(q[i] @ k[i]) / temperature)
    return sum(losses) / len(losses), q, k


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_a_step_is_that_of_a_plain_simgrace(variant: str) -> None:
    method = simgrace(variant=variant, eta=0.7, temperature=0.5)
    loss, q, k = plain(copy.deepcopy(method), 0.5, variant == "paper")
    step = method([toy_batch(3)])
    assert list(step.terms) == ["simgrace"]
    assert float(step.terms["simgrace"].detach()) == pytest.approx(loss, rel=1e-4)
    (contrast,) = step.contrasts
    torch.testing.assert_close(contrast.query.detach(), q, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(contrast.key, k, rtol=1e-4, atol=1e-5)
    assert not contrast.key.requires_grad


def test_without_noise_the_copy_is_the_encoder() -> None:
    (contrast,) = simgrace(eta=0)([toy_batch(1)]).contrasts
    torch.testing.assert_close(contrast.query.detach(), contrast.key)
    (contrast,) = simgrace(eta=1)([toy_batch(1)]).contrasts
    assert (contrast.query * contrast.key).sum(1).mean() < 0.99


def test_the_encoder_stays_as_it_is_and_only_the_clean_pass_counts() -> None:
    """Weights are not moved, and batch norm hears of the unperturbed pass alone."""
    method, alone = simgrace(), simgrace()
    method([toy_batch(2)])
    alone.encoder(toy_batch(2))
    mine, other = method.encoder.state_dict(), alone.encoder.state_dict()
    assert any("running_mean" in key for key in mine)
    for key, value in mine.items():
        assert torch.equal(value, other[key]), key


def test_noise_is_new_in_every_step_and_stands_still_in_eval_mode() -> None:
    method = simgrace()
    keys = [method([toy_batch(2)]).contrasts[0].key for _ in range(2)]
    assert not torch.equal(*keys)
    method.eval()
    keys = [method([toy_batch(2)]).contrasts[0].key for _ in range(2)]
    assert torch.equal(*keys)
    before = torch.get_rng_state()
    method.train()([toy_batch(2)])
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_reach_every_parameter() -> None:
    found = gradients(simgrace(), [toy_batch(2)])
    assert all(size > 0 for size in found.values())


def test_a_learned_eps_has_no_deviation_and_stays() -> None:
    train = trainer("simgrace", views=["identity"], encoder__train_eps=True)
    report = train.train_epoch()
    assert math.isfinite(report.loss)


def test_takes_one_view_and_refuses_two() -> None:
    with pytest.raises(UserError, match="needs 1 view, got 2"):
        simgrace()([toy_batch(0), toy_batch(0)])
    with pytest.raises(UserError, match="takes 1 views, the recipe has 2"):
        trainer("simgrace", views=["identity", "identity"])
    for settings in ({"eta": -1}, {"temperature": 0}, {"variant": "papr"}, {"projection": 0}):
        with pytest.raises(UserError, match=rf"method\.{next(iter(settings))}"):
            simgrace(**settings)


def test_trains_and_resumes_bit_equal_with_the_head() -> None:
    reports = resumes_bit_equal(lambda: trainer("simgrace", views=["identity"]))
    assert reports[-1].terms["halp"] != 0


def test_skeletons_with_an_encoder_that_draws_resume_bit_equal() -> None:
    """Dropout inside the perturbed copy moves no draw of the encoder's own."""
    encoder = {"name": "stgcn", "channels": [[8, 2], [8, 2]], "dropout": 0.5}
    made = small_recipe(method={"name": "simgrace"}, encoder=encoder)
    recipe = made.model_copy(update={"views": ["identity"]}).arm("graphcl")
    straight, resumed = (Trainer(small_skeletons().fit_store, recipe, 0) for _ in range(2))
    straight.train_epoch()
    resumed.load_state(copy.deepcopy(straight.state()))
    assert straight.train_epoch().terms == resumed.train_epoch().terms
