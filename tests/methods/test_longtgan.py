"""LongT GAN: its terms re-told, who learns from which of them, and what it refuses."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from small import small_data, small_recipe, small_skeletons

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods._regenerate import hide_cells, truth
from halpgraph.methods.longtgan import LongTGAN
from halpgraph.pose import clip_of_body, with_pose

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}


def trainer(**method: Any) -> Trainer:
    spec = {"name": "longtgan", "decoder": 6, "judge": 5, **method}
    recipe = small_recipe(method=spec, encoder={"name": "bigru", "hidden": 8, "pool": "mean"})
    recipe = recipe.model_copy(update={"views": [CROP]})
    return Trainer(small_skeletons(persons=2).fit_store, recipe.arm("graphcl"), 0)


def test_terms_are_those_of_the_equations() -> None:
    train = trainer(fooling=0.3)
    method: LongTGAN = train.method  # type: ignore[assignment]
    method.eval()
    (view,) = next(train._view_batches())
    step = method([view])
    assert step.contrasts == []
    random = method.draws.next()
    holes = hide_cells(view.pose, clip_of_body(view), 0.3, random)
    wanted, mask = truth(view, 2)
    told = method.decoder(method.encoder(with_pose(view, holes)).graph, len(wanted)) * mask
    gaps = ((told - wanted) ** 2)[:, mask.bool()]
    assert float(step.terms["reconstruction"]) == pytest.approx(float(gaps.mean()), rel=1e-4)
    real = [1 / (1 + math.exp(-float(x))) for x in method.judge(wanted)]
    made = [1 / (1 + math.exp(-float(x))) for x in method.judge(told)]
    fooling = -0.3 * sum(math.log(p) for p in made) / len(made)
    judging = -sum(math.log(p) for p in real) / len(real)
    judging -= sum(math.log(1 - p) for p in made) / len(made)
    assert float(step.terms["fooling"]) == pytest.approx(fooling, rel=1e-4)
    assert float(step.terms["judging"]) == pytest.approx(judging, rel=1e-4)


@pytest.mark.parametrize(
    ("term", "judge", "maker"),
    [("fooling", False, True), ("judging", True, False), ("reconstruction", False, True)],
)
def test_each_player_learns_from_its_own_term(term: str, judge: bool, maker: bool) -> None:
    train = trainer(fooling=1.0)
    method: LongTGAN = train.method  # type: ignore[assignment]
    method(next(train._view_batches())).terms[term].backward()
    for net, learns in ((method.judge, judge), (method.decoder, maker), (method.encoder, maker)):
        reached = [p.grad is not None and bool(p.grad.any()) for p in net.parameters()]
        assert any(reached) == learns


def test_it_tells_clips_better_with_time() -> None:
    train = trainer()
    reports = [train.train_epoch() for _ in range(25)]
    assert reports[-1].terms["reconstruction"] < 0.8 * reports[0].terms["reconstruction"]


def test_resumes_bit_equal_through_a_file() -> None:
    straight, broken, resumed = trainer(), trainer(), trainer()
    reports = [straight.train_epoch() for _ in range(3)]
    broken.train_epoch()
    file = io.BytesIO()
    torch.save(broken.state(), file)
    file.seek(0)
    resumed.load_state(torch.load(file, weights_only=True))
    assert [resumed.train_epoch().terms for _ in range(2)] == [r.terms for r in reports[1:]]
    assert torch.equal(straight.embed(), resumed.embed())


def test_refuses_graphs_heads_and_encoders_of_graphs() -> None:
    recipe = small_recipe(method={"name": "longtgan"})
    with pytest.raises(UserError, match="longtgan: makes sequences of skeletons anew"):
        Trainer(small_data().store, recipe.arm("graphcl"), 0)
    with pytest.raises(UserError, match="needs an encoder of skeletons"):
        Trainer(small_skeletons().fit_store, recipe.arm("graphcl"), 0)
    spec = {"name": "longtgan"}
    made = small_recipe(method=spec, encoder={"name": "bigru", "hidden": 8}).arm("halp")
    with pytest.raises(UserError, match="publishes no contrasts; use 'head: null'"):
        Trainer(small_skeletons().fit_store, made, 0)
