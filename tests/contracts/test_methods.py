"""Contracts of methods, over every registered name, on graphs and on skeletons."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from component_specs import spec
from resuming import resumes_bit_equal
from small import small_data, small_recipe, small_skeletons

from halpgraph import registry
from halpgraph.engine import Trainer, embed

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
OF_POSES = ("aimclr", "assl", "longtgan", "ms2l")  # methods that no graph encoder suits
ON = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name in registry.methods.names()
    for kind in ("graphs", "skeletons")
]


@pytest.mark.parametrize(("name", "kind"), ON)
class TestMethod:
    def trainer(self, name: str, kind: str, arm: str = "graphcl", **changes: Any) -> Trainer:
        data = small_data() if kind == "graphs" else small_skeletons()
        views = small_recipe().views if kind == "graphs" else [CROP]
        if kind == "skeletons" and name in OF_POSES:
            changes |= {"encoder": {**spec("bigru"), "pool": "mean"}}
        recipe = small_recipe(method=spec(name), **changes)
        recipe = recipe.model_copy(update={"views": views})
        try:
            return Trainer(data.fit_store, recipe.arm(arm), 0)
        except registry.UserError as error:
            pytest.skip(f"not of {kind}: {error}")

    def test_a_step_is_finite_and_reaches_every_parameter(self, name: str, kind: str) -> None:
        trainer = self.trainer(name, kind)
        views = next(trainer._view_batches())
        step = trainer.method(views)
        loss = torch.stack(list(step.terms.values())).sum()
        assert torch.isfinite(loss)
        loss.backward()
        learns = {k: p for k, p in trainer.method.named_parameters() if p.requires_grad}
        assert learns
        for key, parameter in learns.items():
            assert parameter.grad is not None, key
        assert {c.stream for c in step.contrasts} <= set(trainer.method.streams)
        for contrast in step.contrasts:
            assert contrast.query.requires_grad
            assert not contrast.key.requires_grad
            ones = torch.ones(views[0].num_graphs)
            torch.testing.assert_close(contrast.query.norm(dim=1), ones)
            torch.testing.assert_close(contrast.key.norm(dim=1), ones)

    def test_embeds_one_graph_as_many(self, name: str, kind: str) -> None:
        trainer = self.trainer(name, kind)
        trainer.train_epoch()
        whole = embed(trainer.method, trainer.store)
        one = embed(trainer.method, trainer.store.subset([5]))
        torch.testing.assert_close(whole[5:6], one, rtol=1e-4, atol=1e-5)

    def test_in_eval_mode_nothing_moves(self, name: str, kind: str) -> None:
        trainer = self.trainer(name, kind)
        trainer.train_epoch()
        before = copy.deepcopy(trainer.method.state_dict())
        trainer.method.eval()
        trainer.method(next(trainer._view_batches()))
        trainer.method.after_step()
        after = trainer.method.state_dict()
        assert before.keys() == after.keys()
        for key, value in before.items():
            same = torch.equal(value, after[key]) if torch.is_tensor(value) else None
            assert same if same is not None else value == after[key], key

    def test_learns(self, name: str, kind: str) -> None:
        """Against the same method on the same views with weights that stand still."""
        moving, still = (self.trainer(name, kind, train__lr=lr) for lr in (0.003, 1e-12))
        losses = [[t.train_epoch().loss for _ in range(15)][-5:] for t in (moving, still)]
        assert np.mean(losses[0]) < np.mean(losses[1])

    def test_resumes_bit_equal_through_a_file(self, name: str, kind: str) -> None:
        reports = resumes_bit_equal(lambda: self.trainer(name, kind))
        assert "halp" not in reports[-1].terms

    def test_resumes_bit_equal_with_the_halp_head(self, name: str, kind: str) -> None:
        if not hasattr(self.trainer(name, kind).method, "dim"):
            pytest.skip("publishes no contrasts")
        few = {"head__bank": 32, "head__prototypes": 4}
        reports = resumes_bit_equal(lambda: self.trainer(name, kind, "halp", **few))
        assert reports[-1].terms["halp"] != 0

    def test_refuses_another_number_of_views(self, name: str, kind: str) -> None:
        method = self.trainer(name, kind).method
        with pytest.raises(registry.UserError, match=f"method {name}: needs {method.n_views} view"):
            method([])
