"""Several batches in one pass against one after another: values, gradients, running statistics."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from test_gin import example, make
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.batch import node_features, slice_batch
from halpgraph.contracts import Encoder, Features
from halpgraph.encoders import gin
from halpgraph.encoders._part_norm import relu_norm
from halpgraph.encoders.gin import GIN

SETTINGS: list[dict[str, Any]] = [
    {},
    {"hidden": 4},
    {"train_eps": True},
    {"readout": "mean", "layers": 1},
    {"readout": "max"},
    {"norm": "none"},
    {"concatenate": False, "input_readout": True},
]


def doubled(batch: Batch) -> Batch:
    batch.x = batch.x.double()
    return batch


def weighted(features: list[Features], local: bool) -> Tensor:
    """Return a random weighting of everything the encoder returned."""
    draw = torch.Generator().manual_seed(3)
    total = torch.zeros((), dtype=torch.double)
    for found in features:
        for rows in (found.graph, found.local)[: 1 + local]:
            total = total + (rows * torch.randn(rows.shape, generator=draw).double()).sum()
    return total


def same(mine: GIN, plain: GIN, batches: list[Batch], local: bool = True) -> None:
    """Compare one pass of one encoder with several of its twin."""
    joint, apart = mine.encode(batches), Encoder.encode(plain, batches)
    for left, right in zip(joint, apart, strict=True):
        torch.testing.assert_close(left.graph, right.graph)
        torch.testing.assert_close(left.local, right.local)
    weighted(joint, local).backward()
    weighted(apart, local).backward()
    for (name, left), right in zip(mine.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, msg=name)
    for (name, left), right in zip(mine.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(left, right, msg=name)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("kind", ["codes", "dense", "both"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("local", [True, False])
def test_one_pass_is_one_after_another(
    settings: dict[str, Any], kind: str, training: bool, local: bool
) -> None:
    batches = [doubled(example(seed, kind)) for seed in (1, 2, 3)]
    mine = make(batches[0], **settings).double().train(training)
    same(mine, copy.deepcopy(mine), batches, local)


def test_large_batches_go_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [doubled(example(seed)) for seed in (4, 5)]
    mine = make(batches[0]).double()
    nodes = sum(batch.batch.numel() for batch in batches)
    passes: list[int] = []
    encode = mine._encode
    monkeypatch.setattr(mine, "_encode", lambda b, parts: (passes.append(1), encode(b, parts))[1])
    for limit, wanted in ((nodes * 32, 1), (nodes * 32 - 1, 2)):
        monkeypatch.setattr(gin, "JOINT_VALUES", limit)
        passes.clear()
        mine.encode(batches)
        assert len(passes) == wanted


def test_gradients_reach_dense_features_of_every_part() -> None:
    batches = [doubled(example(seed, "dense")) for seed in (6, 7)]
    encoder = make(batches[0]).double()
    gradients = []
    for encode in (encoder.encode, lambda views: Encoder.encode(encoder, views)):
        leaves = [batch.x.detach().requires_grad_() for batch in batches]
        for batch, leaf in zip(batches, leaves, strict=True):
            batch.x = leaf
        gradients.append(torch.autograd.grad(weighted(encode(batches), True), leaves))
    for left, right in zip(*gradients, strict=True):
        torch.testing.assert_close(left, right)


def test_a_batch_with_features_written_out_goes_by_itself() -> None:
    first, second = doubled(example(8)), doubled(example(9))
    second.x = node_features(second)
    second.codes, second.num_codes = second.codes[:, :0], 0
    mine = make(first).double()
    same(mine, copy.deepcopy(mine), [first, second])


def test_a_part_of_one_node_is_refused_as_batch_norm_does() -> None:
    batch = example(10)
    lone = batch.ptr.diff().tolist().index(1)
    with pytest.raises(ValueError, match="more than 1 value"):
        make(batch).encode([batch, slice_batch(batch, lone, lone + 1)])


def test_in_half_precision_as_one_after_another() -> None:
    batches = [example(11), example(12)]
    mine = make(batches[0])
    with torch.autocast("cpu", torch.bfloat16):
        joint, apart = mine.encode(batches), Encoder.encode(mine, batches)
    for left, right in zip(joint, apart, strict=True):
        torch.testing.assert_close(left.graph.float(), right.graph.float(), rtol=0.05, atol=0.5)


@pytest.mark.parametrize("training", [True, False])
def test_relu_and_norm_of_parts_is_cutting_and_joining_to_the_bit(training: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    values, weight = (torch.randn(23, 5, generator=draw) for _ in range(2))
    parts, norms = [9, 12, 2], [nn.BatchNorm1d(5).train(training) for _ in range(2)]
    found = []
    for norm, joint in zip(norms, (True, False), strict=True):
        leaf = values.clone().requires_grad_()
        if joint:
            out = relu_norm(leaf * 1, norm, parts)
        else:
            out = torch.cat([norm(part.relu()) for part in leaf.split(parts)])
        for _ in range(2):  # two passes before a backward, as in several encodings of a step
            norm(values)
        (out * weight).sum().backward()
        found.append([out, leaf.grad, norm.running_mean, norm.running_var])
        found[-1] += [norm.num_batches_tracked, norm.weight.grad, norm.bias.grad]
    for left, right in zip(*found, strict=True):
        assert isinstance(left, Tensor)
        torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-6)
    assert torch.equal(found[0][0], found[1][0])


def test_relu_and_norm_of_parts_has_the_right_gradient() -> None:
    draw = torch.Generator().manual_seed(1)
    values = torch.randn(9, 3, generator=draw, dtype=torch.double, requires_grad=True)
    norm = nn.BatchNorm1d(3).double()
    assert torch.autograd.gradcheck(lambda h: relu_norm(h * 1, norm, [4, 5]), (values,))
