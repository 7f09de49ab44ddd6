"""JOAO: the shares against a plain re-telling, which draws count for what, and its training."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any, cast

import pytest
import torch
from graph_methods import gradients, make, trainer
from resuming import resumes_bit_equal
from small import small_recipe, small_skeletons
from torch import Tensor
from torch_geometric.data import Batch
from toy import toy_batch

from halpgraph.batch import slice_batch
from halpgraph.contracts import About
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.joao import JOAO, Shares, on_simplex
from halpgraph.registry import views as view_registry

OF = [{"name": "drop_nodes", "ratio": 0.3}, {"name": "perturb_edges", "ratio": 0.3}, "identity"]
CHOICE = {"name": "choice", "of": OF}


def joao(specs: list[Any] | None = None, **settings: Any) -> JOAO:
    about = About(views=[view_registry.settings(s, "views") for s in specs or [CHOICE]])
    return cast(JOAO, make("joao", about=about, **settings))


def shown(seed: int = 0, kinds: int = 3) -> list[Batch]:
    """Two views of 12 graphs and what they drew."""
    random = torch.Generator().manual_seed(seed)
    batches = [toy_batch(seed), toy_batch(seed + 1)]
    for batch in batches:
        batch.drawn = torch.randint(kinds, (12,), generator=random)
    return batches


def plain_losses(q: Tensor, k: Tensor, temperature: float, variant: str) -> list[float]:
    """The loss of every graph, number by number."""

    def one(a: Tensor, b: Tensor, i: int) -> float:
        others = [j for j in range(len(a)) if variant == "paper" or j != i]
        total = sum(math.exp(float(a[i] @ b[j]) / temperature) for j in others)
        return math.log(total) - float(a[i] @ b[i]) / temperature

    if variant == "official":
        return [one(q, k, i) for i in range(len(q))]
    return [(one(q, k, i) + one(k, q, i)) / 2 for i in range(len(q))]


def plain_simplex(x: list[float]) -> list[float]:
    """The nearest point of the simplex, by bisection of what is taken off every entry."""
    low, high = min(x) - 1, max(x)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(max(v - middle, 0) for v in x) > 1 else (low, middle)
    return [max(v - low, 0) for v in x]


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_an_epoch_is_that_of_a_plain_joao(variant: str) -> None:
    method = joao(variant=variant, gamma=0.3, temperature=0.5)
    noted: list[list[list[float]]] = [[[], [], []], [[], [], []]]
    for step in range(3):
        views = shown(step)
        done = method(views)
        (contrast,) = done.contrasts
        losses = plain_losses(contrast.query.detach(), contrast.key, 0.5, variant)
        found = float(done.terms["joao"].detach())
        assert found == pytest.approx(sum(losses) / len(losses), rel=1e-5)
        for view, kinds in zip(views, noted, strict=True):
            for drawn, loss in zip(view.drawn.tolist(), losses, strict=True):
                kinds[drawn].append(loss)
    made = [view_registry.build(CHOICE), view_registry.build(CHOICE)]
    method.begin_epoch(1, made)
    for kinds, view, shares in zip(noted, made, method._shares, strict=True):
        costs = [sum(kind) / len(kind) for kind in kinds]
        wanted = plain_simplex([1 / 3 + cost for cost in costs])  # gamma: nothing yet to hold
        assert shares.p.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        assert view.weights == shares.p.tolist()


def test_gamma_holds_the_shares_near_the_uniform_ones() -> None:
    p = [0.7, 0.2, 0.1]
    for gamma in (0.0, 0.5, 1.0):
        shares = Shares(p, gamma, rate=0.4)
        shares.note(torch.tensor([0, 1, 1, 2]), torch.tensor([1.0, 2.0, 4.0, 2.5]))
        shares.renew()
        costs = [1.0, 3.0, 2.5]
        moved = [v + 0.4 * (c - gamma * (v - 1 / 3)) for v, c in zip(p, costs, strict=True)]
        assert shares.p.tolist() == pytest.approx(plain_simplex(moved), abs=1e-9)


def test_the_hardest_kind_comes_to_be_drawn_most() -> None:
    shares = Shares([1, 1, 1], gamma=1.0, rate=0.5)
    for _ in range(200):
        shares.note(torch.tensor([0, 1, 2]), torch.tensor([1.0, 1.2, 1.1]))
        shares.renew()
    # at rest: p_k = 1/3 + (L_k - mean L) / gamma
    assert shares.p.tolist() == pytest.approx([1 / 3 - 0.1, 1 / 3 + 0.1, 1 / 3], abs=1e-6)


def test_what_nobody_drew_keeps_what_was_known() -> None:
    shares = Shares([1, 1, 1], gamma=0.0, rate=0.01)
    shares.note(torch.tensor([0, 1]), torch.tensor([2.0, 4.0]))
    shares.renew()
    costs = [2.0, 4.0, 3.0]  # the third was never drawn: the mean of the others
    wanted = plain_simplex([1 / 3 + 0.01 * c for c in costs])
    assert shares.p.tolist() == pytest.approx(wanted)
    shares.note(torch.tensor([2]), torch.tensor([9.0]))
    shares.renew()
    wanted = plain_simplex([v + 0.01 * c for v, c in zip(wanted, [2.0, 4.0, 9.0], strict=True)])
    assert shares.p.tolist() == pytest.approx(wanted)
    before = shares.p.clone()
    shares.renew()
    assert torch.equal(before, shares.p)


def test_the_projection_is_the_nearest_point() -> None:
    random = torch.Generator().manual_seed(0)
    for n, scale in itertools.product((1, 2, 5, 16), (0.1, 1.0, 20.0)):
        x = torch.randn(n, generator=random, dtype=torch.float64) * scale
        out = on_simplex(x)
        assert float(out.sum()) == pytest.approx(1)
        assert out.tolist() == pytest.approx(plain_simplex(x.tolist()), abs=1e-9)


def test_choice_tells_what_each_graph_drew() -> None:
    """A graph that drew a view of nodes has lost nodes, one that drew identity is as it was."""
    of = [{"name": "drop_nodes", "ratio": 0.5}, "identity"]
    view = view_registry.build({"name": "choice", "of": of, "weights": [1, 3]})
    batch = toy_batch(5, 60)
    out = view(batch, torch.Generator().manual_seed(0))
    lost = batch.ptr.diff() - out.ptr.diff()
    assert not bool(lost[out.drawn == 1].any())
    assert bool((lost[(out.drawn == 0) & (batch.ptr.diff() > 1)] > 0).all())
    assert set(out.drawn.tolist()) == {0, 1}
    assert "drawn" not in batch
    assert torch.equal(slice_batch(out, 10, 30).drawn, out.drawn[10:30])
    only = view_registry.build({"name": "choice", "of": ["identity"]})
    assert "drawn" in only(batch)
    assert "drawn" not in batch


def test_other_weights_are_drawn_by_from_then_on() -> None:
    view, batch = view_registry.build(CHOICE), toy_batch(5, 60)
    assert set(view(batch, torch.Generator().manual_seed(0)).drawn.tolist()) == {0, 1, 2}
    view.reweigh([0, 1, 0])
    assert set(view(batch, torch.Generator().manual_seed(0)).drawn.tolist()) == {1}
    assert "weights=[0, 1, 0]" in repr(view)
    with pytest.raises(UserError, match=r"views\.choice\.weights"):
        view.reweigh([1, 1])


def test_recipes_may_say_where_the_shares_begin_and_keep_one_view_as_it_is() -> None:
    method = joao(["identity", {**CHOICE, "weights": [2, 1, 1]}])
    assert [s.p.tolist() for s in method._shares] == [[1.0], [0.5, 0.25, 0.25]]
    views = shown()
    del views[0].drawn
    method(views)
    made = [view_registry.build("identity"), view_registry.build(CHOICE)]
    method.begin_epoch(1, made)
    assert made[1].weights != [1 / 3] * 3
    assert method._shares[0].p.tolist() == [1.0]


def test_in_eval_mode_nothing_is_noted() -> None:
    method = joao().eval()
    before = copy.deepcopy(method.state_dict())
    method(shown())
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())


def test_gradients_reach_every_parameter() -> None:
    found = gradients(joao(), shown())
    assert all(size > 0 for size in found.values())


def test_trains_and_resumes_bit_equal_with_the_head() -> None:
    reports = resumes_bit_equal(lambda: trainer("joao", views=[CHOICE]), epochs=6, at=3)
    assert reports[-1].terms["halp"] != 0
    train = trainer("joao", views=[CHOICE])
    for _ in range(6):
        train.train_epoch()
    for shares, view in zip(cast(JOAO, train.method)._shares, train.views, strict=True):
        assert shares.p.tolist() == cast(Any, view).weights
        assert shares.p.tolist() != [1 / 3] * 3
        assert float(shares.count.sum()) == 40


def test_clips_are_chosen_for_as_well() -> None:
    of = [{"name": "rotate", "yaw": [-90, 90]}, {"name": "joint_mask", "joints": 5}, "identity"]
    recipe = small_recipe(method={"name": "joao"}, encoder={"name": "bigru", "hidden": 8})
    recipe = recipe.model_copy(update={"views": [{"name": "choice", "of": of}]})
    train = Trainer(small_skeletons().fit_store, recipe.arm("graphcl"), 0)
    for _ in range(2):
        train.train_epoch()
    assert all(s.p.tolist() != [1 / 3] * 3 for s in cast(JOAO, train.method)._shares)


def test_refuses_views_that_leave_nothing_to_choose() -> None:
    drop = {"name": "drop_nodes", "ratio": 0.2}
    for views, text in (
        ([drop], r"learns what to choose, .* drop_nodes, drop_nodes; give one 'choice'"),
        (["identity"], "nothing to choose"),
        ([CHOICE, drop], "the recipe has choice, drop_nodes"),
        ([CHOICE] * 3, "the recipe has choice, choice, choice"),
        ([{"name": "choice", "of": [drop]}], "list two or more views"),
    ):
        with pytest.raises(UserError, match=text):
            trainer("joao", views=views)
    with pytest.raises(UserError, match="needs 2 views, got 1"):
        joao()(shown()[:1])
    for key in ("gamma", "rate", "temperature", "projection"):
        with pytest.raises(UserError, match=rf"method\.{key}"):
            joao(**{key: -1})
