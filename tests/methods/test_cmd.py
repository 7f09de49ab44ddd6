"""CMD: the distillation against a plain re-telling of it, and what it is that learns."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any, cast

import pytest
import torch
from several import clips, directions, filled, make, trainer
from torch import Tensor

from halpgraph.errors import UserError
from halpgraph.methods.cmd import CMD


def cmd(**settings: Any) -> CMD:
    return cast(CMD, make("cmd", **settings))


def plain(queries: list[Tensor], keys: list[Tensor], banks: list[Tensor], n: int) -> float:
    """Sum over six ordered pairs of the mean divergence, number by number."""
    total = 0.0
    for a, b in permutations(range(len(queries)), 2):
        for i in range(len(queries[a])):
            alike = [float(keys[a][i] @ key) for key in banks[a]]
            places = sorted(range(len(alike)), key=lambda j, s=alike: -s[j])[:n]
            teacher = [math.exp(alike[j] / 0.05) for j in places]
            student = [math.exp(float(queries[b][i] @ banks[b][j]) / 0.1) for j in places]
            for up, said in zip(teacher, student, strict=True):
                p, r = up / sum(teacher), said / sum(student)
                total += p * math.log(p / r) / len(queries[a])
    return total


@pytest.mark.parametrize(("neighbours", "held"), [(7, 20), (8192, 20), (12, 9), (1, 20)])
def test_distillation_is_that_of_the_plain_form(neighbours: int, held: int) -> None:
    """With neighbours that are some of the bank, all of it, or one alone (no opinion: 0)."""
    method = cmd(neighbours=neighbours)
    banks = filled(method, held)
    queries, keys = directions(5, 1), directions(5, 2)
    found = method.terms(queries, keys)
    n = min(neighbours, held)
    assert float(found["distil"]) == pytest.approx(
        plain(queries, keys, banks, n), rel=1e-4, abs=1e-6
    )
    if n == 1:
        assert float(found["distil"]) == 0
    for stream, q, k, bank in zip(method.streams, queries, keys, banks, strict=True):
        up = ((q * k).sum(1) / 0.07).exp()
        loss = -(up / (up + (q @ bank.t() / 0.07).exp().sum(1))).log().mean()
        torch.testing.assert_close(found[stream], loss)


def test_a_pair_of_streams_makes_two_pairs() -> None:
    method = cmd(streams=["bone", "distances"], neighbours=5)
    banks = filled(method)
    queries, keys = directions(5, 1, 2), directions(5, 2, 2)
    found = method.terms(queries, keys)
    assert list(found) == ["bone", "distances", "distil"]
    assert float(found["distil"]) == pytest.approx(plain(queries, keys, banks, 5), rel=1e-4)


def test_temperatures_and_weight_are_those_that_were_set() -> None:
    queries, keys = directions(5, 1), directions(5, 2)
    terms = {}
    for change in ("none", "teacher_temperature", "student_temperature", "weight"):
        method = cmd(neighbours=7, **({change: 2.0} if change != "none" else {}))
        filled(method)
        terms[change] = float(method.terms(queries, keys)["distil"])
    assert len(set(terms.values())) == 4
    assert terms["weight"] == pytest.approx(2 * terms["none"])


def test_only_students_learn_and_only_from_others() -> None:
    """Teachers' keys have no gradient; a stream that hears of nobody has no gradient either."""
    method = cmd(neighbours=7)
    filled(method)
    queries, keys = directions(5, 1), directions(5, 2)
    for z in (*queries, *keys):
        z.requires_grad_()
    method.distil(queries, keys).backward()
    assert all(z.grad is not None and z.grad.abs().sum() > 0 for z in queries)
    assert all(z.grad is None or z.grad.abs().sum() == 0 for z in keys)


def test_who_agrees_has_nothing_to_learn() -> None:
    method = cmd(neighbours=7, teacher_temperature=0.1)
    same = directions(20, 3)[0]
    for branch in method.each:
        branch.bank.push(same)
    q = directions(5, 1)[0]
    assert float(method.distil([q] * 3, [q] * 3)) == pytest.approx(0, abs=1e-6)


def test_nothing_is_distilled_before_the_first_keys() -> None:
    method = cmd()
    first = method(clips(0)).terms
    assert float(first["distil"]) == 0
    method.after_step()
    assert float(method(clips(1)).terms["distil"].detach()) > 0


def test_without_weight_the_streams_know_nothing_of_each_other() -> None:
    method = cmd(weight=0)
    filled(method)
    step = method(clips(0))
    step.terms["joint"].backward(retain_graph=True)
    apart = [p.grad for p in method.branches["joint"].encoder.parameters()]
    assert float(step.terms["distil"]) == 0
    assert all(g is not None for g in apart)
    assert all(p.grad is None for p in method.branches["bone"].parameters())


def test_students_come_to_agree_with_their_teachers() -> None:
    """In training the divergence a pair ends below that of streams that are left alone."""
    ends = []
    for weight in (1.0, 0.0):
        train = trainer("cmd", head=False, method__weight=weight, train__lr=0.003)
        for _ in range(25):
            train.train_epoch()
        method = cast(CMD, train.method)
        method.weight = 1.0
        step = method.eval()(next(train._view_batches()))
        ends.append(float(step.terms["distil"].detach()))
    assert ends[0] < ends[1]


def test_refuses_wrong_settings() -> None:
    for settings in (
        {"neighbours": 0},
        {"teacher_temperature": 0},
        {"student_temperature": -1},
        {"weight": -0.5},
        {"momentum": 1.0},
    ):
        with pytest.raises(UserError, match=rf"method\.{next(iter(settings))}"):
            cmd(**settings)
