"""The engine: fixed epochs, independent draws, bit-equal resuming, clear failures."""

from __future__ import annotations

import copy
import io
import itertools
from typing import Any

import pytest
import torch
from small import small_data, small_recipe
from torch import Tensor

from halpgraph.contracts import Contrast, Method, Step
from halpgraph.engine import Trainer, _chunks, embed
from halpgraph.errors import RunError, UserError


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in trainer.method.state_dict().items()}


def test_same_seed_same_numbers_other_seed_others() -> None:
    data = small_data()
    reports = []
    for seed in (3, 3, 4):
        trainer = Trainer(data.store, small_recipe().arm("halp"), seed)
        reports.append([trainer.train_epoch().terms for _ in range(2)])
    assert reports[0] == reports[1]
    assert reports[0] != reports[2]


def test_resumes_bit_equal_through_a_file() -> None:
    data, recipe = small_data(), small_recipe(train__schedule="cosine").arm("halp")
    straight = Trainer(data.store, recipe, 0)
    for _ in range(3):
        straight.train_epoch()
    broken = Trainer(data.store, recipe, 0)
    broken.train_epoch()
    buffer = io.BytesIO()
    torch.save(broken.state(), buffer)
    buffer.seek(0)
    resumed = Trainer(data.store, recipe, 0)
    resumed.load_state(torch.load(buffer, weights_only=True))
    reports = [resumed.train_epoch() for _ in range(2)]
    assert reports[-1].epoch == 3
    for (name, a), b in zip(weights(straight).items(), weights(resumed).values(), strict=True):
        assert torch.equal(a, b), name
    assert torch.equal(straight.embed(), resumed.embed())


def test_the_head_moves_no_draw_of_the_control() -> None:
    """Both arms start from the same weights and see the same views."""
    data, recipe = small_data(), small_recipe()
    plain = Trainer(data.store, recipe.arm("graphcl"), 0)
    halp = Trainer(data.store, recipe.arm("halp"), 0)
    for (name, a), b in zip(weights(plain).items(), weights(halp).values(), strict=True):
        assert torch.equal(a, b), name
    seen = [list(t._view_batches()) for t in (plain, halp)]
    for ours, theirs in zip(*seen, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a.edge_index, b.edge_index)
            assert torch.equal(a.id, b.id)


def test_every_graph_once_an_epoch_and_no_batch_of_one() -> None:
    data = small_data(33)
    trainer = Trainer(data.store, small_recipe().arm("graphcl"), 0)
    batches = [views[0] for views in trainer._view_batches()]
    assert [b.num_graphs for b in batches] == [16, 17]
    assert sorted(torch.cat([b.id for b in batches]).tolist()) == list(range(33))
    again = torch.cat([views[0].id for views in trainer._view_batches()])
    assert again.tolist() != torch.cat([b.id for b in batches]).tolist()


def test_chunks_cover_all_batches_in_order() -> None:
    nodes = [4, 8, 12, 16, 20, 60, 61]  # cumulative, graphs of 4, ..., one of 40
    cuts = [0, 2, 4, 6, 7]
    chunks = list(_chunks(cuts, nodes, 10))
    assert chunks[0][0] == 0
    assert chunks[-1][1] == len(cuts) - 1
    assert all(a[1] == b[0] for a, b in itertools.pairwise(chunks))


def test_caller_s_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Trainer(small_data().store, small_recipe().arm("graphcl"), 0).train_epoch()
    assert torch.equal(torch.rand(3), expected)


def test_embeddings_do_not_depend_on_batch_size_and_are_of_eval_mode() -> None:
    data = small_data()
    trainer = Trainer(data.store, small_recipe().arm("graphcl"), 0)
    trainer.train_epoch()
    before = weights(trainer)
    whole, parts = embed(trainer.method, data.store), embed(trainer.method, data.store, 7)
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in weights(trainer).items())


class _Poisoned(Method):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight, self.value, self.dim = torch.nn.Parameter(torch.ones(1)), value, 2

    def forward(self, views: Any) -> Step:
        z = self.weight * torch.ones(views[0].num_graphs, 2)
        return Step({"poison": (self.weight * self.value).sum()}, [Contrast(z, z.detach(), 1.0)])

    def embed(self, batch: Any) -> Tensor:
        return torch.ones(batch.num_graphs, 2)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_nonsense_stops_with_a_clear_message(value: float) -> None:
    trainer = Trainer(small_data().store, small_recipe().arm("graphcl"), 0)
    trainer.method = _Poisoned(value)
    with pytest.raises(RunError, match=r"epoch 1: the loss is .*poison.*train\.lr"):
        trainer.train_epoch()


def test_weights_that_went_bad_in_the_last_step_are_no_checkpoint() -> None:
    """The loss is finite before the step that spoils the weights: the epoch must fail."""
    trainer = Trainer(small_data(16).store, small_recipe().arm("graphcl"), 0)
    step = trainer.optimizer.step

    def spoil() -> None:
        step()
        trainer.method.projector[0].bias.data[0] = float("inf")

    trainer.optimizer.step = spoil  # type: ignore[method-assign]
    with pytest.raises(RunError, match="epoch 1: the weights are not finite"):
        trainer.train_epoch()
    assert trainer.epoch == 0


def test_impossible_combinations() -> None:
    data, recipe = small_data(), small_recipe()
    three = recipe.model_copy(update={"views": recipe.views * 3})
    with pytest.raises(UserError, match="takes 2 views"):
        Trainer(data.store, three, 0)
    with pytest.raises(UserError, match="at least 2 graphs"):
        Trainer(data.store.subset([0]), recipe.arm("graphcl"), 0)
    with pytest.raises(UserError, match="no device"):
        Trainer(data.store, small_recipe(train__device="tpu9").arm("graphcl"), 0)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_optimiser_and_precision_learns(optimizer: str, precision: str) -> None:
    recipe = small_recipe(train__optimizer=optimizer, train__precision=precision).arm("halp")
    trainer = Trainer(small_data().store, recipe, 0)
    start = copy.deepcopy(weights(trainer))
    report = trainer.train_epoch()
    assert report.loss == pytest.approx(sum(report.terms.values()))
    assert any(not torch.equal(v, start[k]) for k, v in weights(trainer).items())
