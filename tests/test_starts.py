"""Two-stage runs: what a second stage takes over, from where, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small import small_data, small_recipe

from halpgraph import jobs
from halpgraph.costs import check
from halpgraph.embeddings import read_arrays
from halpgraph.engine import Trainer
from halpgraph.errors import RunError, UserError
from halpgraph.recipe import Recipe
from halpgraph.rundir import RunDir
from halpgraph.runner import run
from halpgraph.starts import find_start, starts_of

MOCO = {"name": "moco", "bank": 40, "momentum": 0.9, "projection": 16}


def recipe(epochs: int, **changes: Any) -> Recipe:
    return small_recipe(method=MOCO, head__bank=32, train__epochs=epochs, **changes)


def go(plan: Recipe, runs: Path) -> RunDir:
    return run(plan, runs=runs, dataset=small_data(), quiet=True, jobs=1)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished first stage of two epochs; its control is the plain method."""
    torch.set_num_threads(1)
    return go(recipe(2), tmp_path_factory.mktemp("first"))


def z(folder: RunDir, arm: str, seed: int) -> Any:
    return read_arrays(folder.job("small", arm, seed) / "embeddings.npz")["z"]


def test_the_control_goes_on_as_if_it_had_never_stopped(first: RunDir, tmp_path: Path) -> None:
    """Two epochs and three more are five, to the bit; the head starts fresh on the same weights."""
    second = go(recipe(5, train__init_from=str(first.path)), tmp_path)
    straight = go(recipe(5), tmp_path)
    for seed in (0, 1):
        assert (z(second, "graphcl", seed) == z(straight, "graphcl", seed)).all()
        assert (z(second, "halp", seed) != z(straight, "halp", seed)).any()
    for arm in ("halp", "graphcl"):
        lines = (second.job("small", arm, 0) / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [3, 4, 5]
    assert "nan" not in (second.path / "report.md").read_text().lower()


def test_a_killed_second_stage_goes_on_where_it_stopped(
    first: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recipe(5, seeds=[0], train__init_from=str(first.path), train__checkpoint_every=1)
    whole = go(plan, tmp_path / "whole")
    epochs = []
    train = Trainer.train_epoch

    def dies(self: Trainer) -> Any:
        epochs.append(self.epoch)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return train(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", dies)
        with pytest.raises(KeyboardInterrupt):
            go(plan, tmp_path / "again")
    assert epochs == [2, 3]
    asked: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "find_start", lambda *where: asked.append(where) or find_start(*where))
        again = go(plan, tmp_path / "again")
    assert len(asked) == 1  # of two trainings, the one that had begun has a checkpoint of its own
    for arm in ("halp", "graphcl"):
        assert (z(again, arm, 0) == z(whole, arm, 0)).all()


def test_the_run_s_folder_follows_the_checkpoint_s_content(first: RunDir, tmp_path: Path) -> None:
    mine = tmp_path / "one.pt"
    source = first.job("small", "graphcl", 0) / "checkpoint.pt"
    mine.write_bytes(source.read_bytes())
    plan = recipe(5, train__init_from=str(mine))
    before = starts_of({"small": plan})
    assert len(before) == 4
    assert len(set(before)) == 1
    state = torch.load(mine, weights_only=True)
    state["method"]["branch.projector.0.bias"][0] += 1
    torch.save(state, mine)
    assert set(starts_of({"small": plan})).isdisjoint(before)
    assert starts_of({"small": recipe(5)}) == []


def test_each_seed_has_its_own_checkpoint_and_the_arm_can_be_chosen(first: RunDir) -> None:
    plain = recipe(5, train__init_from=str(first.path)).train
    assert find_start(plain, "small", 1) == first.job("small", "graphcl", 1) / "checkpoint.pt"
    chosen = recipe(5, train__init_from=str(first.path), train__init_arm="halp").train
    assert find_start(chosen, "other", 0) == first.job("small", "halp", 0) / "checkpoint.pt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__init_from": "nowhere"}, r"train\.init_from: nowhere: no such run's folder"),
        ({"train__init_from": "."}, r"train\.init_from: .*not a run's folder"),
        ({"train__init_arm": "hulp"}, r"has no arm hulp - did you mean 'halp'"),
        ({"seeds": [0, 7]}, r"has no seed 7 of arm graphcl, but seed-0, seed-1"),
        ({"encoder__layers": 2}, r"train\.init_from: .*not of this recipe: branch\.encoder"),
        ({"encoder__layers": 4}, r"train\.init_from: .*missing: branch\.encoder"),
        ({"train__optimizer": "sgd"}, r"trained on optimizer adam, the recipe says sgd"),
        ({"epochs": 2}, r"2 epochs are done there already"),
    ],
)
def test_what_cannot_be_taken_over_is_said_before_training(
    first: RunDir, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    changes = {"epochs": 5, "train__init_from": str(first.path), **changes}
    plan = recipe(**changes)
    with pytest.raises(UserError, match=message):
        go(plan, tmp_path)
    assert not list(tmp_path.iterdir())


def test_check_reports_a_missing_first_stage(real_data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.init_from: nowhere: no such run"):
        check("graphcl_mutag", ["train.init_from=nowhere"], runs=tmp_path, data=real_data)


def test_unfinished_and_damaged_first_stages_are_refused(first: RunDir, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "recipe.yaml").write_text((first.path / "recipe.yaml").read_text())
    with pytest.raises(UserError, match=r"begun: not finished; run its command again"):
        find_start(recipe(5, train__init_from=str(begun)).train, "small", 0)
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    plan = recipe(5, train__init_from=str(tmp_path / "bad.pt"))
    with pytest.raises(UserError, match=r"train\.init_from: .*bad\.pt: damaged"):
        go(plan, tmp_path / "runs")


def test_a_checkpoint_of_its_own_that_does_not_fit_names_its_file(
    first: RunDir, tmp_path: Path
) -> None:
    folder = go(recipe(2, seeds=[0]), tmp_path)
    job = folder.job("small", "halp", 0)
    state = torch.load(job / "checkpoint.pt", weights_only=True)
    state["streams"] = ["motion"]
    torch.save(state, job / "checkpoint.pt")
    for name in ("scores.json", "small/halp/seed-0/embeddings.npz"):
        (folder.path / name).unlink()
    with pytest.raises(RunError, match=r"checkpoint\.pt: .*stream motion, the recipe says joint"):
        go(recipe(2, seeds=[0]), tmp_path)
