"""AimCLR: its losses and its drop against loops over the equations; when mining starts."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from resuming import resumes_bit_equal
from small import small_data, small_recipe, small_skeletons
from torch import Tensor

from halpgraph import registry
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.aimclr import AimCLR, attention_drop
from halpgraph.runner import read_and_validate

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
EXTREME = {"name": "compose", "of": [CROP, {"name": "flip", "mirror": False}, "noise"]}
GCN = {"name": "stgcn", "channels": [[8, 2], [8, 2]], "dropout": 0}


def trainer(head: bool = False, encoder: Any = GCN, **changes: Any) -> Trainer:
    spec = {"name": "aimclr", "bank": 30, "momentum": 0.9, "projection": 8, "mine_start": 2}
    recipe = small_recipe(method={**spec, **changes}, encoder=encoder, head__bank=32)
    recipe = recipe.model_copy(update={"views": [CROP, CROP, EXTREME]})
    return Trainer(small_skeletons().fit_store, recipe.arm("halp" if head else "graphcl"), 0)


def plain_drop(maps: Tensor, limit: float) -> Tensor:
    """Body by body, cell by cell."""
    out = torch.zeros_like(maps)
    for r, body in enumerate(maps.double()):
        width, frames, joints = body.shape
        attention = torch.zeros_like(body)
        for c in range(width):
            m = body[c].mean()
            v = ((body[c] - m) ** 2).sum() / (frames * joints - 1)
            for t in range(frames):
                for j in range(joints):
                    energy = (body[c, t, j] - m) ** 2 / (4 * (v + 1e-4)) + 0.5
                    attention[c, t, j] = 1 / (1 + math.exp(-energy))
        joint = [float(attention[:, :, j].mean()) < limit for j in range(joints)]
        if not any(joint):
            joint = [True] * joints
        cell = attention < limit
        for c in range(width):
            for t in range(frames):
                for j in range(joints):
                    if joint[j] and cell[c, t, j]:
                        out[r, c, t, j] = maps[r, c, t, j]
        out[r] *= joints / sum(joint) * cell.numel() / int(cell.sum())
    return out


@pytest.mark.parametrize("limit", [0.64, 0.95])
def test_the_drop_is_that_of_its_equations(limit: float) -> None:
    random = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 4, 5, 6, generator=random)
    maps[0, :, :, 2] *= 5  # a joint that stands out
    found = attention_drop(maps, limit)
    torch.testing.assert_close(found, plain_drop(maps, limit), rtol=1e-4, atol=1e-5)
    assert (found[0, :, :, 2] == 0).all() == (limit == 0.64)


def test_the_drop_of_a_constant_map_is_the_map() -> None:
    maps = torch.ones(2, 3, 4, 5)
    assert torch.equal(attention_drop(maps, 0.7), maps)
    assert torch.isfinite(attention_drop(torch.zeros(1, 2, 1, 1), 0.7)).all()
    single = torch.randn(2, 3, 4, 5)
    alone = torch.cat([attention_drop(one[None], 0.66) for one in single])
    torch.testing.assert_close(attention_drop(single, 0.66), alone)


def test_at_the_published_limit_something_stays_and_at_1_everything() -> None:
    """Maps that are as extreme as can be: two values, and one cell against all others."""
    two = torch.ones(1, 3, 4, 6)
    two[..., ::2] = -1
    assert torch.equal(attention_drop(two, 0.7), two)
    spike = torch.zeros(1, 1, 13, 25)
    spike[0, 0, 6, 7] = 1e4  # its attention is 1 in float32
    assert torch.equal(attention_drop(spike, 1.0), spike)
    found = attention_drop(torch.cat([spike + 1, two.new_ones(1, 1, 13, 25)]), 0.7)
    assert int((found[0] == 0).sum()) == 1  # the cell; its joint, on the whole, does not stand out
    torch.testing.assert_close(found[0].max(), torch.tensor(325 / 324))
    assert torch.equal(found[1], torch.ones(1, 13, 25))


def test_maps_of_half_precision_are_compared_in_float32() -> None:
    maps = torch.randn(2, 8, 5, 6, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = attention_drop(maps, 0.7)
    torch.testing.assert_close(found.float(), attention_drop(maps.float(), 0.7))
    assert (found == 0).any()


def test_a_step_shows_each_view_where_it_belongs() -> None:
    """Against the pieces put together by hand: first asks, second answers, third is extreme."""
    train = trainer(mine_start=0)
    method: AimCLR = train.method  # type: ignore[assignment]
    method.begin_epoch(0, train.views)
    method.branch.bank.push(torch.nn.functional.normalize(torch.randn(9, 8), dim=1))
    views, branch = next(train._view_batches()), copy.deepcopy(method.branch)
    step = method(views)
    q = branch.query(views[0])
    seen = branch.encoder(views[2])
    d = branch.project(branch.encoder.read(attention_drop(seen.maps, 0.7), views[2]))
    e = branch.project(seen.graph)
    branch.follow()
    k = branch.key(views[1])
    (contrast,) = step.contrasts
    assert torch.equal(contrast.query, q)
    assert torch.equal(contrast.key, k)
    assert contrast.query.requires_grad
    assert not contrast.key.requires_grad
    assert not torch.equal(d, e)
    wanted = method._terms(q, e, d, k)
    assert {name: float(x.detach()) for name, x in step.terms.items()} == {
        name: float(x.detach()) for name, x in wanted.items()
    }
    assert method.branch.bank.filled == 9
    method.after_step()
    assert method.branch.bank.filled == 9 + len(q)


def test_before_the_first_keys_the_batch_takes_the_place_of_the_bank() -> None:
    """Nothing is mined there, and teacher and students see the same keys in the same order."""
    method: AimCLR = trainer(mine_start=0).method  # type: ignore[assignment]
    random = torch.Generator().manual_seed(1)
    q, e, d, k = torch.nn.functional.normalize(torch.randn(4, 6, 8, generator=random), dim=2)
    found = method._terms(q, e, d, k)
    contrast = -sum(logs(q[i], [*k])[i] for i in range(6)) / 6
    assert float(found["aimclr"]) == pytest.approx(contrast, rel=1e-4)
    d3m = -sum(
        math.exp(a) * b / 12
        for i in range(6)
        for x in (e, d)
        for a, b in zip(logs(q[i], [*k]), logs(x[i], [*k]), strict=True)
    )
    assert float(found["d3m"]) == pytest.approx(d3m, rel=1e-4)


@pytest.mark.parametrize("data", ["ntu60", "ntu120", "pku2"])
@pytest.mark.parametrize("name", ["aimclr", "skeletonclr"])
def test_presets_hold_the_published_numbers(data: str, name: str) -> None:
    recipe = read_and_validate(f"{data}_{name}")
    train, method = recipe.train, recipe.method
    assert isinstance(method, dict)
    assert (method["bank"], method["temperature"], method["momentum"]) == (32768, 0.07, 0.999)
    assert (method["name"], method["projection"], recipe.data.frames) == (name, 128, 50)
    assert (train.optimizer, train.lr, train.momentum) == ("sgd", 0.1, 0.9)
    assert (train.weight_decay, train.nesterov, train.batch_size) == (1e-4, False, 128)
    assert (train.epochs, train.schedule, train.milestones) == (300, "step", [250])
    assert recipe.encoder == registry.encoders.settings("stgcn", "encoder")  # "/4"
    assert list(recipe.arms) == ["halp", name]
    assert recipe.control == name
    assert recipe.arm(name).head is None
    if name == "aimclr":
        assert (method["mine_start"], method["drop"], len(recipe.views)) == (150, 0.7, 3)
        *normal, extreme = recipe.views
        assert normal[0] == normal[1]
        of = [view["name"] for view in extreme["of"]]  # type: ignore[index]
        assert of[2:] == ["flip", "rotate", "noise", "blur", "axis_mask"]


def logs(x: Tensor, columns: list[Tensor]) -> list[float]:
    values = [float(x @ c) / 0.07 for c in columns]
    total = math.log(sum(math.exp(v) for v in values))
    return [v - total for v in values]


@pytest.mark.parametrize("mining", [False, True])
def test_losses_are_those_of_the_equations(mining: bool) -> None:
    method: AimCLR = trainer().method  # type: ignore[assignment]
    method.begin_epoch(2 if mining else 1, [])
    random = torch.Generator().manual_seed(1)
    draw = [torch.randn(n, 8, generator=random) for n in (6, 6, 6, 6, 11)]
    q, e, d, k, bank = (torch.nn.functional.normalize(x, dim=1) for x in draw)
    method.branch.bank.push(bank)
    found = method._terms(q, e, d, k)
    contrast, d3m = 0.0, 0.0
    for i in range(6):
        columns = [k[i], *bank]
        own = logs(q[i], columns)
        places = {max(range(11), key=lambda j: float(x[i] @ bank[j])) for x in (q, e, d)}
        positives = [0, *(1 + j for j in places)] if mining else [0]
        contrast -= sum(own[p] for p in positives) / len(positives)
        for x in (e, d):
            other = logs(x[i], columns)
            d3m -= sum(math.exp(a) * b for a, b in zip(own, other, strict=True)) / 2
    assert float(found["aimclr"]) == pytest.approx(contrast / 6, rel=1e-4)
    assert float(found["d3m"]) == pytest.approx(d3m / 6, rel=1e-4)


def test_mining_starts_at_its_epoch() -> None:
    late, never = trainer(mine_start=2), trainer(mine_start=99)
    for epoch in range(3):
        same = late.train_epoch().terms == never.train_epoch().terms
        assert same == (epoch < 2)


@pytest.mark.parametrize("encoder", [GCN, {"name": "bigru", "hidden": 8, "pool": "mean"}])
def test_resumes_bit_equal_with_the_head_through_a_file(encoder: Any) -> None:
    reports = resumes_bit_equal(lambda: trainer(head=True, encoder=encoder))
    assert set(reports[-1].terms) == {"aimclr", "d3m", "halp"}


def test_the_extreme_view_teaches_the_encoder_and_is_not_its_teacher() -> None:
    train = trainer()
    views = next(train._view_batches())
    method: AimCLR = train.method  # type: ignore[assignment]
    method.branch.bank.push(torch.nn.functional.normalize(torch.randn(9, 8), dim=1))
    twin = copy.deepcopy(method)
    method(views).terms["d3m"].backward()
    reached = [
        p.grad is not None and bool(p.grad.any()) for p in method.branch.encoder.parameters()
    ]
    assert sum(reached) > len(reached) / 2
    queries = [torch.randn(4, 8, requires_grad=True) for _ in range(3)]
    twin._terms(*queries, torch.randn(4, 8))["d3m"].backward()
    assert queries[0].grad is None
    assert queries[1].grad is not None
    assert queries[2].grad is not None


def test_refuses_graphs_encoders_without_maps_and_two_views() -> None:
    recipe = small_recipe(method={"name": "aimclr"}).arm("graphcl")
    with pytest.raises(UserError, match="aimclr: its extreme views are of skeletons"):
        Trainer(small_data().store, recipe, 0)
    with pytest.raises(UserError, match="keeps none; use encoder stgcn or bigru"):
        trainer(encoder={"name": "gin", "hidden": 8})
    train = trainer()
    with pytest.raises(UserError, match="needs 3 views"):
        train.method(next(train._view_batches())[:2])
    with pytest.raises(UserError, match=r"method\.drop"):
        trainer(drop=0.6)
