"""GraphCL: its two variants, what it publishes, and what it embeds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch_geometric.data import Batch
from toy import toy_batch

from halpgraph import registry
from halpgraph.batch import slice_batch
from halpgraph.encoders.gin import GIN
from halpgraph.errors import UserError
from halpgraph.methods.graphcl import GraphCL
from halpgraph.objectives import graphcl_official, nt_xent


def make(batch: Batch, **settings: Any) -> GraphCL:
    torch.manual_seed(0)

    def make_encoder() -> GIN:
        return GIN(batch.num_codes, batch.x.size(1))

    spec = {"name": "graphcl", **settings}
    method: GraphCL = registry.methods.build(spec, "method", make_encoder=make_encoder)
    return method


def pair() -> list[Batch]:
    """Two views of 12 graphs: the same sizes, other features."""
    first, second = toy_batch(0), toy_batch(0)
    second.codes = second.codes.flip(0)
    second.x = second.x.sqrt()
    return [first, second]


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_the_term_is_the_objective_of_what_it_publishes(variant: str) -> None:
    views = pair()
    step = make(views[0], variant=variant).train()(views)
    (contrast,) = step.contrasts
    loss = nt_xent if variant == "paper" else graphcl_official
    wanted = loss(contrast.query, contrast.key, 0.2)
    assert list(step.terms) == ["graphcl"]
    torch.testing.assert_close(step.terms["graphcl"], wanted)


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_contrasts_are_unit_vectors_with_gradient_on_the_query_only(variant: str) -> None:
    views = pair()
    method = make(views[0], variant=variant, projection=17)
    (contrast,) = method(views).contrasts
    assert contrast.query.requires_grad
    assert not contrast.key.requires_grad
    assert contrast.stream in method.streams
    for z in (contrast.query, contrast.key):
        assert z.shape == (12, 17) == (12, method.dim)
        torch.testing.assert_close(z.norm(dim=1), torch.ones(12))


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_gradients_reach_every_parameter_and_both_views(variant: str) -> None:
    views = pair()
    for view in views:
        view.x.requires_grad_()
    method = make(views[0], variant=variant)
    method(views).terms["graphcl"].backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    for view in views:
        assert view.x.grad.abs().sum() > 0


def test_paper_is_symmetric_in_its_views_and_official_is_not() -> None:
    views = pair()
    for variant, alike in (("paper", True), ("official", False)):
        method = make(views[0], variant=variant)
        one = method(views).terms["graphcl"]
        other = method(views[::-1]).terms["graphcl"]
        assert torch.allclose(one, other, atol=1e-5) is alike


def test_training_brings_the_loss_down_and_is_deterministic() -> None:
    def train() -> list[float]:
        views = pair()
        method = make(views[0])
        optimizer = torch.optim.Adam(method.parameters(), lr=0.01)
        losses = []
        for _ in range(30):
            loss = method(views).terms["graphcl"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    losses = train()
    assert losses[-1] < 0.6 * losses[0]
    assert losses == train()


def test_embeddings_are_the_encoders_and_do_not_depend_on_the_batch() -> None:
    batch = toy_batch(1)
    method = make(batch).eval()
    with torch.no_grad():
        z = method.embed(batch)
        alone = [method.embed(slice_batch(batch, i, i + 1)) for i in range(batch.num_graphs)]
        torch.testing.assert_close(z, method.encoder(batch).graph)
    assert z.shape == (12, 96)
    torch.testing.assert_close(z, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_refuses_wrong_settings_and_a_single_view() -> None:
    views = pair()
    with pytest.raises(UserError, match="needs 2 views, got 1"):
        make(views[0])(views[:1])
    for settings, where in (
        ({"temperature": 0}, r"method\.temperature"),
        ({"variant": "papr"}, r"method\.variant"),
        ({"projection": 0}, r"method\.projection"),
        ({"temprature": 0.1}, "did you mean 'temperature'"),
    ):
        with pytest.raises(UserError, match=where):
            make(views[0], **settings)
