"""GraphMAE: a plain step, exact counts, what the decoder may see, and what is refused."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest
import torch
from graph_methods import gradients, make, trainer
from resuming import resumes_bit_equal
from small import small_graphs, small_recipe, small_skeletons
from torch import Tensor
from torch_geometric.data import Batch
from toy import toy_batch

from halpgraph.batch import node_features
from halpgraph.contracts import About
from halpgraph.data.load import from_list
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.graphmae import GraphMAE, _Cosines


def graphmae(**settings: Any) -> GraphMAE:
    return cast(GraphMAE, make("graphmae", **settings))


def neighbours(batch: Batch, i: int) -> list[int]:
    return [int(t) for s, t in batch.edge_index.t() if int(s) == i]


def plain(method: GraphMAE, batch: Batch, hidden: list[int]) -> float:
    """The step node by node, of the encoder's own last layer."""
    x = node_features(batch)
    shown = copy.copy(batch)
    rows = [method.token if i in hidden else x[i] for i in range(len(x))]
    shown.x, shown.codes, shown.num_codes = torch.stack(rows), batch.codes[:, :0], 0
    h = method.encoder(shown).local @ method.bridge.weight.t()
    first, _, last = method.decode
    errors = []
    for i in hidden:
        told = h[i]
        if method.decoder == "gin":
            seen = [h[j] for j in neighbours(batch, i) if j not in hidden]
            told = sum(seen, torch.zeros_like(h[i]))
        made = last.weight @ (first.weight @ told + first.bias).clamp(min=0) + last.bias
        error = 1 - (made @ x[i]) / (made.norm() * x[i].norm()) if made.norm() > 0 else 1.0
        errors.append(error**method.gamma)
    return float(sum(errors) / len(errors))


@pytest.mark.parametrize("decoder", ["gin", "mlp"])
@pytest.mark.parametrize("gamma", [2.0, 3.0])
def test_a_step_is_that_of_a_plain_graphmae(decoder: str, gamma: float) -> None:
    method, batch = graphmae(decoder=decoder, gamma=gamma), toy_batch(1, 8)
    with torch.no_grad():
        for p in (method.token, *(b for n, b in method.named_parameters() if "bias" in n)):
            p.copy_(torch.randn(p.shape))
    twin = copy.deepcopy(method)
    hidden = twin.hidden_nodes(batch).tolist()
    step = method([batch])
    assert list(step.terms) == ["graphmae"]
    assert step.contrasts == []
    with torch.no_grad():
        wanted = plain(twin, batch, hidden)
    assert float(step.terms["graphmae"].detach()) == pytest.approx(wanted, rel=1e-4)


def test_cosines_are_those_of_pytorch_and_rows_of_zeros_have_none() -> None:
    random = torch.Generator().manual_seed(0)
    made = torch.randn(6, 5, generator=random, dtype=torch.float64)
    wanted = torch.randn(6, 5, generator=random, dtype=torch.float64)
    made[1], wanted[2] = 0, 0
    made.requires_grad_()
    found = _Cosines.apply(made, wanted)
    torch.testing.assert_close(found, torch.cosine_similarity(made, wanted))
    assert found[[1, 2]].tolist() == [0, 0]
    weight = torch.randn(6, generator=random, dtype=torch.float64)
    (slope,) = torch.autograd.grad((found * weight).sum(), made)
    assert not slope[[1, 2]].any()
    rest = [0, 3, 4, 5]
    plain = (torch.cosine_similarity(made, wanted)[rest] * weight[rest]).sum()
    torch.testing.assert_close(slope, torch.autograd.grad(plain, made)[0])


@pytest.mark.parametrize("mask", [0.01, 0.29, 0.5, 0.75, 0.99])
def test_the_number_hidden_is_exact_for_every_graph(mask: float) -> None:
    method, batch = graphmae(mask=mask), toy_batch(4, 40)
    sizes = batch.ptr.diff().tolist()
    wanted = [max(1, int(mask * n + 1e-9)) for n in sizes]
    drawn = [method.hidden_nodes(batch) for _ in range(20)]
    for nodes in drawn:
        assert torch.bincount(batch.batch[nodes], minlength=40).tolist() == wanted
        assert bool((nodes.diff() > 0).all())
    assert len({tuple(nodes.tolist()) for nodes in drawn}) > 10


def test_every_node_is_as_likely_hidden() -> None:
    method, batch = graphmae(mask=0.5), toy_batch(4, 10)
    total = torch.zeros(batch.batch.numel())
    for _ in range(400):
        total[method.hidden_nodes(batch)] += 1
    sizes = batch.ptr.diff()[batch.batch]
    wanted = (sizes * 0.5).floor().clamp(min=1) / sizes
    assert float((total / 400 - wanted).abs().max()) < 0.12  # five deviations


def test_hidden_features_are_seen_by_nobody() -> None:
    """Their features change targets alone; what the encoder makes of them is hidden again."""
    method, batch = graphmae().eval(), toy_batch(2, 8)
    hidden = method.hidden_nodes(batch)
    told: list[Tensor] = []
    method.decode.register_forward_hook(lambda _, inputs, __: told.append(inputs[0]))
    other = copy.copy(batch)
    other.x, other.codes = batch.x.clone(), batch.codes.clone()
    other.x[hidden] += 5
    other.codes[hidden] = (other.codes[hidden] + 1) % 5
    method([batch])
    method([other])
    assert torch.equal(told[0], told[1])
    alone = [
        i
        for i, n in enumerate(hidden.tolist())
        if set(neighbours(batch, n)) <= set(hidden.tolist())
    ]
    assert alone
    assert not bool(told[0][alone].any())


def test_batches_are_left_as_they_are_and_draws_stand_still_in_eval_mode() -> None:
    method, batch = graphmae(), toy_batch(2, 8)
    before = {key: batch[key].clone() for key in ("x", "codes")}
    random = torch.get_rng_state()
    method([batch])
    assert all(torch.equal(batch[key], value) for key, value in before.items())
    assert torch.equal(random, torch.get_rng_state())
    assert not torch.equal(method.hidden_nodes(batch), method.hidden_nodes(batch))
    method.eval()
    assert torch.equal(method.hidden_nodes(batch), method.hidden_nodes(batch))
    torch.testing.assert_close(method.embed(batch), method.encoder(batch).graph)


def test_nodes_without_features_count_one() -> None:
    method, batch = graphmae(), toy_batch(2, 8)
    batch.x, batch.codes = torch.zeros_like(batch.x), torch.full_like(batch.codes, 5)
    assert float(method([batch]).terms["graphmae"].detach()) == 1.0


@pytest.mark.parametrize("decoder", ["gin", "mlp"])
def test_gradients_reach_every_parameter(decoder: str) -> None:
    found = gradients(graphmae(decoder=decoder), [toy_batch(2)])
    assert all(size > 0 for size in found.values()), found


def test_features_that_follow_from_neighbours_are_reconstructed() -> None:
    """In every graph all nodes have one label: the neighbours tell it."""
    graphs = small_graphs()
    for i, graph in enumerate(graphs):
        graph.x = torch.eye(3)[[i % 3]].repeat(graph.num_nodes, 1)
    recipe = small_recipe(method={"name": "graphmae"}, head=None, train__lr=0.01)
    recipe = recipe.model_copy(update={"views": ["identity"]})
    train = Trainer(from_list(graphs).store, recipe.arm("graphcl"), 0)
    losses = [train.train_epoch().loss for _ in range(30)]
    assert losses[-1] < 0.25 * losses[0]


def test_trains_and_resumes_bit_equal() -> None:
    reports = resumes_bit_equal(lambda: trainer("graphmae", head=False, views=["identity"]))
    assert set(reports[-1].terms) == {"graphmae"}


def test_refuses_what_it_cannot_reconstruct() -> None:
    with pytest.raises(UserError, match=r"same features.*data\.features \(labels, attributes"):
        make("graphmae", about=About(plain=True, width=1))
    constant = from_list(small_graphs(), features=["constant"]).store
    recipe = small_recipe(method={"name": "graphmae"}, head=None).arm("graphcl")
    with pytest.raises(UserError, match="nothing to reconstruct"):
        Trainer(constant, recipe, 0)
    with pytest.raises(UserError, match="these are skeletons; use moco"):
        Trainer(small_skeletons().fit_store, recipe, 0)
    with pytest.raises(UserError, match="publishes no contrasts; use 'head: null'"):
        trainer("graphmae", head=True, views=["identity"])
    with pytest.raises(UserError, match="needs 1 view, got 2"):
        graphmae()([toy_batch(0), toy_batch(0)])
    for key, value in (("mask", 0), ("mask", 1), ("gamma", 0.5), ("decoder", "gat")):
        with pytest.raises(UserError, match=rf"method\.{key}"):
            graphmae(**{key: value})


def test_degrees_will_do() -> None:
    recipe = small_recipe(method={"name": "graphmae"}, head=None)
    recipe = recipe.model_copy(update={"views": ["identity"]}).arm("graphcl")
    store = from_list(small_graphs(), features=["degree"]).store
    report = Trainer(store, recipe, 0).train_epoch()
    assert 0 < report.loss < 4
