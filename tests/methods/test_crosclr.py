"""CrosSCLR: both stages against a plain re-telling, when the second begins, and what it mines."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from resuming import weights
from several import clips, directions, filled, make, trainer
from torch import Tensor

from halpgraph.errors import UserError
from halpgraph.methods.crosclr import CrosSCLR


def crosclr(epoch: int = 0, **settings: Any) -> CrosSCLR:
    method = cast(CrosSCLR, make("crosclr", **settings))
    method.begin_epoch(epoch, [])
    return method


def plain(
    queries: list[Tensor], keys: list[Tensor], banks: list[Tensor], n: int, context: bool
) -> list[float]:
    """A loss a stream: its mean over partners, clips and positives, number by number."""
    out = []
    for a in range(len(queries)):
        of_partners = []
        for b in range(len(queries)):
            if a == b:
                continue
            for i in range(len(queries[a])):
                mine = [float(queries[a][i] @ key) for key in banks[a]]
                other = [float(queries[b][i] @ key) for key in banks[b]]
                found = sorted(range(len(other)), key=lambda j, s=other: -s[j])[:n]
                logits = [float(queries[a][i] @ keys[a][i]), *mine]
                positives = [0, *(1 + j for j in found)]
                if context:
                    logits += [x * y for x, y in zip(mine, other, strict=True)]
                    positives += [1 + len(mine) + j for j in found]
                below = sum(math.exp(x / 0.07) for x in logits)
                logs = [math.log(math.exp(logits[j] / 0.07) / below) for j in positives]
                of_partners.append(-sum(logs) / len(logs))
        out.append(sum(of_partners) / len(of_partners))
    return out


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize(("neighbours", "held"), [(1, 20), (4, 20), (30, 9)])
def test_the_second_stage_is_that_of_the_plain_form(
    neighbours: int, held: int, context: bool
) -> None:
    method = crosclr(150, neighbours=neighbours, context=context)
    banks = filled(method, held)
    queries, keys = directions(5, 1), directions(5, 2)
    found = method.terms(queries, keys)
    assert list(found) == ["joint", "motion", "bone"]
    wanted = plain(queries, keys, banks, min(neighbours, held), context)
    assert [float(loss) for loss in found.values()] == pytest.approx(wanted, rel=1e-4)


def test_the_first_stage_is_skeletonclr_in_every_stream() -> None:
    method = crosclr(149)
    banks = filled(method)
    queries, keys = directions(5, 1), directions(5, 2)
    found = method.terms(queries, keys)
    for stream, q, k, bank in zip(method.streams, queries, keys, banks, strict=True):
        up = ((q * k).sum(1) / 0.07).exp()
        loss = -(up / (up + (q @ bank.t() / 0.07).exp().sum(1))).log().mean()
        torch.testing.assert_close(found[stream], loss)


def test_the_second_stage_begins_at_its_epoch_and_the_weights_go_on() -> None:
    """Until then the training is that of a method that never starts, to the bit."""
    early, never = (trainer("crosclr", head=False, method__start=s) for s in (2, 1000))
    for epoch in range(3):
        mine, other = weights(early), weights(never)
        assert all(torch.equal(mine[key], other[key]) for key in mine)
        a, b = early.train_epoch().terms, never.train_epoch().terms
        assert (a == b) == (epoch < 2)
    mine, other = weights(early), weights(never)
    assert any(not torch.equal(mine[key], other[key]) for key in mine)


def test_a_start_at_once_waits_for_the_first_keys() -> None:
    method, plain_one = crosclr(0, start=0), crosclr(0)
    first = [m(clips(0)).terms for m in (method, plain_one)]
    assert all(torch.equal(first[0][s], first[1][s]) for s in method.streams)
    assert all(float(loss.detach()) > 0 for loss in first[0].values())
    for m in (method, plain_one):
        m.after_step()
    second = [m(clips(1)).terms for m in (method, plain_one)]
    assert all(not torch.equal(second[0][s], second[1][s]) for s in method.streams)


def test_the_partner_s_find_is_the_positive_not_one_s_own() -> None:
    """Where the partner is sure, pulling the query towards what it found lowers the loss."""
    method = crosclr(150, streams=["joint", "bone"], context=False)
    banks = filled(method)
    keys = directions(1, 2, 2)
    place = 13
    queries = [directions(1, 1, 2)[0].requires_grad_(), banks[1][place : place + 1].clone()]
    gradient = torch.autograd.grad(method.terms(queries, keys)["joint"], queries[0])[0][0]
    slopes = banks[0] @ gradient
    assert int(slopes.argmin()) == place
    assert slopes[place] < 0


def test_the_context_term_reaches_both_streams_and_mining_none() -> None:
    for context in (True, False):
        method = crosclr(150, streams=["joint", "bone"], context=context)
        filled(method)
        queries, keys = directions(5, 1, 2), directions(5, 2, 2)
        for z in queries:
            z.requires_grad_()
        method.terms(queries, keys)["joint"].backward()
        assert queries[0].grad is not None
        assert (queries[1].grad is not None) == context


def test_every_part_of_every_stream_learns_in_both_stages() -> None:
    for epoch in (0, 150):
        method = crosclr(epoch)
        filled(method)
        torch.stack([*method(clips(0)).terms.values()]).sum().backward()
        for key, p in method.named_parameters():
            learns = p.grad is not None and bool(p.grad.abs().sum() > 0)
            assert learns == (".key_" not in key), key


def test_refuses_wrong_settings() -> None:
    for settings in ({"start": -1}, {"neighbours": 0}, {"temperature": 0}, {"bank": 0}):
        with pytest.raises(UserError, match=rf"method\.{next(iter(settings))}"):
            crosclr(**settings)
