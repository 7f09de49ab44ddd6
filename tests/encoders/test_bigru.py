"""BiGRU against the published loop, which feeds one frame at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_skeletons
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.batch import split_batch
from halpgraph.encoders.bigru import BiGRU
from halpgraph.layout import get_layout
from halpgraph.persons import beside


def make(persons: int = 2, **settings: Any) -> BiGRU:
    torch.manual_seed(0)
    wired = {"in_channels": 3, "layout": get_layout("kinect20"), "persons": persons}
    spec = {"name": "bigru", "hidden": 7, **settings}
    encoder: BiGRU = registry.encoders.build(spec, "encoder", **wired)
    return encoder


def example() -> Batch:
    return small_skeletons(n=9, persons=2).store.batch()


def vectors(batch: Batch, persons: int) -> Tensor:
    """Every body's coordinates at its person's place, one by one. Shapes: [T, B, M * C * V]."""
    frames, width = batch.pose.size(1), batch.pose[0, 0].numel()
    out = batch.pose.new_zeros(frames, len(batch.body_ptr) - 1, persons * width)
    for b in range(out.size(1)):
        for row in range(int(batch.body_ptr[b]), int(batch.body_ptr[b + 1])):
            low = int(batch.person[row]) * width
            out[:, b, low : low + width] = batch.pose[row].flatten(1)
    return out


def normed(encoder: BiGRU, batch: Batch) -> Tensor:
    """Frames as published: batch norm of every number of a frame. Shapes: [T, B, M * C * V]."""
    x = vectors(batch, encoder.persons)
    if isinstance(encoder.norm, nn.Identity):
        return x
    return nn.BatchNorm1d.forward(encoder.norm, x.flatten(0, 1)).view_as(x)


def stepped(encoder: BiGRU, batch: Batch) -> Tensor:
    """A bidirectional GRU fed one frame at a time, states carried along. Shapes: [T, B, D]."""
    x = normed(encoder, batch)
    state, out = None, []
    for t in range(len(x)):
        now, state = encoder.gru(x[t : t + 1], state)
        out.append(now)
    return torch.cat(out)


@pytest.mark.parametrize("input_norm", ["joints", "none"])
@pytest.mark.parametrize(("pool", "layers"), [("last", 3), ("mean", 3), ("mean_max", 2)])
def test_causal_pair_equals_the_loop_over_frames(pool: str, layers: int, input_norm: str) -> None:
    batch = example()
    batch.pose = batch.pose.double()
    settings = {"pool": pool, "layers": layers, "input_norm": input_norm}
    ours, theirs = make(**settings).double(), make(**settings).double()
    mine, steps = ours(batch), stepped(theirs, batch)
    pools = {"last": steps[-1], "mean": steps.mean(0)}
    pools["mean_max"] = torch.cat([pools["mean"], steps.max(0).values], dim=1)
    wanted = pools[pool]
    assert mine.graph.size(1) == ours.out_channels
    torch.testing.assert_close(mine.graph, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.read(mine.maps, batch), wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(mine.local, steps.transpose(0, 1), rtol=0, atol=1e-12)
    weight = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1)).double()
    (mine.graph * weight).sum().backward()
    (wanted * weight).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-11, msg=name)


def test_single_precision_is_within_a_hundred_thousandth() -> None:
    encoder, batch = make(hidden=32), example()
    torch.testing.assert_close(encoder(batch).graph, stepped(encoder, batch)[-1], rtol=0, atol=1e-5)


def test_bidirectional_is_what_the_name_says() -> None:
    batch = example()
    encoder = make(mode="bidirectional", pool="mean").eval()
    wanted = encoder.gru(normed(encoder, batch))[0].mean(0)
    torch.testing.assert_close(encoder(batch).graph, wanted)
    causal = make(pool="mean").eval()
    assert not torch.allclose(causal(batch).graph, wanted, atol=1e-3)


@pytest.mark.parametrize("mode", ["causal_pair", "bidirectional"])
def test_every_layer_may_be_read(mode: str) -> None:
    batch, seen = example(), []
    encoder = make(mode=mode, pool="mean_max", concatenate=True, layers=3)
    for depth in (1, 2, 3):
        shallow = make(mode=mode, pool="mean_max", layers=depth)
        kept = encoder.state_dict()
        shallow.load_state_dict({name: kept[name] for name in shallow.state_dict()})
        seen.append(shallow(batch))
    found = encoder(batch)
    means = [one.graph[:, :14] for one in seen]
    highest = [one.graph[:, 14:] for one in seen]
    torch.testing.assert_close(found.graph, torch.cat([*means, *highest], 1))
    torch.testing.assert_close(found.local, seen[-1].local)
    torch.testing.assert_close(encoder.read(found.maps, batch), found.graph)
    assert found.graph.size(1) == encoder.out_channels == 84


@pytest.mark.parametrize(("mode", "sees"), [("causal_pair", False), ("bidirectional", True)])
def test_who_sees_the_future(mode: str, sees: bool) -> None:
    batch, later = example(), example()
    later.pose = later.pose.clone()
    later.pose[:, 10:] += 1
    encoder = make(mode=mode).eval()
    first = slice(0, 10)
    same = torch.allclose(encoder(batch).local[:, first], encoder(later).local[:, first])
    assert same != sees


def test_persons_lie_side_by_side() -> None:
    batch = example()
    assert torch.equal(beside(batch, 2), vectors(batch, 2))
    assert torch.equal(beside(batch, 3), vectors(batch, 3))
    one = small_skeletons(n=4).store.batch()
    assert torch.equal(beside(one, 1), vectors(one, 1))


def test_a_missing_person_is_zeros_and_its_place_matters() -> None:
    batch = split_batch(example(), [1, 2])[0]
    moved = split_batch(example(), [1, 2])[0]
    moved.person = torch.tensor([1])
    encoder = make().eval()
    assert not torch.allclose(encoder(batch).graph, encoder(moved).graph, atol=1e-3)


def test_official_size_and_start() -> None:
    wired = {"in_channels": 3, "layout": get_layout("ntu25"), "persons": 2}
    encoder: BiGRU = registry.encoders.build("bigru", **wired)
    assert sum(p.numel() for p in encoder.gru.parameters()) == 44_998_656
    assert encoder.out_channels == 2048
    for weight in (encoder.gru.weight_ih_l0, encoder.gru.weight_hh_l2_reverse):
        bound = (6 / sum(weight.shape)) ** 0.5
        assert 0.99 * bound < float(weight.detach().abs().max()) <= bound


def test_bfloat16_is_near_and_trains() -> None:
    batch, encoder = example(), make()
    exact = encoder(batch).graph
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = encoder(batch).graph
    torch.testing.assert_close(near.float(), exact, rtol=0.1, atol=0.05)
    near.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())
