"""LongT GAN: its terms re-told, who learns from which of them, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from resuming import resumes_bit_equal
from small import small_data, small_recipe, small_skeletons
from torch.nn.functional import logsigmoid

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods._regenerate import hide_cells, truth
from halpgraph.methods.longtgan import LongTGAN
from halpgraph.pose import clip_of_body, with_pose

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}


GRU = {"name": "bigru", "hidden": 8, "pool": "mean"}
ENCODERS = [GRU, {"name": "stgcn", "channels": [[8, 2], [8, 2]]}, {"name": "hcn", "width": 4}]


def trainer(encoder: Any = GRU, **method: Any) -> Trainer:
    spec = {"name": "longtgan", "decoder": 6, "judge": 5, **method}
    train = {"train__precision": spec.pop("precision", "float32")}
    recipe = small_recipe(method=spec, encoder=encoder, **train)
    recipe = recipe.model_copy(update={"views": [CROP]})
    return Trainer(small_skeletons(persons=2).fit_store, recipe.arm("graphcl"), 0)


@pytest.mark.parametrize("conditional", [False, True])
def test_terms_are_those_of_the_equations(conditional: bool) -> None:
    train = trainer(fooling=0.3, conditional=conditional)
    method: LongTGAN = train.method  # type: ignore[assignment]
    method.eval()
    (view,) = next(train._view_batches())
    step = method([view])
    assert step.contrasts == []
    random = method.draws.next()
    holes = hide_cells(view.pose, clip_of_body(view), 0.3, random)
    wanted, mask = truth(view, 2)
    holed = with_pose(view, holes)
    if conditional:
        given = torch.zeros_like(wanted)  # [T, B, M * C * V]
        for body, clip in enumerate(clip_of_body(view).tolist()):
            at = int(view.person[body]) * 60
            given[:, clip, at : at + 60] = holes[body].flatten(1)
        told = method.decoder(method.encoder(view).graph, len(wanted), given) * mask
    else:
        told = method.decoder(method.encoder(holed).graph, len(wanted)) * mask
    gaps = ((told - wanted) ** 2)[:, mask.bool()]
    assert float(step.terms["reconstruction"]) == pytest.approx(float(gaps.mean()), rel=1e-4)
    judge = method.judge
    assert judge is not None
    real = [1 / (1 + math.exp(-float(x))) for x in judge(wanted)]
    made = [1 / (1 + math.exp(-float(x))) for x in judge(told)]
    fooling = -0.3 * sum(math.log(p) for p in made) / len(made)
    judging = -sum(math.log(p) for p in real) / len(real)
    judging -= sum(math.log(1 - p) for p in made) / len(made)
    assert float(step.terms["fooling"]) == pytest.approx(fooling, rel=1e-4)
    assert float(step.terms["judging"]) == pytest.approx(judging, rel=1e-4)


def test_one_step_is_that_of_two_players_with_an_optimiser_each() -> None:
    """Both gradients are of the weights before the step, as if each player moved by itself."""
    train, twin = trainer(fooling=0.5), trainer(fooling=0.5)
    (view,) = next(train._view_batches())
    next(twin._view_batches())
    torch.stack(list(train.method([view]).terms.values())).sum().backward()
    theirs: LongTGAN = twin.method  # type: ignore[assignment]
    judge = theirs.judge
    assert judge is not None
    holes = hide_cells(view.pose, clip_of_body(view), 0.3, theirs.draws.next())
    wanted, mask = truth(view, 2)
    told = theirs.decoder(theirs.encoder(with_pose(view, holes)).graph, len(wanted)) * mask
    gap = (((told - wanted) ** 2) * mask).sum() / (mask.sum() * len(wanted))
    makes = [*theirs.encoder.parameters(), *theirs.decoder.parameters()]
    made = torch.autograd.grad(gap - 0.5 * logsigmoid(judge(told)).mean(), makes)
    apart = logsigmoid(judge(wanted)).mean() + logsigmoid(-judge(told.detach())).mean()
    said = torch.autograd.grad(-apart, [*judge.parameters()])
    mine: LongTGAN = train.method  # type: ignore[assignment]
    for parameter, gradient in zip(mine.parameters(), [*made, *said], strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)


def test_without_fooling_there_is_no_judge() -> None:
    train = trainer(fooling=0)
    assert set(train.train_epoch().terms) == {"reconstruction"}
    assert not [name for name, _ in train.method.named_parameters() if name.startswith("judge")]


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e["name"])
@pytest.mark.parametrize("conditional", [False, True])
def test_every_encoder_of_skeletons_and_streams(encoder: Any, conditional: bool) -> None:
    train = trainer(encoder=encoder, stream="distances", conditional=conditional)
    seen: list[Any] = []
    train.method.encoder.register_forward_hook(lambda *of: seen.append(of))  # type: ignore[operator,union-attr]
    step = train.method(next(train._view_batches()))
    assert len(seen) == 1
    sum(step.terms.values()).backward()  # type: ignore[union-attr]
    for name, parameter in train.method.named_parameters():
        assert parameter.grad is not None, name
    train.train_epoch()
    assert len(train.embed()) == len(train.store)


def test_losses_are_taken_in_float32() -> None:
    train = trainer(precision="bfloat16")
    train.train_epoch()
    with torch.autocast("cpu", torch.bfloat16):
        step = train.method(next(train._view_batches()))
    assert {term.dtype for term in step.terms.values()} == {torch.float32}


def test_it_tells_clips_better_with_time() -> None:
    train = trainer()
    reports = [train.train_epoch() for _ in range(25)]
    assert reports[-1].terms["reconstruction"] < 0.8 * reports[0].terms["reconstruction"]


def test_resumes_bit_equal_through_a_file() -> None:
    reports = resumes_bit_equal(trainer, 3, 1)
    assert set(reports[-1].terms) == {"reconstruction", "fooling", "judging"}


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
    train = trainer()
    (view,) = next(train._view_batches())
    with pytest.raises(UserError, match="needs 1 view, got 2"):
        train.method([view, view])
    for setting, value in (("hidden_share", 1), ("decoder", 0), ("judge", 0), ("fooling", -1)):
        with pytest.raises(UserError, match=rf"method\.{setting}"):
            trainer(**{setting: value})
