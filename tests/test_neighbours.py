"""Mined positives and compared opinions, against loops that follow the equations."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from halpgraph.neighbours import (
    divergence,
    marked,
    mined_nce,
    nearest,
    opinions,
    soft_cross_entropy,
)


def rows(seed: int, n: int, d: int = 6) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    draw = torch.randn(n, d, generator=random, dtype=torch.float64)
    return torch.nn.functional.normalize(draw, dim=1)


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def test_nearest_are_those_of_a_search_one_by_one() -> None:
    query, bank = rows(0, 5), rows(1, 12)
    found = nearest(query, bank, 3)
    for i, q in enumerate(query):
        order = sorted(range(12), key=lambda j: -float(q @ bank[j]))
        assert found[i].tolist() == order[:3]
    assert nearest(query, bank[:2], 3).shape == (5, 2)
    mask = marked(found, 12)
    assert mask.sum(1).tolist() == [3] * 5
    assert all(mask[i, j] for i in range(5) for j in found[i].tolist())


def test_mined_nce_follows_its_equation() -> None:
    query, key, bank = rows(0, 4), rows(1, 4), rows(2, 9)
    mined = marked(nearest(key, bank, 2), 9)
    mined[0] = False  # a query whose own key is its only positive
    logits = opinions(query, key, bank) / 0.1
    total = 0.0
    for i in range(4):
        similar = [float(query[i] @ key[i]) / 0.1] + [float(query[i] @ b) / 0.1 for b in bank]
        share = softmax(similar)
        positives = [0] + [1 + j for j in range(9) if mined[i, j]]
        total -= sum(math.log(share[p]) for p in positives) / len(positives)
    assert float(mined_nce(logits, mined)) == pytest.approx(total / 4)


def test_opinions_are_compared_as_the_equations_say() -> None:
    teacher, student = rows(3, 4, 7) / 0.05, rows(4, 4, 7) / 0.1
    cross, kl = 0.0, 0.0
    for t, s in zip(teacher.tolist(), student.tolist(), strict=True):
        p, q = softmax(t), softmax(s)
        cross -= sum(a * math.log(b) for a, b in zip(p, q, strict=True)) / 4
        kl += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 4
    assert float(soft_cross_entropy(teacher, student)) == pytest.approx(cross)
    assert float(divergence(teacher, student)) == pytest.approx(kl)
    assert float(divergence(teacher, teacher)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("compare", [soft_cross_entropy, divergence])
def test_the_teacher_is_not_moved(compare: object) -> None:
    teacher, student = rows(3, 4, 7).requires_grad_(), rows(4, 4, 7).requires_grad_()
    compare(teacher, student).backward()  # type: ignore[operator]
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0
