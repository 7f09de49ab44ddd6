"""The recipes of HaLP's skeleton tables: their numbers are the published ones, and they run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from small import small_skeletons

from halpgraph.engine import Trainer
from halpgraph.runner import read_and_validate
from halpgraph.shipped import shipped

# Supplement F and main tables: epochs, drop, prototypes, mu.
PUBLISHED = {
    "ntu60": (450, [350], 20, 1.0),
    "ntu120": (450, [350], 40, 2.0),
    "pku2": (1000, [800], 20, 1.0),
}
NAMES = [f"{data}_{encoder}" for data in PUBLISHED for encoder in ("bigru", "stgcn")]
SMALL = {
    "bigru": ["encoder.hidden=8", "encoder.layers=1"],
    "stgcn": ["encoder.channels=[[4,1],[8,2]]"],
}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_the_published_ones(name: str) -> None:
    data = name.split("_")[0]
    recipe = read_and_validate(name)
    train, head, method = recipe.train, recipe.head, recipe.method
    assert isinstance(head, dict)
    assert isinstance(method, dict)
    found = (train.epochs, train.milestones, head["prototypes"], head["mu"])
    assert found == PUBLISHED[data]
    assert (recipe.data.name, recipe.data.split, recipe.data.frames) == (data, "xsub", 64)
    assert (train.optimizer, train.lr, train.momentum) == ("sgd", 0.01, 0.9)
    assert (train.batch_size, train.weight_decay, train.gamma) == (64, 1e-4, 0.1)
    assert not train.nesterov
    assert (head["positives"], head["bank"], head["hardness"]) == (100, 256, 0.8)
    assert (head["refresh"], head["start"], head["filter"]) == (5, 200, "rank")
    assert (method["bank"], method["temperature"], method["momentum"]) == (16384, 0.07, 0.999)
    assert method["projection"] == 128
    assert recipe.control == "moco"
    assert recipe.arm("moco").head is None


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_made_up_clips_of_two_people(name: str) -> None:
    made = [*SMALL[name.split("_")[1]], "head.start=0", "train.batch_size=24", "train.device=cpu"]
    made += ["head.bank=24", "method.bank=50"]
    data = small_skeletons(persons=2, layout="ntu25", frames=64)
    trainer = Trainer(data.fit_store, read_and_validate(name, made).arm("halp"), 0)
    reports = [trainer.train_epoch() for _ in range(2)]
    assert all(math.isfinite(report.loss) for report in reports)
    assert reports[-1].terms["halp"] != 0


def test_the_released_settings_differ_where_the_scripts_do(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    base = shipped("recipes") / "_base" / "moco_halp_release.yaml"
    recipe.write_text(f"extends: {base}\ndata: {{name: ntu60}}\nencoder: bigru\n")
    found = read_and_validate(recipe)
    assert isinstance(found.head, dict)
    assert (found.head["mu"], found.head["refresh"], found.head["candidates"]) == (2.0, 10, 20)
    assert (found.train.epochs, found.train.milestones) == (451, [351])
    assert found.data.frames == 64
