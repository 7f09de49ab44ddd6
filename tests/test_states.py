"""Checkpoints that do not fit are refused in one line, and nothing of them is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_data, small_recipe, small_skeletons

from halpgraph.engine import Trainer
from halpgraph.errors import RunError

MOCO = {"name": "moco", "bank": 40}


def graphs(**changes: Any) -> Trainer:
    return Trainer(small_data().store, small_recipe(**changes).arm("halp"), 0)


def poses(stream: str) -> Trainer:
    recipe = small_recipe(method={**MOCO, "stream": stream})
    recipe = recipe.model_copy(update={"views": ["crop_resize"]})
    return Trainer(small_skeletons().store, recipe.arm("halp"), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder__layers": 2}, r"method does not fit .* not of this recipe: encoder\.\S+ \(and"),
        ({"encoder__layers": 4}, r"method does not fit .* missing: encoder\.\S+ \(and \d+ more\)"),
        ({"encoder__hidden": 16}, r"of another shape: \S+ \[32.*, the recipe makes it \[16"),
        ({"method": MOCO}, r"trained on stream graph, the recipe says joint"),
        ({"train__optimizer": "sgd"}, r"trained on optimizer adam, the recipe says sgd"),
        ({"head__bank": 16}, r"head does not fit .* missing: streams\.graph\.bank"),
    ],
)
def test_the_first_thing_that_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    state, other = graphs().state(), graphs(**changes)
    with pytest.raises(RunError, match=message) as caught:
        other.load_state(state)
    assert "\n" not in str(caught.value)


def test_of_a_method_that_does_not_fit_nothing_is_loaded() -> None:
    state, twin = graphs().state(), Trainer(small_data().store, small_recipe().arm("halp"), 1)
    state["method"].pop("projector.2.bias")
    before = {k: v.clone() for k, v in twin.method.state_dict().items()}
    with pytest.raises(RunError, match=r"missing: projector\.2\.bias$"):
        twin.load_state(state)
    assert all(torch.equal(v, before[k]) for k, v in twin.method.state_dict().items())


def test_streams_are_told_apart_though_their_shapes_agree() -> None:
    with pytest.raises(RunError, match="trained on stream motion, the recipe says joint"):
        poses("joint").load_state(poses("motion").state())
    poses("motion").load_state(poses("motion").state())
