"""MS2L: a whole step re-told in loops, its tasks one by one, and what it refuses."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from resuming import resumes_bit_equal
from small import small_data, small_recipe, small_skeletons
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.ms2l import MS2L, hide_end, in_order
from halpgraph.pose import with_pose

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
GRU = {"name": "bigru", "hidden": 8, "mode": "bidirectional", "pool": "mean"}
ENCODERS = [GRU, {"name": "stgcn", "channels": [[8, 2], [8, 2]]}, {"name": "hcn", "width": 4}]


def trainer(head: bool = False, frames: int = 16, encoder: Any = GRU, **method: Any) -> Trainer:
    spec = {"name": "ms2l", "decoder": 6, "hidden": 12, "projection": 8, **method}
    train = {"train__precision": spec.pop("precision", "float32")}
    recipe = small_recipe(method=spec, encoder=encoder, head__bank=32, **train)
    recipe = recipe.model_copy(update={"views": [CROP]})
    data = small_skeletons(persons=2, frames=frames)
    return Trainer(data.fit_store, recipe.arm("halp" if head else "graphcl"), 0)


def made(**settings: Any) -> tuple[MS2L, Batch]:
    train = trainer(**settings)
    (view,) = next(train._view_batches())
    return train.method, view  # type: ignore[return-value]


def unit(row: Tensor) -> Tensor:
    return row / row.norm()


def simclr(p: Tensor, c: Tensor, t: float) -> float:
    """Return the loss of pairs, each of the 2B rows being an anchor in turn."""
    rows, n = [unit(row) for row in [*p, *c]], len(p)
    total = 0.0
    for i in range(2 * n):
        up = {j: math.exp(float(rows[i] @ rows[j]) / t) for j in range(2 * n) if j != i}
        total -= math.log(up[(i + n) % (2 * n)] / sum(up.values()))
    return total / (2 * n)


def test_a_whole_step_is_that_of_a_plain_ms2l() -> None:
    """In training mode: batch norms see every version by itself."""
    method, view = made(motion=2.0, jigsaw=0.5, contrast=3.0, temperature=0.5)
    first, kind = (
        view.body_ptr.tolist(),
        torch.randint(6, (view.num_graphs,), generator=method.draws.eval().next()),
    )
    method.draws.train()
    orders = list(itertools.permutations(range(3)))
    hidden, mixed = view.pose.clone(), view.pose.clone()
    for clip in range(view.num_graphs):
        for body in range(first[clip], first[clip + 1]):
            for frame in range(11, 16):
                hidden[body, frame] = 0
            for place, piece in enumerate(orders[int(kind[clip])]):
                for step in range(5):
                    mixed[body, 5 * place + step] = view.pose[body, 5 * piece + step]
    h = [method.encoder(with_pose(view, pose)).graph for pose in (view.pose, hidden, mixed)]
    told = method.decoder(h[1], 16)  # type: ignore[misc]  # [T, B, M * C * V]
    squares = []
    for clip in range(view.num_graphs):
        for body in range(first[clip], first[clip + 1]):
            at = int(view.person[body]) * 60
            gap = told[:, clip, at : at + 60].reshape(16, 3, 20) - view.pose[body]
            squares.append(gap**2)
    assert view.num_graphs < len(squares) < 2 * view.num_graphs
    chances = method.order(h[2]).softmax(1).detach()  # type: ignore[misc]
    order = -sum(math.log(float(chances[i, k])) for i, k in enumerate(kind)) / len(kind)
    p = [method.projector(each) for each in h]  # type: ignore[misc]
    c = (p[0] + p[1] + p[2]) / 3
    contrast = sum(simclr(each, c, 0.5) for each in p) / 3
    step = method([view])
    assert list(step.terms) == ["motion", "jigsaw", "contrast"]
    assert float(step.terms["motion"]) == pytest.approx(
        2 * float(torch.stack(squares).mean()), rel=1e-4
    )
    assert float(step.terms["jigsaw"]) == pytest.approx(0.5 * order, rel=1e-4)
    assert float(step.terms["contrast"]) == pytest.approx(3 * contrast, rel=1e-4)
    (published,) = step.contrasts
    torch.testing.assert_close(published.query, torch.stack([unit(row) for row in p[0]]))
    torch.testing.assert_close(published.key, torch.stack([unit(row) for row in c]).detach())
    assert (published.temperature, published.stream) == (0.5, "joint")


@pytest.mark.parametrize("frames", [9, 11])
def test_thirds_change_places_and_nothing_else(frames: int) -> None:
    pose = torch.randn(6, frames, 3, 4)
    found = in_order(pose, torch.arange(6))
    third = frames // 3
    for k, order in enumerate(itertools.permutations(range(3))):
        pieces = [pose[k, piece * third : (piece + 1) * third] for piece in order]
        assert torch.equal(found[k], torch.cat([*pieces, pose[k, 3 * third :]]))


@pytest.mark.parametrize(
    ("frames", "share", "gone"), [(10, 0.3, 3), (20, 0.3, 6), (3, 0.1, 1), (4, 0.99, 3)]
)
def test_the_last_frames_are_hidden_but_never_none_or_all(
    frames: int, share: float, gone: int
) -> None:
    pose = torch.randn(2, frames, 3, 4)
    found = hide_end(pose, share)
    assert torch.equal(found[:, : frames - gone], pose[:, : frames - gone])
    assert not found[:, frames - gone :].any()


@pytest.mark.parametrize(
    ("weights", "passes", "terms"),
    [
        ({}, 3, ["motion", "jigsaw", "contrast"]),
        ({"motion": 0, "jigsaw": 0}, 3, ["contrast"]),
        ({"contrast": 0}, 2, ["motion", "jigsaw"]),
        ({"contrast": 0, "jigsaw": 0}, 1, ["motion"]),
        ({"contrast": 0, "motion": 0}, 1, ["jigsaw"]),
    ],
)
def test_only_what_a_task_asks_for_is_encoded(
    weights: dict[str, int], passes: int, terms: list[str]
) -> None:
    train = trainer(**weights)
    seen: list[Any] = []
    train.method.encoder.register_forward_hook(lambda *of: seen.append(of))  # type: ignore[operator,union-attr]
    step = train.method(next(train._view_batches()))
    assert (len(seen), list(step.terms)) == (passes, terms)
    assert len(step.contrasts) == ("contrast" in terms)
    sum(step.terms.values()).backward()  # type: ignore[union-attr]
    for name, parameter in train.method.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize(
    ("term", "net"), [("motion", "decoder"), ("jigsaw", "order"), ("contrast", "projector")]
)
def test_a_task_teaches_the_encoder_and_its_own_net(term: str, net: str) -> None:
    method, view = made()
    method([view]).terms[term].backward()
    nets = ("encoder", "decoder", "order", "projector")
    for name in nets:
        part: nn.Module = getattr(method, name)
        taught = any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
        assert taught == (name in ("encoder", net)), name


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda e: e["name"])
@pytest.mark.parametrize("stream", ["motion", "distances"])
def test_every_encoder_of_skeletons_and_every_stream(encoder: Any, stream: str) -> None:
    train = trainer(encoder=encoder, stream=stream, head=True)
    assert train.method.streams == (stream,)
    assert set(train.train_epoch().terms) == {"motion", "jigsaw", "contrast", "halp"}
    z = train.embed()
    assert z.shape == (len(train.store), train.method.encoder.out_channels)  # type: ignore[union-attr]


def test_losses_are_taken_in_float32() -> None:
    train = trainer(head=True, precision="bfloat16")
    train.train_epoch()
    with torch.autocast("cpu", torch.bfloat16):
        step = train.method(next(train._view_batches()))
    assert {term.dtype for term in step.terms.values()} == {torch.float32}
    assert step.contrasts[0].query.dtype == torch.float32


def test_orders_are_drawn_anew_every_step_and_alike_with_the_same_seed() -> None:
    one, other = trainer(), trainer()
    assert one.train_epoch().terms == other.train_epoch().terms
    draws = one.method.draws  # type: ignore[union-attr]
    first, second = (torch.rand(3, generator=draws.next()) for _ in range(2))  # type: ignore[operator]
    assert not torch.equal(first, second)


def test_resumes_bit_equal_with_the_head_through_a_file() -> None:
    reports = resumes_bit_equal(lambda: trainer(head=True))
    assert set(reports[-1].terms) == {"motion", "jigsaw", "contrast", "halp"}


def test_refuses_graphs_short_clips_no_tasks_and_encoders_of_graphs() -> None:
    recipe = small_recipe(method={"name": "ms2l"}).arm("graphcl")
    with pytest.raises(UserError, match="ms2l: makes sequences of skeletons anew"):
        Trainer(small_data().store, recipe, 0)
    with pytest.raises(UserError, match=r"set data\.frames to 3 or more"):
        trainer(frames=2)
    with pytest.raises(UserError, match="all of them 0; weigh one"):
        trainer(motion=0, jigsaw=0, contrast=0)
    with pytest.raises(UserError, match="publishes no contrasts; use 'head: null'"):
        trainer(head=True, contrast=0)
    method, view = made()
    with pytest.raises(UserError, match="needs 1 view, got 2"):
        method([view, view])
    for setting in ("hidden_share", "decoder_layers", "temperature", "projection"):
        with pytest.raises(UserError, match=rf"method\.{setting}"):
            trainer(**{setting: 0})
    with pytest.raises(UserError, match="needs an encoder of skeletons; use encoder bigru"):
        Trainer(small_skeletons().fit_store, recipe, 0)
