"""MS2L: its versions cell by cell, its contrast by a loop, its tasks one by one."""

from __future__ import annotations

import io
import itertools
import math
from typing import Any

import pytest
import torch
from small import small_data, small_recipe, small_skeletons
from torch.nn import functional as F

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods._regenerate import error, truth
from halpgraph.methods.ms2l import MS2L, hide_end, in_order
from halpgraph.pose import clip_of_body, with_pose

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
GRU = {"name": "bigru", "hidden": 8, "mode": "bidirectional", "pool": "mean"}


def trainer(head: bool = False, frames: int = 16, **method: Any) -> Trainer:
    spec = {"name": "ms2l", "decoder": 6, "hidden": 12, "projection": 8, **method}
    recipe = small_recipe(method=spec, encoder=GRU, head__bank=32)
    recipe = recipe.model_copy(update={"views": [CROP]})
    data = small_skeletons(persons=2, frames=frames)
    return Trainer(data.fit_store, recipe.arm("halp" if head else "graphcl"), 0)


@pytest.mark.parametrize("frames", [9, 11])
def test_thirds_change_places_and_nothing_else(frames: int) -> None:
    pose = torch.randn(6, frames, 3, 4)
    found = in_order(pose, torch.arange(6))
    third = frames // 3
    for k, order in enumerate(itertools.permutations(range(3))):
        pieces = [pose[k, piece * third : (piece + 1) * third] for piece in order]
        assert torch.equal(found[k], torch.cat([*pieces, pose[k, 3 * third :]]))


def test_the_last_frames_are_hidden() -> None:
    pose = torch.randn(2, 10, 3, 4)
    found = hide_end(pose, 0.3)
    assert torch.equal(found[:, :7], pose[:, :7])
    assert not found[:, 7:].any()


def test_the_contrast_is_that_of_its_equation() -> None:
    method: MS2L = trainer().method  # type: ignore[assignment]
    rows = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
    loss, query, key = method._contrast(rows)
    unit = rows / rows.norm(dim=2, keepdim=True)
    centre = unit.mean(0)
    centre = centre / centre.norm(dim=1, keepdim=True)
    total = 0.0
    for version, i in itertools.product(range(3), range(5)):
        each = [math.exp(float(unit[version, i] @ c) / 0.9) for c in centre]
        total -= math.log(each[i] / sum(each)) / 15
    assert float(loss) == pytest.approx(total, rel=1e-5)
    torch.testing.assert_close(query, unit[0])
    torch.testing.assert_close(key, centre)


def test_tasks_are_those_of_the_three_versions() -> None:
    train = trainer(motion=2.0, jigsaw=0.5)
    method: MS2L = train.method  # type: ignore[assignment]
    method.eval()  # statistics of batch norm stand still, and so do the draws
    (view,) = next(train._view_batches())
    step = method([view])
    kind = torch.randint(6, (view.num_graphs,), generator=method.draws.next())
    features = [
        method.encoder(with_pose(view, pose)).graph
        for pose in (hide_end(view.pose, 0.3), in_order(view.pose, kind[clip_of_body(view)]))
    ]
    wanted, mask = truth(view, 2)
    told = method.decoder(features[0], len(wanted))  # type: ignore[misc]
    torch.testing.assert_close(step.terms["motion"], 2 * error(told, wanted, mask))
    order = F.cross_entropy(method.order(features[1]), kind)  # type: ignore[misc]
    torch.testing.assert_close(step.terms["jigsaw"], order / 2)


def test_a_task_without_weight_is_not_there() -> None:
    train = trainer(motion=0, contrast=0)
    assert set(train.train_epoch().terms) == {"jigsaw"}
    assert train.method(next(train._view_batches())).contrasts == []


def test_orders_are_drawn_anew_every_step_and_alike_with_the_same_seed() -> None:
    one, other = trainer(), trainer()
    assert one.train_epoch().terms == other.train_epoch().terms
    draws = one.method.draws  # type: ignore[union-attr]
    first, second = (torch.rand(3, generator=draws.next()) for _ in range(2))  # type: ignore[operator]
    assert not torch.equal(first, second)


def test_resumes_bit_equal_with_the_head_through_a_file() -> None:
    straight, broken, resumed = (trainer(head=True) for _ in range(3))
    reports = [straight.train_epoch() for _ in range(4)]
    assert set(reports[-1].terms) == {"motion", "jigsaw", "contrast", "halp"}
    for _ in range(2):
        broken.train_epoch()
    file = io.BytesIO()
    torch.save(broken.state(), file)
    file.seek(0)
    resumed.load_state(torch.load(file, weights_only=True))
    assert [resumed.train_epoch().terms for _ in range(2)] == [r.terms for r in reports[2:]]
    assert torch.equal(straight.embed(), resumed.embed())


def test_refuses_graphs_short_clips_no_tasks_and_encoders_of_graphs() -> None:
    recipe = small_recipe(method={"name": "ms2l"}).arm("graphcl")
    with pytest.raises(UserError, match="ms2l: makes sequences of skeletons anew"):
        Trainer(small_data().store, recipe, 0)
    with pytest.raises(UserError, match=r"set data\.frames to 3 or more"):
        trainer(frames=2)
    with pytest.raises(UserError, match="all of them 0; weigh one"):
        trainer(motion=0, jigsaw=0, contrast=0)
    with pytest.raises(UserError, match="needs an encoder of skeletons; use encoder bigru"):
        Trainer(small_skeletons().fit_store, recipe, 0)
