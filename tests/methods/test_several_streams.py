"""What CMD and CrosSCLR share: branches side by side, banks in lock-step, streams side by side."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import pytest
import torch
from resuming import resumes_bit_equal
from several import clips, make, trainer
from small import small_data, small_recipe

from halpgraph import streams
from halpgraph.costs import check
from halpgraph.encoders.bigru import BiGRU
from halpgraph.engine import Trainer
from halpgraph.errors import UserError

BOTH = ("cmd", "crosclr")
pytestmark = pytest.mark.parametrize("name", BOTH)


def test_each_stream_has_parts_of_its_own_and_a_twin_that_follows(name: str) -> None:
    method = make(name)
    owned = Counter(id(p) for branch in method.each for p in branch.parameters())
    assert set(owned.values()) == {1}
    assert len(owned) == sum(1 for _ in method.parameters())
    nets = [(b.encoder, b.key_encoder) for b in method.each]
    nets += [(b.projector, b.key_projector) for b in method.each]
    for net, _ in nets:  # as a step of the optimiser would
        for p in net.parameters():
            p.data += 1
    before = [[p.clone() for p in twin.parameters()] for _, twin in nets]
    for epoch in (0, 200):  # before and after CrosSCLR's start
        method.begin_epoch(epoch, [])
        method(clips(0))
        method.after_step()
    for (net, twin), old in zip(nets, before, strict=True):
        for mine, then, now in zip(net.parameters(), old, twin.parameters(), strict=True):
            torch.testing.assert_close(now, 0.81 * then + 0.19 * mine)


def test_queries_are_of_the_first_view_and_keys_of_the_second(name: str) -> None:
    method, twin = make(name), make(name)
    first, second = clips(0)
    step = method([first, second])
    assert [c.stream for c in step.contrasts] == ["joint", "motion", "bone"]
    for contrast, branch in zip(step.contrasts, twin.each, strict=True):
        stream = branch.stream
        shown = [streams.derive(view, stream) for view in (first, second)]
        nets = (branch.encoder, branch.projector)
        query, key = (nets[1](nets[0](view).graph) for view in shown)
        query, key = (z / z.norm(dim=1, keepdim=True) for z in (query, key))
        torch.testing.assert_close(contrast.query, query)
        torch.testing.assert_close(contrast.key, key.detach())
        assert contrast.query.requires_grad
        assert not contrast.key.requires_grad


def test_banks_move_in_lock_step_after_the_step(name: str) -> None:
    """Six keys at a time turn a ring of 20; a place is of the same clip in all three."""
    method = make(name)
    stored: list[list[torch.Tensor]] = [[], [], []]
    for i in range(5):
        step = method(clips(i))
        assert all(b.bank.filled == min(6 * i, 20) for b in method.each)
        method.after_step()
        for keys, contrast in zip(stored, step.contrasts, strict=True):
            keys += [*contrast.key]
    assert len({b.bank.place for b in method.each}) == 1
    for keys, branch in zip(stored, method.each, strict=True):
        torch.testing.assert_close(branch.bank.newest(), torch.stack(keys[-20:]))


def test_nothing_is_derived_or_encoded_twice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Counter[str] = Counter()
    passes: Counter[bool] = Counter()
    bone, motion, forward = streams.bone, streams.motion, BiGRU.forward

    def count(kind: str, derive: Any) -> Any:
        return lambda *a: (made.update([kind]), derive(*a))[1]

    def encode(self: BiGRU, batch: Any) -> Any:
        passes[torch.is_grad_enabled()] += 1
        return forward(self, batch)

    monkeypatch.setattr(streams, "bone", count("bone", bone))
    monkeypatch.setattr(streams, "motion", count("motion", motion))
    monkeypatch.setattr(BiGRU, "forward", encode)
    make(name)(clips(0))
    assert made == {"bone": 2, "motion": 2}
    assert passes == {True: 3, False: 3}


def test_streams_lie_side_by_side_in_an_embedding(name: str) -> None:
    method = make(name, streams=["bone", "joint", "distances"]).eval()
    assert method.streams == ("bone", "joint", "distances")
    assert list(method.parts) == ["bone", "joint", "distances"]
    batch = clips(0)[0]
    z = method.embed(batch)
    assert len(set(method.parts.values())) > 1
    for part, branch in zip(z.split([*method.parts.values()], dim=1), method.each, strict=True):
        shown = streams.derive(batch, branch.stream)
        torch.testing.assert_close(part, branch.encoder(shown).graph)
    assert z.requires_grad


def test_in_eval_mode_nothing_moves_and_nothing_is_stored(name: str) -> None:
    method = make(name)
    method(clips(0))
    method.after_step()
    before = copy.deepcopy(method.state_dict())
    method.eval()(clips(1))
    method.after_step()
    after = method.state_dict()
    for key, value in before.items():
        assert torch.equal(value, after[key]) if torch.is_tensor(value) else value == after[key]


def test_resumes_bit_equal_with_the_head_through_a_file(name: str) -> None:
    reports = resumes_bit_equal(lambda: trainer(name), 5, 3)
    assert set(reports[-1].terms) >= {"joint", "motion", "bone", "halp"}
    assert reports[-1].terms["halp"] != 0
    head = trainer(name).head
    assert head is not None
    assert list(head.streams) == ["joint", "motion", "bone"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_losses_are_taken_in_float32(name: str, precision: str) -> None:
    train = trainer(name, head=False, train__precision=precision)
    for _ in range(2):
        assert train.train_epoch().loss > 0
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        step = train.method(next(train._view_batches()))
    assert {term.dtype for term in step.terms.values()} == {torch.float32}
    assert step.contrasts[0].query.dtype == torch.float32


def test_molecules_are_refused_before_training(name: str) -> None:
    spec = {"name": name}
    wanted = rf"method {name}: .*\(joint, motion, bone\).*no poses; use method moco .* or graphcl"
    with pytest.raises(UserError, match=wanted):
        Trainer(small_data().store, small_recipe(method=spec).arm("halp"), 0)
    with pytest.raises(UserError, match="no poses; use method moco"):
        Trainer(small_data().store, small_recipe(encoder="bigru", method=spec).arm("halp"), 0)
    with pytest.raises(UserError, match=wanted):
        check("graphcl_mutag", [f"method={{name: {name}}}"])


def test_refuses_wrong_streams_and_a_single_view(name: str) -> None:
    with pytest.raises(UserError, match=f"method {name}: needs 2 views, got 1"):
        make(name)(clips(0)[:1])
    for wrong, what in (
        (["joint"], "at least 2 items"),
        (["joint", "bone", "joint"], "the same stream stands there twice"),
        (["joint", "bones"], "stream bones: unknown - use one of joint, bone, motion"),
    ):
        with pytest.raises(UserError, match=rf"method\.streams.*{what}"):
            make(name, streams=wrong)
