"""MoCo: against a plain re-telling of a whole step, its bank's turn, its twin, and its streams."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from resuming import resumes_bit_equal, weights
from small import small_data, small_recipe, small_skeletons
from torch import Tensor
from torch_geometric.data import Batch
from toy import toy_batch

from halpgraph import registry
from halpgraph.encoders.gin import GIN
from halpgraph.engine import Trainer
from halpgraph.errors import UserError
from halpgraph.methods.moco import MoCo

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}


def make(seed: int = 0, **settings: Any) -> MoCo:
    torch.manual_seed(seed)
    spec = {"name": "moco", "bank": 20, "projection": 8, "momentum": 0.9, **settings}
    encoder = lambda stream: GIN(num_codes=5, in_channels=3, hidden=8)  # noqa: E731
    method: MoCo = registry.methods.build(spec, "method", make_encoder=encoder)
    return method


def views(i: int) -> list[Batch]:
    return [toy_batch(i, 6), toy_batch(i + 50, 6)]


def trainer(head: bool = True, skeletons: bool = True, **changes: Any) -> Trainer:
    method = {"name": "moco", "bank": 40, "momentum": 0.9, "projection": 16}
    made = {"method": method, "head__bank": 32, **changes}
    recipe = small_recipe(**made).model_copy(update={"views": [CROP]} if skeletons else {})
    data = small_skeletons() if skeletons else small_data()
    return Trainer(data.fit_store, recipe.arm("halp" if head else "graphcl"), 0)


def twin(key: str) -> str:
    _, net, rest = key.split(".", 2)
    return f"branch.key_{net}.net.{rest}"


class Plain:
    """The same in slow steps: lists for the bank, a loop over parameters, explicit sums."""

    def __init__(self, method: MoCo, lr: float) -> None:
        self.encoder, self.projector = (
            copy.deepcopy(m) for m in (method.branch.encoder, method.branch.projector)
        )
        self.key_encoder, self.key_projector = (
            copy.deepcopy(m) for m in (method.branch.encoder, method.branch.projector)
        )
        self.bank: list[Tensor] = []
        self.size, self.lr, self.m = method.branch.bank.size, lr, method.branch.key_encoder.momentum

    def step(self, first: Batch, second: Batch) -> float:
        q = self.projector(self.encoder(first).graph)
        with torch.no_grad():
            for slow, fast in (
                (self.key_encoder, self.encoder),
                (self.key_projector, self.projector),
            ):
                for a, b in zip(slow.parameters(), fast.parameters(), strict=True):
                    a.copy_(self.m * a + (1 - self.m) * b)
            k = self.key_projector(self.key_encoder(second).graph)
            k = k / k.norm(dim=1, keepdim=True)
        losses = []
        for i in range(len(q)):
            mine = q[i] / q[i].norm()
            others = self.bank or [k[j] for j in range(len(k)) if j != i]
            up = math.e ** (mine @ k[i] / 0.07)
            losses.append(-(up / (up + sum(math.e ** (mine @ n / 0.07) for n in others))).log())
        loss = torch.stack(losses).mean()
        parameters = [*self.encoder.parameters(), *self.projector.parameters()]
        for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            p.data -= self.lr * g
        self.bank = [*self.bank, *k][-self.size :]
        return float(loss.detach())


def test_whole_steps_are_those_of_a_plain_moco() -> None:
    """Five steps of 6 keys turn a bank of 20, which 6 does not divide."""
    method = make().double()
    method.branch.bank.float()  # queries and keys are contrasted in float32
    plain = Plain(method, lr=0.01)
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.01)
    for i in range(5):
        pair = views(i)
        for view in pair:
            view.x = view.x.double()
        loss = method(pair).terms["moco"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
        assert float(loss.detach()) == pytest.approx(plain.step(*pair), rel=1e-4)
    newest = torch.stack(plain.bank)
    torch.testing.assert_close(method.branch.bank.newest().to(newest), newest, rtol=1e-4, atol=1e-5)
    for ours, theirs in (
        (method.branch.encoder, plain.encoder),
        (method.branch.key_encoder.net, plain.key_encoder),
        (method.branch.key_projector.net, plain.key_projector),
    ):
        for key, value in ours.state_dict().items():
            torch.testing.assert_close(value, theirs.state_dict()[key], rtol=1e-4, atol=1e-5)


def test_the_twin_starts_as_the_net_and_only_follows_it() -> None:
    method = make(start="random")
    state = method.state_dict()
    mine = [key for key in state if key.startswith(("branch.encoder.", "branch.projector."))]
    assert mine
    for key in mine:
        assert torch.equal(state[key], state[twin(key)]), key
    method(views(0)).terms["moco"].backward()
    for key, p in method.named_parameters():
        assert (p.grad is None) == key.startswith("branch.key_"), key
    assert method.branch.bank.filled == 20


def test_the_key_sees_the_second_view_alone() -> None:
    method = make()
    first, second = views(0)
    contrast = method([first, second]).contrasts[0]
    other = make()([second, first]).contrasts[0]
    torch.testing.assert_close(contrast.query.detach(), other.key)
    torch.testing.assert_close(contrast.key, other.query.detach())


def test_keys_are_stored_after_the_step_and_never_in_eval_mode() -> None:
    method = make()
    method(views(0))
    assert method.branch.bank.filled == 0
    method.after_step()
    method.after_step()
    assert method.branch.bank.filled == 6
    before = copy.deepcopy(method.state_dict())
    method.eval()(views(1))
    method.after_step()
    assert all(
        torch.equal(v, before[k]) for k, v in method.state_dict().items() if torch.is_tensor(v)
    )
    assert method.branch.bank.filled == 6


def test_symmetric_is_the_mean_of_both_directions() -> None:
    """With frozen statistics; both views' keys enter the bank, and both contrasts are published."""
    pair = views(3)
    both, one, other = (make(start="random", symmetric=s).eval() for s in (True, False, False))
    step = both(pair)
    each = [float(m(p).terms["moco"]) for m, p in ((one, pair), (other, pair[::-1]))]
    assert float(step.terms["moco"]) == pytest.approx(sum(each) / 2, rel=1e-5)
    assert len(step.contrasts) == 2
    both = make(symmetric=True)
    both(pair)
    both.after_step()
    assert both.branch.bank.filled == 12


def test_of_a_random_bank_everything_counts_at_once() -> None:
    few, many = make(bank=1, start="random"), make(bank=5000, start="random")
    assert many(views(0)).terms["moco"] > few(views(0)).terms["moco"] + 2
    torch.testing.assert_close(many.branch.bank.stored.norm(dim=1), torch.ones(5000))


def test_embeddings_are_the_query_encoders() -> None:
    method = make().eval()
    batch = views(0)[0]
    torch.testing.assert_close(method.embed(batch), method.branch.encoder(batch).graph)
    with torch.no_grad():
        for p in method.branch.key_encoder.parameters():
            p.zero_()
    torch.testing.assert_close(method.embed(batch), method.branch.encoder(batch).graph)


@pytest.mark.parametrize("stream", ["bone", "motion", "bone-motion", "distances"])
def test_each_stream_shows_the_encoder_something_else(stream: str) -> None:
    joint = trainer()
    other = trainer(method__stream=stream)
    assert other.method.streams == (stream,)
    assert list(other.head.streams) == [stream]
    report = other.train_epoch()
    assert set(report.terms) == {"moco", "halp"}
    step = other.method(next(other._view_batches()))
    assert [c.stream for c in step.contrasts] == [stream]
    assert not torch.equal(other.embed(), joint.embed())


def test_graphs_have_the_stream_of_themselves_only() -> None:
    trainer(skeletons=False).train_epoch()
    with pytest.raises(UserError, match="stream motion: needs skeletons"):
        trainer(skeletons=False, method__stream="motion")


def test_resumes_bit_equal_with_the_head_through_a_file() -> None:
    assert resumes_bit_equal(trainer, 5, 3)[-1].terms["halp"] != 0


def test_before_the_head_starts_both_arms_are_the_same_to_the_bit() -> None:
    halp, moco = trainer(head__start=2), trainer(head=False)
    for epoch in range(3):
        if epoch == 2:
            mine = weights(moco)
            assert all(torch.equal(v, mine[k]) for k, v in weights(halp).items())
        terms = [t.train_epoch().terms for t in (halp, moco)]
        assert (terms[0]["halp"] == 0) == (epoch < 2)
    mine = weights(moco)
    assert any(not torch.equal(v, mine[k]) for k, v in weights(halp).items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_is_taken_in_float32(precision: str) -> None:
    train = trainer(train__precision=precision)
    train.train_epoch()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        step = train.method(next(train._view_batches()))
    assert step.terms["moco"].dtype == torch.float32
    assert step.contrasts[0].query.dtype == torch.float32
    assert train.method.branch.bank.keys.dtype == torch.float32


def test_refuses_wrong_settings_and_a_single_view() -> None:
    with pytest.raises(UserError, match="needs 2 views, got 1"):
        make()(views(0)[:1])
    for settings, where in (
        ({"stream": "joints"}, r"method\.stream"),
        ({"temperature": 0}, r"method\.temperature"),
        ({"momentum": 1.0}, r"method\.momentum"),
        ({"bank": 0}, r"method\.bank"),
        ({"start": "full"}, r"method\.start"),
    ):
        with pytest.raises(UserError, match=where):
            make(**settings)
