"""AimCLR: its losses and its drop against loops over the equations; when mining starts."""

from __future__ import annotations

import copy
import io
import math
from typing import Any

import pytest
import torch
from small import small_data, small_recipe, small_skeletons
from torch import Tensor

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.aimclr import AimCLR, attention_drop

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
    straight, broken, resumed = (trainer(head=True, encoder=encoder) for _ in range(3))
    reports = [straight.train_epoch() for _ in range(4)]
    assert set(reports[-1].terms) == {"aimclr", "d3m", "halp"}
    for _ in range(2):
        broken.train_epoch()
    file = io.BytesIO()
    torch.save(broken.state(), file)
    file.seek(0)
    resumed.load_state(torch.load(file, weights_only=True))
    assert [resumed.train_epoch().terms for _ in range(2)] == [r.terms for r in reports[2:]]
    assert torch.equal(straight.embed(), resumed.embed())


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
        trainer(drop=0.4)
