"""InfoGraph: its loss pair by pair, its prior, what it publishes for heads, and its training."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from graph_methods import gradients, make, trainer
from resuming import resumes_bit_equal
from small import small_recipe, small_skeletons
from torch import Tensor
from toy import toy_batch

from halpgraph.contracts import Encoder
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods._local_global import local_global
from halpgraph.methods.infograph import InfoGraph, _Codes


def infograph(**settings: float) -> InfoGraph:
    return cast(InfoGraph, make("infograph", **settings))


def plain_loss(local: Tensor, whole: Tensor, graph: Tensor) -> float:
    """Minus the estimate, a node and a graph at a time."""
    own, other = [], []
    for i in range(len(local)):
        for b in range(len(whole)):
            score = float(local[i] @ whole[b])
            if b == int(graph[i]):
                own.append(math.log(2) - math.log1p(math.exp(-score)))
            else:
                other.append(math.log1p(math.exp(score)) - math.log(2))
    return sum(other) / len(other) - sum(own) / len(own)


def plain_codes(net: _Codes, x: Tensor) -> Tensor:
    h = x
    for step in net.deep:
        h = h @ step.weight.t() + step.bias if hasattr(step, "weight") else h.clamp(min=0)
    return h + x @ net.shortcut.weight.t() + net.shortcut.bias


def test_a_step_is_that_of_a_plain_infograph() -> None:
    method, batch = infograph(), toy_batch(1, 6)
    step = method([batch])
    with torch.no_grad():
        found = make("infograph").train().encoder(batch)  # type: ignore[operator]
        local = plain_codes(method.local, torch.cat(list(found.levels), 1))
        whole = plain_codes(method.whole, found.graph)
    wanted = plain_loss(local, whole, batch.batch)
    assert list(step.terms) == ["infograph"]
    assert float(step.terms["infograph"].detach()) == pytest.approx(wanted, rel=1e-4)
    (contrast,) = step.contrasts
    for b in range(6):
        mean = local[batch.batch == b].mean(0)
        torch.testing.assert_close(contrast.query[b].detach(), mean / mean.norm())
        torch.testing.assert_close(contrast.key[b], whole[b] / whole[b].norm())
    assert contrast.query.requires_grad
    assert not contrast.key.requires_grad


def test_the_levels_are_what_is_read_out() -> None:
    method, batch = infograph(), toy_batch(1, 6)
    found = method.encoder(batch)
    assert [level.size(1) for level in found.levels] == list(method.encoder.level_channels)
    assert torch.equal(found.levels[-1], found.local)
    sums = [
        torch.stack([level[batch.batch == b].sum(0) for b in range(6)]) for level in found.levels
    ]
    torch.testing.assert_close(torch.cat(sums, 1), found.graph, rtol=1e-4, atol=1e-4)


def test_gradients_of_the_loss_are_right() -> None:
    random = torch.Generator().manual_seed(0)
    local = torch.randn(9, 4, dtype=torch.float64, generator=random).requires_grad_()
    whole = torch.randn(3, 4, dtype=torch.float64, generator=random).requires_grad_()
    graph = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2, 2])
    assert torch.autograd.gradcheck(lambda x, y: local_global(x, y, graph), (local, whole))
    wanted = plain_loss(local.detach(), whole.detach(), graph)
    assert float(local_global(local, whole, graph).detach()) == pytest.approx(wanted)
    with pytest.raises(UserError, match="no other graph"):
        local_global(local, whole[:1], graph * 0)


def test_scores_without_bound_stay_finite() -> None:
    local, whole = torch.full((4, 2), 1e3), torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    loss = local_global(local, whole * 1e3, torch.tensor([0, 0, 1, 1]))
    assert bool(loss.isfinite())
    assert float(loss) > 1e5


def test_gradients_reach_every_parameter() -> None:
    for settings in ({}, {"prior": 0.1}):
        found = gradients(infograph(**settings), [toy_batch(2)])
        assert all(size > 0 for size in found.values()), found


def test_the_judge_tells_and_the_encoder_pleases_it() -> None:
    """Both gradients of the prior term, against those of two separate losses."""
    method = infograph(prior=0.5)
    graph = torch.randn(7, method.encoder.out_channels).requires_grad_()
    seed, count = method.draws.drawn.tolist()
    drawn = torch.rand(graph.shape, generator=torch.Generator().manual_seed(seed + count))
    mine = method._judged(graph)
    mine.backward()
    judges = [p.grad.clone() for p in method.judge.parameters() if p.grad is not None]
    pleased = graph.grad
    method.zero_grad()
    graph.grad = None
    says = method.judge(drawn).sigmoid(), method.judge(graph).sigmoid()
    loss = -says[0].log().mean() - (1 - says[1]).log().mean()
    assert float(mine.detach()) == pytest.approx(float(loss.detach()), rel=1e-5)
    loss.backward()
    for a, p in zip(judges, method.judge.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad)
    torch.testing.assert_close(pleased, -graph.grad)  # type: ignore[operator]


def test_without_a_prior_there_is_no_judge() -> None:
    assert not any("judge" in key or "draws" in key for key in infograph().state_dict())
    assert set(infograph(prior=0.1)([toy_batch(0)]).terms) == {"infograph", "prior"}


def test_nodes_learn_which_graph_they_are_of() -> None:
    """After training, far more nodes score highest with their own graph than by chance."""
    train = trainer("infograph", head=False, views=["identity"], train__lr=0.01)
    losses = [train.train_epoch().loss for _ in range(60)]
    assert losses[-1] < losses[0] / 10
    method, batch = cast(InfoGraph, train.method.eval()), train.store.batch()
    found = method.encoder(batch)
    scores = method.local(torch.cat(list(found.levels), 1)) @ method.whole(found.graph).t()
    right = (scores.argmax(1) == batch.batch).float().mean()
    assert right > 8 / batch.num_graphs


@pytest.mark.parametrize("prior", [0.0, 0.1])
def test_trains_and_resumes_bit_equal_with_the_head(prior: float) -> None:
    settings = {"views": ["identity"], "prior": prior, "train__lr": 0.001}
    reports = resumes_bit_equal(lambda: trainer("infograph", **settings))
    assert reports[-1].terms["halp"] != 0
    assert ("prior" in reports[-1].terms) == bool(prior)


def test_refuses_two_views_encoders_without_nodes_and_wrong_settings() -> None:
    with pytest.raises(UserError, match="needs 1 view, got 2"):
        infograph()([toy_batch(0), toy_batch(0)])
    made = small_recipe(method={"name": "infograph"}, encoder={"name": "bigru", "hidden": 8})
    with pytest.raises(UserError, match="needs an encoder that keeps the nodes; use gin"):
        Trainer(small_skeletons().fit_store, made.arm("halp"), 0)
    for key, value in (("projection", 0), ("prior", -1), ("temperature", 0)):
        with pytest.raises(UserError, match=rf"method\.{key}"):
            infograph(**{key: value})


def test_an_encoder_says_which_levels_it_keeps() -> None:
    assert tuple(Encoder.level_channels) == ()
    assert list(infograph().encoder.level_channels) == [8, 8, 8]
