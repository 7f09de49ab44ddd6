"""AD-GCL: a plain step, whose gradient goes where, weights of edges, and its training."""

from __future__ import annotations

import copy
import math
from typing import Any, cast

import pytest
import torch
from graph_methods import gradients, make, trainer
from resuming import resumes_bit_equal
from small import small_recipe, small_skeletons
from torch import Tensor
from torch_geometric.data import Batch
from toy import pack, toy_batch

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods import _edge_pairs
from halpgraph.methods.adgcl import ADGCL, Augmenter, both_ways, dropped


def adgcl(**settings: Any) -> ADGCL:
    small = {"layers": 2, "hidden": 8, "pair": 6}
    return cast(ADGCL, make("adgcl", **{**small, **settings}))


def plain_weights(augmenter: Augmenter, batch: Batch) -> Tensor:
    """The weight of every directed edge, edge by edge; the lower node draws for both."""
    local = augmenter.encoder(batch).local
    seed, count = augmenter.draws.drawn.tolist()
    number = batch.edge_index.size(1) // 2
    draws = torch.rand(number, generator=torch.Generator().manual_seed(seed + count))
    edges = [(int(u), int(v)) for u, v in batch.edge_index.t()]
    place = {edge: i for i, edge in enumerate(e for e in edges if e[0] < e[1])}

    def mlp(u: int, v: int) -> Tensor:
        hidden = augmenter.pair(torch.cat([local[u], local[v]])).clamp(min=0)
        return augmenter.out(hidden)[0]

    out = []
    for u, v in edges:
        d = 1e-4 + (1 - 2e-4) * draws[place[min(u, v), max(u, v)]]
        lean = (mlp(u, v) + mlp(v, u)) / 2
        out.append(torch.sigmoid((d.log() - (1 - d).log() + lean) / augmenter.relaxation))
    return torch.stack(out)


def plain_encoder(method: ADGCL, batch: Batch, weight: Tensor) -> Tensor:
    """GIN with a dense weighted adjacency matrix."""
    from halpgraph.batch import node_features

    nodes = batch.batch.numel()
    matrix = torch.eye(nodes).index_put((batch.edge_index[0], batch.edge_index[1]), weight)
    h, rows = node_features(batch), []
    for layer in method.encoder.layers:
        h = (matrix @ h @ layer.inner.weight.t() + layer.inner.bias).relu()
        h = layer.outer(h).relu()
        mean, var = h.mean(0), h.var(0, unbiased=False)
        h = (h - mean) / (var + layer.norm.eps).sqrt() * layer.norm.weight + layer.norm.bias
        rows.append(torch.zeros(batch.num_graphs, h.size(1)).index_add(0, batch.batch, h))
    return torch.cat(rows, dim=1)


def plain_share(weight: Tensor, batch: Batch) -> Tensor:
    shares = []
    for b in range(batch.num_graphs):
        mine = batch.batch[batch.edge_index[0]] == b
        if bool(mine.any()):
            shares.append((1 - weight[mine]).mean())
    return torch.stack(shares).mean()


def plain_loss(q: Tensor, k: Tensor, temperature: float, variant: str) -> Tensor:
    losses = []
    for a, b in ((q, k), (k, q)):
        for i in range(len(a)):
            others = [j for j in range(len(a)) if variant == "paper" or j != i]
            logits = torch.stack([a[i] @ b[j] for j in others]) / temperature
            losses.append(logits.exp().sum().log() - a[i] @ b[i] / temperature)
    return torch.stack(losses).mean()


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_a_step_is_that_of_a_plain_adgcl_and_each_player_has_its_own_gradient(variant: str) -> None:
    """The encoder descends L; the augmenter descends penalty * r - L."""
    method, batch = adgcl(variant=variant, temperature=0.5, penalty=2.0), toy_batch(1, 8)
    twin = copy.deepcopy(method)
    step = method([batch])
    assert list(step.terms) == ["adgcl", "dropped"]
    torch.stack(list(step.terms.values())).sum().backward()

    weight = plain_weights(twin.augmenter, batch)
    graphs = (plain_encoder(twin, batch, w) for w in (torch.ones_like(weight), weight))
    q, k = (twin.projector(g) for g in graphs)
    q, k = (z / z.norm(dim=1, keepdim=True) for z in (q, k))
    loss, share = plain_loss(q, k, 0.5, variant), plain_share(weight, batch)
    found = {name: float(term.detach()) for name, term in step.terms.items()}
    assert found["adgcl"] == pytest.approx(float(loss.detach()), rel=1e-4)
    assert found["dropped"] == pytest.approx(2 * float(share.detach()), rel=1e-4)
    (contrast,) = step.contrasts
    torch.testing.assert_close(contrast.query, q, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(contrast.key, k.detach(), rtol=1e-3, atol=1e-4)

    minus = 2 * share - loss
    for part, objective in (("augmenter", minus), ("encoder", loss), ("projector", loss)):
        mine = [p for n, p in twin.named_parameters() if n.startswith(part)]
        wanted = torch.autograd.grad(objective, mine, retain_graph=True, allow_unused=True)
        names = [n for n, _ in twin.named_parameters() if n.startswith(part)]
        own = dict(method.named_parameters())
        for name, grad in zip(names, wanted, strict=True):
            assert grad is not None, name
            torch.testing.assert_close(own[name].grad, grad, rtol=2e-3, atol=1e-5, msg=name)


def test_both_directions_are_one_edge() -> None:
    for seed in range(5):
        batch = toy_batch(seed, 20)
        first, second, number = both_ways(batch)
        source, target = batch.edge_index
        low, high = torch.minimum(source, target), torch.maximum(source, target)
        assert torch.equal(first[number], low)
        assert torch.equal(second[number], high)
        assert bool((first < second).all())
        weight = adgcl().augmenter(batch)
        pairs = {}
        for (u, v), w in zip(batch.edge_index.t().tolist(), weight.tolist(), strict=True):
            assert 0 < w < 1
            assert pairs.setdefault((min(u, v), max(u, v)), w) == w
        assert len(set(pairs.values())) > 0.9 * len(pairs)


def test_an_edge_leans_as_the_perceptron_of_its_nodes_says_in_both_orders() -> None:
    augmenter, random = adgcl().augmenter, torch.Generator().manual_seed(0)
    local = torch.randn(7, 8, generator=random)
    first, second = torch.randint(7, (2, 10), generator=random)
    with torch.no_grad():
        augmenter.pair.bias.normal_()
        augmenter.out.bias.normal_()
        orders = ((first, second), (second, first))
        hidden = [augmenter.pair(torch.cat([local[u], local[v]], 1)).relu() for u, v in orders]
        wanted = sum(augmenter.out(h)[:, 0] for h in hidden) / 2
        torch.testing.assert_close(augmenter.lean(local, first, second), wanted)
        assert augmenter.lean(local, first[:0], second[:0]).shape == (0,)


@pytest.mark.parametrize("numbers", [1, 15, 1 << 17])
def test_edges_some_at_a_time_are_as_all_at_once(
    numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_edge_pairs, "AT_ONCE", numbers)
    random = torch.Generator().manual_seed(0)
    nodes = torch.randn(2, 6, 5, generator=random, dtype=torch.float64)
    out = torch.randn(5, generator=random, dtype=torch.float64)
    first, second = torch.randint(6, (2, 11), generator=random)
    given = [t.clone().requires_grad_() for t in (*nodes, out)]
    a, b, w = given
    found = _edge_pairs.both_orders(a, b, first, second, w)
    plain = (a[first] + b[second]).relu() @ w + (a[second] + b[first]).relu() @ w
    torch.testing.assert_close(found, plain)
    weight = torch.randn(11, generator=random, dtype=torch.float64)
    slopes = [torch.autograd.grad((one * weight).sum(), given) for one in (found, plain)]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_graphs_without_edges_drop_nothing() -> None:
    batch = pack([(3, {(0, 1), (1, 2)}), (4, set()), (2, {(0, 1)})])
    weight = torch.tensor([0.5, 0.5, 0.1, 0.1, 0.8, 0.8])
    assert float(dropped(weight, batch)) == pytest.approx((0.7 + 0.2) / 2)
    bare = pack([(3, set()), (4, set())])
    step = adgcl()([bare])
    assert float(step.terms["dropped"].detach()) == 0
    assert all(math.isfinite(size) for size in gradients(adgcl(), [bare]).values())


def test_gradients_reach_every_parameter_and_draws_are_its_own() -> None:
    found = gradients(adgcl(), [toy_batch(2)])
    assert all(size > 0 for size in found.values()), found
    method, batch = adgcl(), toy_batch(2)
    random = torch.get_rng_state()
    assert not torch.equal(method.augmenter(batch), method.augmenter(batch))
    assert torch.equal(random, torch.get_rng_state())
    method.eval()
    assert torch.equal(method.augmenter(batch), method.augmenter(batch))
    assert batch.edge_weight is None
    torch.testing.assert_close(method.embed(batch), method.encoder(batch).graph)


def test_the_penalty_decides_how_many_edges_stay() -> None:
    shares = []
    for penalty in (0.0, 5.0):
        train = trainer("adgcl", False, ["identity"], penalty=penalty, layers=2, hidden=8)
        for _ in range(15):
            train.train_epoch()
        method, batch = cast(ADGCL, train.method), train.store.batch()
        shares.append(float(dropped(method.augmenter(batch), batch).detach()))
    assert shares[0] > 0.5 > 0.2 > shares[1]


def test_trains_and_resumes_bit_equal_with_the_head() -> None:
    reports = resumes_bit_equal(lambda: trainer("adgcl", views=["identity"], layers=2))
    assert reports[-1].terms["halp"] != 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_is_taken_in_float32(precision: str) -> None:
    train = trainer("adgcl", views=["identity"], layers=2, train__precision=precision)
    assert math.isfinite(train.train_epoch().loss)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        step = train.method(next(train._view_batches()))
    assert all(term.dtype == torch.float32 for term in step.terms.values())


def test_refuses_two_views_encoders_that_weigh_no_edges_and_wrong_settings() -> None:
    with pytest.raises(UserError, match="needs 1 view, got 2"):
        adgcl()([toy_batch(0), toy_batch(0)])
    recipe = small_recipe(method={"name": "adgcl"}, encoder={"name": "bigru", "hidden": 8})
    with pytest.raises(UserError, match="needs an encoder that weighs edges; use gin"):
        Trainer(small_skeletons().fit_store, recipe.arm("halp"), 0)
    for settings in ({"penalty": -1}, {"layers": 0}, {"pair": 0}, {"relaxation": 0}):
        with pytest.raises(UserError, match=rf"method\.{next(iter(settings))}"):
            adgcl(**settings)
