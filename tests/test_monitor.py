"""The monitor: right by a plain loop, blind to the test part, and without effect on training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import small_data, small_recipe, small_skeletons

from halpgraph import monitor
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.jobs import load_checkpoint
from halpgraph.recipe import Recipe, validate
from halpgraph.rundir import read_metrics
from halpgraph.runner import run


def recipe(**train: Any) -> Recipe:
    content = {
        "name": "watched",
        "data": {"name": "sway"},
        "views": [{"name": "crop_resize", "min_frames": 8}],
        "encoder": {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"},
        "method": {"name": "moco", "bank": 16, "momentum": 0.9, "projection": 8},
        "train": {"epochs": 3, "batch_size": 12, **train},
        "seeds": [0],
        "evaluators": ["knn"],
    }
    return validate(content)


def test_nearest_is_the_plain_loop() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(1100, 5))  # more than one block
    y, groups = random.integers(0, 3, 1100), random.integers(0, 4, 1100)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    right = 0
    for i in range(len(z)):
        others = [j for j in range(len(z)) if groups[j] != groups[i]]
        right += y[others[int(np.argmax(unit[others] @ unit[i]))]] == y[i]
    assert monitor.nearest(torch.from_numpy(z), y, groups) == right / len(z)


def test_it_looks_at_the_training_part_alone() -> None:
    data = small_skeletons()
    method = Trainer(data.fit_store, recipe(), 0).method
    seen = monitor.inside(method, data)
    assert 0 <= seen <= 1
    assert data.splits is not None
    assert data.y is not None
    data.y = data.y.copy()
    data.y[data.splits["test"]] = 1 - data.y[data.splits["test"]]
    assert monitor.inside(method, data) == seen
    data.y[data.splits["train"]] = np.arange(len(data.splits["train"]))
    assert monitor.inside(method, data) == 0


def test_training_is_the_same_with_and_without(tmp_path: Path) -> None:
    data = small_skeletons()
    folders = [
        run(recipe(**train), runs=tmp_path, dataset=data, jobs=1, quiet=True)
        for train in ({}, {"monitor": 2})
    ]
    jobs = [folder.job("sway", "main", 0) for folder in folders]
    plain, watched = (load_checkpoint(job / "checkpoint.pt")["method"] for job in jobs)
    assert plain.keys() == watched.keys()
    for name, value in plain.items():
        same = torch.equal if isinstance(value, torch.Tensor) else lambda a, b: a == b
        assert same(value, watched[name]), name
    looked = [row["epoch"] for row in read_metrics(jobs[1]) if "inside" in row]
    assert looked == [2, 3]  # every second one, and the last
    assert not any("inside" in row for row in read_metrics(jobs[0]))
    title = "1-NN accuracy inside the training part"
    assert [title in (f.path / "report.html").read_text() for f in folders] == [False, True]


def test_without_a_training_part_it_is_refused(tmp_path: Path) -> None:
    watched = small_recipe(train__monitor=1)
    with pytest.raises(UserError, match=r"train\.monitor: small has no training part"):
        run(watched, runs=tmp_path, dataset=small_data(), jobs=1, quiet=True)
    everything = small_skeletons(fit="all")
    with pytest.raises(UserError, match=r"train\.monitor: sway has no training part"):
        run(recipe(monitor=1), runs=tmp_path, dataset=everything, jobs=1, quiet=True)
    data = small_skeletons()
    data.y = None
    with pytest.raises(UserError, match="has no labels"):
        run(recipe(monitor=1), runs=tmp_path, dataset=data, jobs=1, quiet=True)
    assert not list(tmp_path.iterdir())
