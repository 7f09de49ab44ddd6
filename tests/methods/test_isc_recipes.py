"""ISC's recipes: partners that are wrong are told at once, presets have the published numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from small import small_recipe, small_skeletons

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.runner import read_and_validate


@pytest.mark.parametrize(
    ("partners", "said"),
    [
        (None, r"method\.partners: empty; isc contrasts several - .* for one use moco"),
        ([], r"method\.partners: empty"),
        (["stgcnn"], r"method\.partners\.0\.name: .*did you mean 'stgcn'"),
        ([{"name": "stgcn", "kernl": 3}], r"method\.partners\.0\.kernl: .*did you mean 'kernel'"),
        (["hcn", "stgcn", "hcn"], r"method\.partners\.2: stands there twice"),
        ([3], r"method\.partners\.0: 3 is no encoder"),
        ("stgcn", r"method\.partners: .*list"),
    ],
)
def test_wrong_partners_are_told_when_the_recipe_is_read(partners: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        small_recipe(method={"name": "isc", "partners": partners})
    if partners is None:
        with pytest.raises(UserError, match=said):
            small_recipe(method="isc")


# The scripts count one epoch more; on NTU-120 their second drop comes after the last epoch.
PUBLISHED = {"ntu60": (450, [350]), "ntu120": (350, [250]), "pku2": (1000, [800])}


@pytest.mark.parametrize("data", PUBLISHED)
def test_presets_have_the_published_numbers_and_run(data: str) -> None:
    recipe = read_and_validate(f"{data}_isc")
    train, method, encoder = recipe.train, recipe.method, recipe.encoder
    assert isinstance(method, dict)
    assert isinstance(encoder, dict)
    assert (train.epochs, train.milestones) == PUBLISHED[data]
    assert (train.optimizer, train.lr, train.batch_size, train.weight_decay) == (
        "sgd",
        0.01,
        64,
        1e-4,
    )
    assert (method["bank"], method["temperature"], method["momentum"]) == (16384, 0.07, 0.999)
    assert (encoder["name"], encoder["hidden"], encoder["input_norm"]) == ("bigru", 1024, "none")
    assert [p["name"] for p in method["partners"]] == ["stgcn"]
    assert list(recipe.arms) == ["halp", "isc"]
    assert recipe.arm("isc").head is None
    small = ["encoder.hidden=8", "encoder.layers=1", "head.start=0", "train.batch_size=24"]
    small += ["method.partners.0.channels=[[4,1],[8,2]]", "train.device=cpu", "head.bank=24"]
    made = read_and_validate(f"{data}_isc", [*small, "method.bank=50"])
    clips = small_skeletons(n=24, persons=2, layout="ntu25", frames=64)
    trained = Trainer(clips.fit_store, made.arm("halp"), 0)
    reports = [trained.train_epoch() for _ in range(3)]
    assert all(math.isfinite(report.loss) for report in reports)
    assert reports[-1].terms["halp"] != 0
