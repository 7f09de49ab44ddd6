"""ISC: against a plain re-telling with lists and loops, who meets whose keys, what is refused."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
import torch
from resuming import resumes_bit_equal, weights
from small import small_data, small_recipe, small_skeletons
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.contracts import Encoder
from halpgraph.engine import Trainer
from halpgraph.errors import RunError, UserError
from halpgraph.methods.isc import ISC
from halpgraph.pose import with_pose
from halpgraph.streams import derive

CROP = {"name": "crop_resize", "ratio": [0.3, 1], "min_frames": 8}
OWN = {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"}
GRAPH = {"name": "stgcn", "channels": [[6, 2], [10, 2]], "dropout": 0}
IMAGE = {"name": "hcn", "width": 4, "planes": 16, "rows": 1, "dropout": 0}
STORE = small_skeletons(n=12, persons=2).store


def make(*partners: Any, seed: int = 0, own: Mapping[str, Any] = OWN, **settings: Any) -> ISC:
    torch.manual_seed(seed)

    def make_encoder(stream: str = "joint", spec: Mapping[str, Any] | None = None) -> Encoder:
        wired = STORE.inputs("pose", stream)
        encoder: Encoder = registry.encoders.build(own if spec is None else spec, **wired)
        return encoder

    spec = {"name": "isc", "bank": 20, "projection": 8, "momentum": 0.9, **settings}
    spec["partners"] = list(partners) or [GRAPH]
    method: ISC = registry.methods.build(spec, "method", make_encoder=make_encoder)
    return method


def views(i: int) -> list[Batch]:
    """Two noisy copies of the clips."""
    batch, random = STORE.batch(), torch.Generator().manual_seed(i)
    noise = [torch.randn(batch.pose.shape, generator=random) for _ in range(2)]
    return [with_pose(batch, batch.pose + 0.05 * n) for n in noise]


def trainer(head: bool = True, start: int = 0, **changes: Any) -> Trainer:
    method = {"name": "isc", "partners": [GRAPH], "bank": 40, "momentum": 0.9, "projection": 16}
    made = {"encoder": OWN, "method": method, "head__bank": 32, "head__start": start, **changes}
    recipe = small_recipe(**made).model_copy(update={"views": [CROP]})
    return Trainer(small_skeletons().fit_store, recipe.arm("halp" if head else "graphcl"), 0)


class Plain:
    """The same in slow steps: lists for the banks, loops over pairs, clips and parameters."""

    def __init__(self, method: ISC, lr: float) -> None:
        pairs = [(b.encoder, b.projector) for b in method.branches]
        self.nets = [copy.deepcopy(nn.ModuleList(pair)) for pair in pairs]
        self.slow = [copy.deepcopy(net) for net in self.nets]
        self.banks: list[list[Tensor]] = [[] for _ in pairs]
        self.lr = lr

    @staticmethod
    def unit(net: Any, batch: Batch) -> Tensor:
        rows = net[1](net[0](batch).graph)
        return torch.stack([row / row.norm() for row in rows])

    def step(self, first: Batch, second: Batch) -> float:
        queries = [self.unit(net, first) for net in self.nets]
        with torch.no_grad():
            for slow, fast in zip(self.slow, self.nets, strict=True):
                for a, b in zip(slow.parameters(), fast.parameters(), strict=True):
                    a.copy_(0.9 * a + 0.1 * b)
            keys = [self.unit(net, second) for net in self.slow]
        total = torch.zeros((), dtype=torch.double)
        for r, s in permutations(range(len(self.nets)), 2):
            losses = []
            for i in range(len(keys[s])):
                q, k = queries[r][i], keys[s][i]
                others = self.banks[s] or [keys[s][j] for j in range(len(keys[s])) if j != i]
                up = math.e ** (q @ k / 0.07)
                losses.append(-(up / (up + sum(math.e ** (q @ n / 0.07) for n in others))).log())
            total = total + torch.stack(losses).mean()
        parameters = [p for net in self.nets for p in net.parameters()]
        for p, g in zip(parameters, torch.autograd.grad(total, parameters), strict=True):
            p.data -= self.lr * g
        self.banks = [[*bank, *new][-20:] for bank, new in zip(self.banks, keys, strict=True)]
        return float(total.detach())


@pytest.mark.parametrize("partners", [(GRAPH,), (IMAGE,), (GRAPH, IMAGE)])
def test_whole_steps_are_those_of_a_plain_isc(partners: tuple[Any, ...]) -> None:
    """Four steps of 12 keys turn a bank of 20, which 12 does not divide."""
    method = make(*partners).double()
    for branch in method.branches:
        branch.bank.float()  # queries and keys are contrasted in float32
    plain = Plain(method, lr=0.01)
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.01)
    for i in range(4):
        pair = [with_pose(view, view.pose.double()) for view in views(i)]
        loss = method(pair).terms["isc"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
        assert float(loss.detach()) == pytest.approx(plain.step(*pair), rel=1e-4)
    for branch, net, slow, bank in zip(
        method.branches, plain.nets, plain.slow, plain.banks, strict=True
    ):
        newest = torch.stack(bank)
        torch.testing.assert_close(branch.bank.newest().to(newest), newest, rtol=1e-3, atol=1e-4)
        for ours, theirs in (
            (branch.encoder, net[0]),
            (branch.projector, net[1]),
            (branch.key_encoder.net, slow[0]),
            (branch.key_projector.net, slow[1]),
        ):
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_every_query_meets_the_keys_of_every_other_encoder_and_never_its_own() -> None:
    method = make(GRAPH, IMAGE)
    step = method(views(0))
    method.after_step()
    assert method.streams == ("bigru", "stgcn", "hcn")
    queries = {c.stream: c.query for c in step.contrasts}
    keys = [branch.bank.newest() for branch in method.branches]  # what each twin has just made
    found = [
        (c.stream, method.streams[i])
        for c in step.contrasts
        for i, key in enumerate(keys)
        if torch.equal(c.key, key)
    ]
    assert found == list(permutations(method.streams, 2))
    assert all(torch.equal(c.query, queries[c.stream]) for c in step.contrasts)
    assert all(c.query.requires_grad and not c.key.requires_grad for c in step.contrasts)
    assert {c.temperature for c in step.contrasts} == {0.07}


def test_negatives_are_the_partners_bank() -> None:
    """Of a pair in eval mode: another bank changes the other encoder's gradient, not its own."""
    method = make(GRAPH, start="random").eval()

    def gradients() -> list[Tensor]:
        method.zero_grad()
        method(views(1)).terms["isc"].backward()
        return [branch.projector[2].weight.grad.clone() for branch in method.branches]

    before = gradients()
    method.branches[0].bank.push(nn.functional.normalize(torch.randn(20, 8), dim=1))
    after = gradients()
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_each_encoder_runs_once_with_and_once_without_gradient() -> None:
    method, calls = make(GRAPH, IMAGE), []
    for i, branch in enumerate(method.branches):
        for net, kind in ((branch.encoder, "query"), (branch.key_encoder.net, "key")):
            net.register_forward_hook(
                lambda *_, at=(i, kind): calls.append((*at, torch.is_grad_enabled()))
            )
    method(views(0))
    wanted = [(i, kind, kind == "query") for kind in ("query", "key") for i in range(3)]
    assert sorted(calls) == sorted(wanted)


def test_gradients_reach_everything_but_the_twins() -> None:
    method = make(GRAPH, IMAGE)
    method(views(0)).terms["isc"].backward()
    for key, p in method.named_parameters():
        assert (p.grad is None) == (".key_" in key), key


def test_keys_are_stored_after_the_step_and_never_in_eval_mode() -> None:
    method = make()
    method(views(0))
    assert [b.bank.filled for b in method.branches] == [0, 0]
    method.after_step()
    method.after_step()
    assert [b.bank.filled for b in method.branches] == [12, 12]
    method.eval()(views(1))
    method.after_step()
    assert [b.bank.filled for b in method.branches] == [12, 12]
    assert [b.bank.filled for b in make(start="random").branches] == [20, 20]


@pytest.mark.parametrize("stream", ["joint", "motion"])
def test_embeddings_lie_side_by_side_and_parts_tell_whose_they_are(stream: str) -> None:
    method = make(GRAPH, IMAGE, stream=stream).eval()
    assert method.parts == {"bigru": 16, "stgcn": 10, "hcn": 16}
    batch = views(0)[0]
    z = method.embed(batch)
    assert z.shape == (12, 42)
    shown = derive(batch, stream)
    for part, branch in zip(z.split(list(method.parts.values()), 1), method.branches, strict=True):
        torch.testing.assert_close(part, branch.encoder(shown).graph)


def test_a_second_encoder_of_a_name_is_counted() -> None:
    other = {**GRAPH, "adaptive": True}
    assert make(GRAPH, other, own={**OWN, "hidden": 4}).streams == ("bigru", "stgcn", "stgcn-2")
    assert make({**OWN, "hidden": 4}).streams == ("bigru", "bigru-2")


def test_the_stream_is_derived_once_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(batch: Batch, stream: str) -> Batch:
        seen.append(stream)
        return derive(batch, stream)

    monkeypatch.setattr("halpgraph.methods._branch.derive", counted)
    make(GRAPH, IMAGE, stream="bone")(views(0))
    assert seen == ["bone", "bone"]


def test_the_head_has_a_bank_of_the_partners_keys_for_each() -> None:
    train = trainer()
    assert list(train.head.streams) == ["bigru", "stgcn"]
    step = train.method(next(train._view_batches()))
    train.head(step.contrasts, 0)
    for contrast in step.contrasts:
        torch.testing.assert_close(
            train.head.streams[contrast.stream].bank.newest(16), contrast.key
        )


def test_resumes_bit_equal_with_the_head_through_a_file() -> None:
    partners = [{**GRAPH, "dropout": 0.3}, {**IMAGE, "dropout": 0.3}]
    reports = resumes_bit_equal(lambda: trainer(method__partners=partners), 5, 3)
    assert reports[-1].terms["halp"] != 0


def test_before_the_head_starts_both_arms_are_the_same_to_the_bit() -> None:
    halp, alone = trainer(start=1), trainer(head=False)
    for epoch in range(3):
        terms = [t.train_epoch().terms for t in (halp, alone)]
        assert (terms[0]["halp"] == 0) == (epoch < 1)
        mine = weights(alone)
        assert all(torch.equal(v, mine[k]) for k, v in weights(halp).items()) == (epoch < 1)


def test_a_checkpoint_of_another_stream_or_partner_is_refused() -> None:
    joint = trainer()
    with pytest.raises(RunError, match="trained on stream joint, the recipe says motion"):
        trainer(method__stream="motion").load_state(joint.state())
    with pytest.raises(RunError, match="trained on stream bigru, stgcn, the recipe says"):
        trainer(method__partners=[IMAGE]).load_state(joint.state())


def test_the_loss_is_taken_in_float32() -> None:
    train = trainer(train__precision="bfloat16")
    train.train_epoch()
    with torch.autocast("cpu", torch.bfloat16):
        step = train.method(next(train._view_batches()))
    assert step.terms["isc"].dtype == torch.float32
    assert {c.query.dtype for c in step.contrasts} == {torch.float32}


def test_one_encoder_is_refused_however_it_is_written() -> None:
    """With its defaults left out, or written out: it is the same encoder."""
    with pytest.raises(UserError, match=r"method\.partners\.1: is the recipe's encoder itself; .*"):
        trainer(method__partners=[GRAPH, {**OWN, "mode": "causal_pair"}])
    trainer(method__partners=[{**OWN, "mode": "bidirectional"}])


def test_refuses_graphs_wrong_settings_and_a_single_view() -> None:
    recipe = small_recipe(method={"name": "isc", "partners": [GRAPH]})
    with pytest.raises(UserError, match=r"method isc: .*these graphs have no poses; use graphcl"):
        Trainer(small_data().store, recipe.arm("graphcl"), 0)
    with pytest.raises(UserError, match="needs 2 views, got 1"):
        make()(views(0)[:1])
    for settings in ({"stream": "joints"}, {"temperature": 0}, {"momentum": 1.0}, {"bank": 0}):
        with pytest.raises(UserError, match=rf"method\.{next(iter(settings))}"):
            make(**settings)
