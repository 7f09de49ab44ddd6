"""Fresh encoders whose batch norms know the data: what is set, what stays, a floor of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import small_data, small_recipe, small_skeletons
from test_skeleton_run import go, tiny
from torch import nn

from halpgraph.building import build_method
from halpgraph.calibration import calibrate, refuse
from halpgraph.engine import embed
from halpgraph.errors import UserError
from halpgraph.jobs import Job
from halpgraph.progress import _evaluations

STGCN = {"name": "stgcn", "channels": [[8, 1], [8, 2]], "dropout": 0.5}


@pytest.mark.parametrize("input_norm", ["joints", "channels"])
def test_input_norms_learn_the_means_and_variances_of_the_clips(input_norm: str) -> None:
    store = small_skeletons().store
    encoder = {"name": "bigru", "hidden": 8, "layers": 1, "input_norm": input_norm}
    method = build_method(store, tiny(encoder=encoder), 0)
    before = {name: p.clone() for name, p in method.named_parameters()}
    calibrate(method, store, len(store), 0)
    assert all(torch.equal(before[name], p) for name, p in method.named_parameters())
    assert not any(module.training for module in method.modules())
    pose = store.batch().pose.flatten(0, 1)  # [R * T, C, V]
    norm: Any = method.encoder.norm if hasattr(method, "encoder") else method.branch.encoder.norm
    if input_norm == "joints":
        torch.testing.assert_close(norm.running_mean, pose.mean(0).flatten(), rtol=0.01, atol=0.01)
        wanted = pose.var(0).flatten()
        torch.testing.assert_close(norm.running_var, wanted, rtol=0.02, atol=0.01)
    else:
        torch.testing.assert_close(norm.mean, pose.mean(0), rtol=0.01, atol=0.01)
        wanted = (pose - pose.mean(0)).square().mean((0, 2))
        torch.testing.assert_close(norm.scale.running_var, wanted, rtol=0.02, atol=0.01)


def test_every_norm_of_an_encoder_agrees_with_what_flows_through_it() -> None:
    store = small_skeletons(persons=2).store
    method = build_method(store, tiny(encoder=STGCN), 0)
    plain = embed(method, store)
    calibrate(method, store, 12, 0)
    again = build_method(store, tiny(encoder=STGCN), 0)
    calibrate(again, store, 12, 0)
    assert torch.equal(embed(method, store), embed(again, store))
    assert not torch.allclose(embed(method, store), plain, rtol=0.1)
    seen: list[tuple[float, float]] = []

    def look(module: nn.Module, inputs: Any, out: torch.Tensor) -> None:
        seen.append((float(out.mean()), float(out.std())))

    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(look)
    embed(method, store)
    assert len(seen) == 5  # two a block, and the shortcut of the second
    assert all(abs(mean) < 0.2 and 0.7 < std < 1.3 for mean, std in seen)


def test_graphs_and_sets_smaller_than_a_batch() -> None:
    data = small_data(n=10)
    method = build_method(data.store, small_recipe(), 0)
    plain = embed(method, data.store)
    calibrate(method, data.store, 64, 0)
    found = embed(method, data.store)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, plain)


def test_the_floor_of_a_run(tmp_path: Path) -> None:
    floors = ["untrained", "calibrated", "pose"]
    judges = ["linear", {"name": "finetune", "shares": [0.5], "repeats": 1, "epochs": 1}]
    done = go(tmp_path, floors=floors, evaluators=judges, encoder=STGCN)
    rows = {(row["row"], row["evaluator"]): row for row in done.scores["cells"][0]["rows"]}
    assert rows["calibrated", "linear"]["label"] == "Untrained encoder, batch norm calibrated"
    assert {judge for row, judge in rows if row == "calibrated"} == {"linear"}
    assert any(row == "untrained" and judge.startswith("finetune") for row, judge in rows)
    read = {}
    for floor in floors[:2]:
        for seed in (0, 1):
            read[floor, seed] = np.load(done.floor("sway", floor, seed) / "embeddings.npz")["z"]
    assert not np.allclose(read["calibrated", 0], read["untrained", 0])
    assert not np.allclose(read["calibrated", 0], read["calibrated", 1])
    for kind in floors:  # progress counts what is there in the end, no more and no less
        job = Job(kind, "sway", kind, 0, tiny(evaluators=judges), done.floor("sway", kind, 0))
        found = sorted(p.name for p in job.folder.glob("*.json"))
        assert found == sorted(_evaluations(job))


def test_nothing_to_calibrate_is_refused(tmp_path: Path) -> None:
    encoder = {"name": "bigru", "hidden": 8, "layers": 1, "input_norm": "none"}
    with pytest.raises(
        UserError, match="floors: calibrated: the encoder of moco has no batch norm"
    ):
        go(tmp_path, floors=["calibrated"], encoder=encoder)
    assert not list(tmp_path.iterdir())


def test_batch_norm_outside_the_encoder_is_not_the_encoder_s() -> None:
    encoder = {"name": "bigru", "hidden": 8, "layers": 1, "input_norm": "none"}
    arms = {"main": {}}
    recipe = tiny(
        encoder=encoder, method={"name": "ms2l"}, head=None, arms=arms, control=None
    ).model_copy(update={"floors": ["calibrated"]})
    store = small_skeletons().store
    method = build_method(store, recipe, 0)
    assert any(isinstance(module, nn.BatchNorm1d) for module in method.modules())
    with pytest.raises(UserError, match="the encoder of main has no batch norm"):
        refuse(recipe, store)
