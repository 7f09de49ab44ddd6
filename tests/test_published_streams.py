"""The recipes of CMD and CrosSCLR: their numbers are the published ones, and they run."""

from __future__ import annotations

import math

import pytest
from small import small_skeletons

from halpgraph.engine import Trainer
from halpgraph.runner import read_and_validate

DATA = ("ntu60", "ntu120", "pku2")
# bank, batch, rate, epochs, drop; PKU-MMD is trained for longer with the BiGRU.
PUBLISHED = {
    "cmd": (16384, 64, 0.01, 450, [350]),
    "crosclr": (32768, 128, 0.1, 300, [250]),
    "crosclr_b": (16384, 64, 0.01, 450, [350]),
}
NAMES = [f"{data}_{name}" for data in DATA for name in PUBLISHED]
SMALL = {
    "bigru": ["encoder.hidden=8", "encoder.layers=1"],
    "stgcn": ["encoder.channels=[[4,1],[8,2]]"],
}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_the_published_ones(name: str) -> None:
    data, _, which = name.partition("_")
    recipe = read_and_validate(name)
    train, method, encoder = recipe.train, recipe.method, recipe.encoder
    assert isinstance(method, dict)
    assert isinstance(encoder, dict)
    bank, batch, rate, epochs, drop = PUBLISHED[which]
    if data == "pku2" and which != "crosclr":
        epochs, drop = 1000, [800]
    assert (method["bank"], train.batch_size, train.lr) == (bank, batch, rate)
    assert (train.epochs, train.milestones, train.gamma) == (epochs, drop, 0.1)
    assert (train.optimizer, train.momentum, train.weight_decay) == ("sgd", 0.9, 1e-4)
    assert not train.nesterov
    assert list(method["streams"]) == ["joint", "motion", "bone"]
    assert (method["temperature"], method["momentum"], method["projection"]) == (0.07, 0.999, 128)
    if which == "cmd":
        assert (method["neighbours"], method["weight"]) == (8192, 1)
        assert (method["teacher_temperature"], method["student_temperature"]) == (0.05, 0.1)
    else:
        assert (method["start"], method["neighbours"], method["context"]) == (150, 1, True)
    gru = (encoder.get("hidden"), encoder.get("layers"), encoder.get("mode"))
    assert gru == ((None,) * 3 if which == "crosclr" else (1024, 3, "causal_pair"))
    frames = 50 if which == "crosclr" else 64
    assert (recipe.data.name, recipe.data.split, recipe.data.frames) == (data, "xsub", frames)
    assert list(recipe.arms) == (["halp_cmd", "cmd"] if which == "cmd" else ["halp", "crosclr"])
    assert recipe.control is not None
    assert recipe.arm(recipe.control).head is None


@pytest.mark.parametrize("name", [*NAMES, *(f"nwucla_{name}" for name in PUBLISHED)])
def test_it_runs_on_made_up_clips_of_two_people(name: str) -> None:
    encoder = read_and_validate(name).encoder
    assert isinstance(encoder, dict)
    made = [*SMALL[encoder["name"]], "head.start=0", "train.batch_size=24", "train.device=cpu"]
    made += ["head.bank=24", "method.bank=50"]
    made += [] if name.endswith("_cmd") else ["method.start=1"]
    recipe = read_and_validate(name, made)
    data = small_skeletons(persons=2, layout="ntu25", frames=recipe.data.frames)
    trainer = Trainer(data.fit_store, recipe.arm(next(iter(recipe.arms))), 0)
    reports = [trainer.train_epoch() for _ in range(2)]
    assert all(math.isfinite(report.loss) for report in reports)
    assert reports[-1].terms["halp"] != 0
