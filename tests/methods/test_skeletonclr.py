"""SkeletonCLR is MoCo with settings of its own, to the bit."""

from __future__ import annotations

import pytest
import torch
from small import small_recipe, small_skeletons

from halpgraph import registry
from halpgraph.engine import Trainer
from halpgraph.errors import UserError

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
GCN = {"name": "stgcn", "channels": [[8, 2]], "dropout": 0}


def trainer(**method: object) -> Trainer:
    recipe = small_recipe(method=method, encoder=GCN).model_copy(update={"views": [CROP]})
    return Trainer(small_skeletons().fit_store, recipe.arm("halp"), 0)


def test_it_trains_as_moco_with_the_same_settings() -> None:
    own = trainer(name="skeletonclr", bank=50)
    other = trainer(name="moco", bank=50, start="random", momentum=0.999)
    for _ in range(2):
        assert own.train_epoch().loss == other.train_epoch().loss
    assert torch.equal(own.embed(), other.embed())


def test_it_goes_by_its_own_name() -> None:
    own = trainer(name="skeletonclr", bank=50)
    assert set(own.train_epoch().terms) == {"skeletonclr", "halp"}
    with pytest.raises(UserError, match="method skeletonclr: needs 2 views, got 1"):
        own.method(next(own._view_batches())[:1])


def test_published_settings() -> None:
    known = registry.methods.settings("skeletonclr", "method")
    assert known["bank"] == 32768
    assert (known["temperature"], known["momentum"], known["projection"]) == (0.07, 0.999, 128)
    assert known["start"] == "random"
    with pytest.raises(UserError, match="symmetric: unknown setting"):
        registry.methods.settings({"name": "skeletonclr", "symmetric": True}, "method")
