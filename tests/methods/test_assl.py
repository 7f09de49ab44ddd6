"""ASSL: against a plain re-telling, the labels it is shown and no others, who learns from whom."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from resuming import resumes_bit_equal
from small import small_data, small_recipe, small_skeletons
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.data.dataset import DataSet
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.folds import make_folds
from halpgraph.methods._neighbourhood import anchors, around, closeness, told_apart
from halpgraph.pose import with_pose
from halpgraph.runner import prepare
from halpgraph.streams import derive

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
ENCODER = {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"}


def recipe(**changes: Any) -> Any:
    method = {"name": "assl", "labelled": 0.25, "bank": 20, "judge": 8, "neighbours": 3}
    made = {"method": method, "encoder": ENCODER, "head": None, "arms": {"assl": {}}}
    made |= {"control": "assl", "train__batch_size": 8, **changes}
    return small_recipe(**made).model_copy(update={"views": [CROP]})


def trainer(data: DataSet | None = None, seed: int = 0, **changes: Any) -> Trainer:
    data = data or small_skeletons()
    return Trainer(data.fit_store, recipe(**changes).arm("assl"), seed)


def view(of: Trainer) -> Batch:
    return next(of._view_batches())[0]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("seed", "share"), [(0, 0.25), (3, 0.25), (3, 0.5)])
def test_the_labels_shown_are_those_the_semi_evaluator_names(
    balanced: bool, seed: int, share: float
) -> None:
    data = small_skeletons(60)
    method = trainer(data, seed, method__labelled=share, method__balanced=balanced).method
    spec = {"name": "semi", "shares": [share], "repeats": 1, "balanced": balanced}
    z = np.random.default_rng(0).normal(size=(60, 4))
    scores = registry.evaluators.build(spec)(z, data.y, make_folds(data, 10, seed), seed)
    (named,) = scores.chosen[0][f"{100 * share:g}%"]["labelled"]
    assert method.shown.positions.tolist() == named
    assert 0 < len(named) < len(data.fit)
    names = np.unique(data.y[named])
    assert names[method.shown.classes.numpy()].tolist() == data.y[named].tolist()


def changed(y: Tensor, shown: Tensor, ids: Tensor) -> Tensor:
    """Return labels that are others wherever they are not shown. Shapes: y, ids [n]."""
    return torch.where(torch.isin(ids, shown), y, 1 - y)


@pytest.mark.parametrize("balanced", [True, False])
def test_a_label_that_is_not_shown_changes_nothing(balanced: bool) -> None:
    """Unbalanced draws look at no label at all, so that there all may differ from the start."""
    one = trainer(method__balanced=balanced)
    store = one.store
    y = changed(store.y, one.method.shown.positions, store.id)
    assert (y != store.y).sum() == len(store) - len(one.method.shown.positions) > 0
    other = replace(store, y=y)
    if balanced:
        two = trainer(method__balanced=balanced)
        two.store = other
    else:
        two = Trainer(other, recipe(method__balanced=False).arm("assl"), 0)
    for _ in range(3):
        assert one.train_epoch().terms == two.train_epoch().terms
    for key, value in one.state()["method"].items():
        again = two.state()["method"][key]
        assert torch.equal(value, again) if torch.is_tensor(value) else value == again, key


def test_a_label_that_is_shown_changes_much() -> None:
    one, two = trainer(), trainer()
    two.method.shown.classes.copy_(1 - two.method.shown.classes)
    assert one.train_epoch().terms["labelled"] != two.train_epoch().terms["labelled"]


def test_batches_need_no_labels() -> None:
    one, two = trainer(), trainer()
    two.store = replace(two.store, y=None)
    assert "y" in view(trainer())
    assert [one.train_epoch().terms for _ in range(2)] == [
        two.train_epoch().terms for _ in range(2)
    ]


class Plain:
    """The three terms of labels and neighbours in slow steps: lists for the bank, loops for all."""

    def __init__(self, method: Any) -> None:
        self.method, self.bank = method, []  # (feature, id), oldest first

    def label(self, i: int) -> int | None:
        at = self.method.shown.positions.tolist()
        return int(self.method.shown.classes[at.index(i)]) if i in at else None

    def nearest(self, pool: list[Any], i: int, among: list[int]) -> list[int]:
        cos = torch.nn.functional.cosine_similarity
        others = [j for j in among if pool[j][1] != pool[i][1]]
        near = sorted(others, key=lambda j: -float(cos(pool[i][0], pool[j][0], dim=0).detach()))
        return near[: self.method.neighbours]

    def terms(self, z: Tensor, ids: Tensor) -> dict[str, Tensor]:
        m = self.method
        pool = [*zip(z, ids.tolist(), strict=True), *self.bank]
        labels = [self.label(i) for _, i in pool]
        logs = [m.classifier(row).log_softmax(0) for row, _ in pool]
        opinions = [
            log.exp().detach() if y is None else torch.eye(len(log))[y]
            for log, y in zip(logs, labels, strict=True)
        ]
        mine = [y for y in labels[: len(z)] if y is not None]
        ce = [-logs[i][y] for i, y in enumerate(labels[: len(z)]) if y is not None]
        apart = []
        for i in range(len(z)):
            if labels[i] is None:
                near = self.nearest(pool, i, list(range(len(pool))))
                target = sum(opinions[j] for j in near) / len(near)
                parts = [p * (p.log() - q) for p, q in zip(target, logs[i], strict=True) if p > 0]
                apart.append(sum(parts))
        hidden = [j for j, y in enumerate(labels) if y is None]
        said = [torch.sigmoid(m.judge(row)[0]) for row, _ in pool]
        known = [i for i, y in enumerate(labels) if y is not None]
        real = [-said[i].log() for i in known]
        fake = [-(1 - said[j]).log() for i in known for j in self.nearest(pool, i, hidden)]
        zero = z.sum() * 0
        return {
            "labelled": sum(ce) / len(mine) if mine else zero,
            "neighbours": m.consistency * sum(apart) / len(apart) if apart else zero,
            "adversary": m.adversary * (sum(real) / len(real) + sum(fake) / len(fake)) / 2
            if known
            else zero,
        }


def gradients(of: Tensor, module: Any) -> list[Tensor]:
    weights = [*module.parameters()]
    return [*torch.autograd.grad(of, weights, retain_graph=True, materialize_grads=True)]


def test_whole_steps_are_those_of_a_plain_assl() -> None:
    """A bank of 20 turns within steps of 8; the encoder climbs what the judge descends."""
    train = trainer(train__lr=0.01, method__adversary=0.7, method__consistency=0.9)
    method, plain, said = train.method, Plain(train.method), []
    for _ in range(3):
        for (batch,) in train._view_batches():
            terms = method([batch]).terms
            z = method.encoder(batch).graph
            wanted = plain.terms(z, batch.id)
            for name, value in wanted.items():
                torch.testing.assert_close(terms[name], value, rtol=1e-4, atol=1e-6)
            total = sum(terms[name] for name in wanted)
            turned = wanted["labelled"] + wanted["neighbours"] - wanted["adversary"]
            pairs = [
                (gradients(total, method.encoder), gradients(turned, method.encoder)),
                (gradients(total, method.judge), gradients(wanted["adversary"], method.judge)),
            ]
            for found, theirs in pairs:
                torch.testing.assert_close(found, theirs, rtol=1e-3, atol=1e-6)
            said.append([float(value.detach()) for value in wanted.values()])
            fresh = [*zip(z.detach(), batch.id.tolist(), strict=True)]
            plain.bank = [*plain.bank, *fresh][-method.bank.size :]
            train.optimizer.zero_grad()
            sum(terms.values()).backward()
            train.optimizer.step()
            method.after_step()
    assert len(said) == 9
    assert all(max(column) > 0 for column in zip(*said, strict=True))
    assert [i for _, i in plain.bank] == method.bank_ids.newest()[:, 0].tolist()
    newest = torch.stack([z for z, _ in plain.bank])
    torch.testing.assert_close(method.bank.newest(), newest)


def test_the_clip_is_told_whole_from_its_copy_with_holes() -> None:
    train = trainer(data=small_skeletons(persons=2), method__inpainting=0.5)
    method, batch = train.method, view(train)
    before, twin = torch.get_rng_state(), copy.deepcopy(method)
    term = method([batch]).terms["inpainting"]
    assert torch.equal(torch.get_rng_state(), before)
    pose = batch.pose.clone()  # [R, T, C, V]
    random = twin.draws.next()
    draws = torch.rand(batch.num_graphs, 16 * 20, generator=random)
    bodies, squares = batch.body_ptr.tolist(), []
    for clip in range(batch.num_graphs):
        for cell in draws[clip].argsort(descending=True)[: round(0.3 * 16 * 20)].tolist():
            pose[bodies[clip] : bodies[clip + 1], cell // 20, :, cell % 20] = 0
    told = twin.decoder(twin.encoder(with_pose(batch, pose)).graph, 16)  # [T, B, M * C * V]
    for clip in range(batch.num_graphs):
        for body in range(bodies[clip], bodies[clip + 1]):
            at = int(batch.person[body]) * 60
            frames = told[:, clip, at : at + 60].reshape(16, 3, 20)
            squares.append((frames - batch.pose[body]) ** 2)
    assert len(squares) > batch.num_graphs
    torch.testing.assert_close(term, 0.5 * torch.stack(squares).mean())
    assert all(grad.abs().sum() > 0 for grad in gradients(term, method.decoder))
    assert all(grad.abs().sum() == 0 for grad in gradients(term, method.classifier))
    assert not torch.equal(method([batch]).terms["inpainting"], term)


def test_without_inpainting_a_clip_is_encoded_once() -> None:
    for weight, passes in ((0, 1), (1, 2)):
        train, seen = trainer(method__inpainting=weight), []
        train.method.encoder.register_forward_hook(lambda *of: seen.append(of))  # noqa: B023
        terms = train.method([view(train)]).terms
        assert len(seen) == passes
        assert ("inpainting" in terms) == bool(weight)
        train.train_epoch()


def test_the_same_clip_is_no_neighbour_of_its_own() -> None:
    rows = torch.tensor([[1.0, 0], [0, 1], [1, 0.1], [1, 0]])
    similar = closeness(rows, torch.tensor([7, 8, 9, 7]), torch.tensor([0]))
    assert similar[0, [0, 3]].tolist() == [-math.inf, -math.inf]
    opinions = torch.tensor([[1.0, 0], [0, 1], [0.25, 0.75], [1, 0]])
    assert around(similar, opinions, 1).tolist() == [[0.25, 0.75]]
    assert around(similar, opinions, 50).tolist() == [[0.125, 0.875]]
    alone = closeness(rows[:1], torch.tensor([7]), torch.tensor([0]))
    assert around(alone, opinions[:1], 3).tolist() == [[0, 0]]


def test_the_judge_hears_labelled_clips_and_their_neighbours_only() -> None:
    """Clips 0 and 1 are labelled; clip 2 is a neighbour of both, 3 of one, 4 of none."""
    similar = torch.full((5, 5), -0.5).fill_diagonal_(-math.inf)
    similar[0, 1], similar[0, 2], similar[0, 3] = 0.9, 0.8, 0.7
    similar[1, 0], similar[1, 2], similar[1, 3], similar[1, 4] = 0.9, 0.8, 0.1, 0.0
    found = torch.tensor([0.3, -0.2, 0.5, 1.0, 9.0], requires_grad=True)
    label = torch.tensor([1, 0, -1, -1, -1])
    told_apart(found, label, similar[:2], anchors(label), 1).backward()
    assert found.grad[3:].tolist() == [0, 0]
    similar[0, 2], similar[1, 2] = 0.6, 0.05
    up = [math.log(1 + math.exp(x)) for x in (-0.3, 0.2, 1.0, 1.0)]
    value = told_apart(found, label, similar[:2], anchors(label), 1)
    assert value.item() == pytest.approx(sum(up) / 4)
    everywhere = torch.arange(5)  # as on a GPU
    assert told_apart(found, label, similar, everywhere, 1).item() == pytest.approx(value.item())
    similar[0, 4] = 0.9
    up = [math.log(1 + math.exp(x)) for x in (-0.3, 0.2, 9.0, 1.0)]
    value = told_apart(found, label, similar, everywhere, 1)
    assert value.item() == pytest.approx(sum(up) / 4)
    for alike in (torch.full((5,), -1), torch.zeros(5, dtype=torch.long)):
        for at in (anchors(alike), everywhere):
            assert told_apart(found, alike, similar[at], at, 2).item() == 0


def hidden_only(train: Trainer) -> Batch:
    """Return a batch without any labelled clip."""
    shown = set(train.method.shown.positions.tolist())
    at = [i for i, clip in enumerate(train.store.id.tolist()) if clip not in shown]
    return train.store.batch(torch.tensor(at[:8]))


def test_a_batch_without_labels_still_learns_from_those_in_the_bank() -> None:
    train = trainer()
    method = train.method.train()
    batch = hidden_only(train)
    terms = method([batch]).terms
    assert float(terms["labelled"]) == float(terms["adversary"]) == 0
    assert float(terms["neighbours"]) > 0
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
    train.train_epoch()
    terms = method([batch]).terms
    assert float(terms["labelled"]) == 0
    assert float(terms["adversary"]) > 0
    moved = gradients(terms["adversary"], method.encoder)
    assert any(part.abs().sum() > 0 for part in moved)


def test_resumes_bit_equal_from_a_state_that_tells_what_was_shown() -> None:
    resumes_bit_equal(trainer, 5, 3)
    train = trainer()
    told = train.state()["method"]["shown.positions"]
    assert told.tolist() == train.method.shown.positions.tolist()


def test_embeddings_are_the_encoders_and_see_no_mask() -> None:
    train = trainer(method__stream="motion")
    method, batch = train.method.eval(), view(train)
    shown = derive(batch, "motion")
    torch.testing.assert_close(method.embed(batch), method.encoder(shown).graph)
    assert not torch.equal(method.embed(batch), method.encoder(batch).graph)


def test_data_without_labels_to_learn_from_are_refused() -> None:
    wanted = "method assl: needs labels.*use data.split with data.fit: train"
    for data in (small_data(), small_skeletons(fit="all"), small_skeletons(split="none")):
        with pytest.raises(UserError, match=wanted):
            Trainer(data.fit_store, recipe().arm("assl"), 0)
    with pytest.raises(UserError, match=wanted):
        prepare(recipe(), dataset=small_skeletons(fit="all"))
    assert prepare(recipe(), dataset=small_skeletons())


def test_refuses_wrong_settings_two_views_a_head_and_labels_of_one_class() -> None:
    train = trainer()
    with pytest.raises(UserError, match="method assl: needs 1 view, got 2"):
        train.method([view(train)] * 2)
    with pytest.raises(UserError, match="publishes no contrasts"):
        trainer(head={"name": "halp"})
    with pytest.raises(UserError, match="method assl: needs an encoder of skeletons"):
        trainer(encoder={"name": "gin"})
    one = trainer(method__labelled=0.01, method__balanced=False)
    with pytest.raises(UserError, match=r"all of one class.*method\.balanced: true"):
        one.train_epoch()
    for key, value in (
        ("labelled", 0),
        ("labelled", 1.5),
        ("neighbours", 0),
        ("bank", 0),
        ("adversary", -1),
        ("stream", "joints"),
        ("hidden_share", 1),
    ):
        with pytest.raises(UserError, match=rf"method\.{key}"):
            trainer(**{f"method__{key}": value})
