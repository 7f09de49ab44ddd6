"""ST-GCN against the published form written out: einsum over partitions, bodies padded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_skeletons
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph import registry
from halpgraph.batch import split_batch
from halpgraph.encoders import _block, _bones
from halpgraph.encoders._block import Block
from halpgraph.encoders._dropout import Dropout
from halpgraph.encoders._partitions import matrices
from halpgraph.encoders.stgcn import STGCN
from halpgraph.errors import UserError
from halpgraph.layout import get_layout
from halpgraph.momentum import Momentum

SMALL = [[6, 1], [6, 1], [10, 2], [10, 1]]


def make(seed: int = 0, **settings: Any) -> STGCN:
    torch.manual_seed(seed)
    wired = {"in_channels": 3, "layout": get_layout("kinect20"), "persons": 2}
    spec = {"name": "stgcn", "channels": SMALL, "dropout": 0, **settings}
    encoder: STGCN = registry.encoders.build(spec, "encoder", **wired)
    for block in encoder.blocks:  # importance that is not one everywhere, links that are not zero
        if settings.get("adaptive"):
            nn.init.uniform_(block.spatial.free, -0.3, 0.3)
        else:
            nn.init.uniform_(block.spatial.importance, 0.5, 1.5)
    return encoder


def example() -> Batch:
    return small_skeletons(n=9, persons=2).store.batch()


def block_written_out(block: Block, x: Tensor, adjacency: Tensor) -> Tensor:
    """One block as published. Shapes: x [R, C, T, V] -> [R, C', T', V]."""
    weight, bias = block.spatial.weights.weight, block.spatial.weights.bias
    y = F.conv2d(x, weight[:, :, None, None], bias)
    y = y.view(x.size(0), len(adjacency), -1, *x.shape[2:])  # [R, K, C', T, V]
    spatial = block.spatial
    adaptive = hasattr(spatial, "free")
    graph = adjacency + spatial.free if adaptive else adjacency * spatial.importance
    y = torch.einsum("nkctv,kvw->nctw", y, graph)
    y = block.norm2(block.temporal(torch.relu(block.norm1(y))))
    return torch.relu(y if block.shortcut is None else y + block.shortcut(x[:, :, :: block.stride]))


def written_out(encoder: STGCN, batch: Batch, strategy: Any, average: bool) -> Tensor:
    """The whole encoder, a loop over clips for the mean over bodies. Shapes: [B, D]."""
    adjacency = matrices(encoder.layout, strategy).to(batch.pose.dtype)
    counts = batch.body_ptr.diff().tolist()
    if average:
        pose = batch.pose.new_zeros(len(counts), 2, *batch.pose.shape[1:])
        for b in range(len(counts)):
            for row in range(int(batch.body_ptr[b]), int(batch.body_ptr[b + 1])):
                pose[b, int(batch.person[row])] = batch.pose[row]
        pose, counts = pose.flatten(0, 1), [2] * len(counts)
    else:
        pose = batch.pose
    flat = pose.permute(0, 2, 3, 1).flatten(1, 2)  # [R, C * V, T]
    x = (
        nn.BatchNorm1d.forward(encoder.norm, flat)
        .view(len(pose), pose.size(2), pose.size(3), -1)
        .transpose(2, 3)
    )
    for block in encoder.blocks:
        x = block_written_out(block, x, adjacency)
    return torch.stack([rows.mean((0, 2, 3)) for rows in x.split(counts)])


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("empty_bodies", ["skip", "average"])
@pytest.mark.parametrize("partition", ["stgcn", "inout", "uniform", "distance"])
def test_equals_the_published_form_in_values_and_gradients(
    partition: str, empty_bodies: str, adaptive: bool
) -> None:
    batch = example()
    batch.pose = batch.pose.double()
    settings = {"partition": partition, "empty_bodies": empty_bodies, "adaptive": adaptive}
    ours, theirs = make(**settings).double(), make(**settings).double()
    mine = ours(batch).graph
    wanted = written_out(theirs, batch, partition, empty_bodies == "average")
    torch.testing.assert_close(mine, wanted, rtol=1e-9, atol=1e-9)
    weight = torch.randn(mine.shape, generator=torch.Generator().manual_seed(1)).double()
    (mine * weight).sum().backward()
    (wanted * weight).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-7, atol=1e-9, msg=name)
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("adaptive", [False, True])
def test_at_once_or_step_by_step(adaptive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms, residuals and ReLU in one, joints where they lie: against arrays, in float32."""
    batch, outs = example(), []
    for fast in (True, False):
        if not fast:
            monkeypatch.setattr(_block, "at_once", lambda *_: False)
            monkeypatch.setattr(_bones, "where_they_lie", lambda *_: False)
        encoder = make(adaptive=adaptive)
        graph = encoder(batch).graph
        weight = torch.randn(graph.shape, generator=torch.Generator().manual_seed(1))
        (graph * weight).sum().backward()
        slopes = {name: p.grad for name, p in encoder.named_parameters()}
        outs.append((graph, slopes, dict(encoder.named_buffers())))
    (graph, slopes, buffers), (wanted, others, stayed) = outs
    torch.testing.assert_close(graph, wanted, rtol=1e-4, atol=1e-5)
    for name, slope in slopes.items():
        torch.testing.assert_close(slope, others[name], rtol=1e-3, atol=1e-3, msg=name)
    for name, value in buffers.items():
        torch.testing.assert_close(value, stayed[name], rtol=1e-4, atol=1e-5, msg=name)


def test_adaptive_links_start_at_nothing_and_reach_beyond_the_bones() -> None:
    wired = {"in_channels": 3, "layout": get_layout("kinect20"), "persons": 2}
    spec = {"name": "stgcn", "channels": SMALL, "dropout": 0}
    plain = registry.encoders.build(spec, **wired)
    free = registry.encoders.build({**spec, "adaptive": True}, **wired)
    known = plain.state_dict()
    for name, value in free.state_dict().items():
        if not name.endswith(".free"):
            value.copy_(known[name])
    batch = example()
    out = free(batch).graph
    torch.testing.assert_close(out, plain(batch).graph, rtol=1e-3, atol=1e-4)
    (out * torch.randn_like(out)).sum().backward()
    apart = matrices(free.layout, "stgcn") == 0
    for block in free.blocks:
        assert float(block.spatial.free.grad[apart].abs().max()) > 0


def test_a_clip_without_a_second_body_is_not_halved_unless_asked() -> None:
    batch = example()
    skip, average = make().eval(), make(empty_bodies="average").eval()
    alone = int((batch.body_ptr.diff() == 1).nonzero()[0])
    both = int((batch.body_ptr.diff() == 2).nonzero()[0])
    a, b = skip(batch).graph, average(batch).graph
    torch.testing.assert_close(a[both], b[both])
    assert not torch.allclose(a[alone], b[alone])


def test_a_second_person_alone_keeps_its_slot() -> None:
    batch = split_batch(example(), [1, 2])[0]
    assert batch.person.tolist() == [0]
    moved = split_batch(example(), [1, 2])[0]
    moved.person = torch.tensor([1])
    for empty_bodies in ("skip", "average"):
        encoder = make(empty_bodies=empty_bodies).eval()
        torch.testing.assert_close(encoder(batch).graph, encoder(moved).graph)


def test_local_are_the_joints() -> None:
    batch, encoder = example(), make().eval()
    out = encoder(batch)
    assert out.local.shape == (batch.num_nodes, 10)
    means = [rows.mean(0) for rows in out.local.split(batch.ptr.diff().tolist())]
    torch.testing.assert_close(out.graph, torch.stack(means))


@pytest.mark.parametrize("empty_bodies", ["skip", "average"])
def test_joints_apart_tell_which_of_them_moved(empty_bodies: str) -> None:
    batch, encoder = example(), make(pool="joints", empty_bodies=empty_bodies).eval()
    out, mean = encoder(batch), make(empty_bodies=empty_bodies).eval()(batch)
    assert encoder.out_channels == out.graph.size(1) == 20 * 10
    apart = out.graph.unflatten(1, (20, 10))  # [B, V, d]
    torch.testing.assert_close(apart.mean(1), mean.graph)
    torch.testing.assert_close(encoder.read(out.maps, batch), out.graph)
    alone = int((batch.body_ptr.diff() == 1).nonzero()[0])
    if empty_bodies == "skip":  # one body: its joints as they are, in the layout's order
        torch.testing.assert_close(apart[alone], out.local[batch.batch == alone])
    # One block without learned links sees neighbours alone: a wrist shows near the wrist.
    encoder = make(pool="joints", channels=[[6, 1]], input_norm="none").eval()
    batch = split_batch(batch, [1, len(batch.ptr) - 2])[0]
    moved, wrist = batch.clone(), encoder.layout.index("left_wrist")
    moved.pose = batch.pose.clone()
    moved.pose[..., wrist] += 1
    far = matrices(encoder.layout, "stgcn").sum(0)[wrist] == 0
    a, b = (encoder(x).graph.unflatten(1, (20, 6))[0] for x in (batch, moved))
    assert torch.equal(a[far], b[far])
    assert not torch.allclose(a[wrist], b[wrist])


@pytest.mark.parametrize(
    ("channels", "count", "width"),
    [("full", 3_083_412, 256), ("/4", 821_380, 256), ("cpu", 268_728, 128)],
)
def test_parameters_of_the_presets(channels: str, count: int, width: int) -> None:
    wired = {"in_channels": 3, "layout": get_layout("ntu25"), "persons": 2}
    encoder = registry.encoders.build({"name": "stgcn", "channels": channels}, **wired)
    assert sum(p.numel() for p in encoder.parameters()) == count
    assert encoder.out_channels == width
    assert encoder.blocks[0].shortcut is None


def test_dropout_is_drawn_from_the_state() -> None:
    batch, encoder = example(), make(dropout=0.5)
    state = encoder.state_dict()
    twin = make(seed=5, dropout=0.5)
    twin.load_state_dict(state)
    first, second = encoder(batch).graph, encoder(batch).graph
    assert not torch.equal(first, second)
    assert torch.equal(twin(batch).graph, first)
    assert torch.equal(twin(batch).graph, second)


def test_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    out = Dropout(0.25)(torch.ones(200, 200))
    assert abs(float((out == 0).float().mean()) - 0.25) < 0.01
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])


@pytest.mark.parametrize("adaptive", [False, True])
def test_bfloat16_is_near_and_trains(adaptive: bool) -> None:
    batch, encoder = example(), make(adaptive=adaptive)
    exact = encoder(batch).graph
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = encoder(batch).graph
    torch.testing.assert_close(near.float(), exact, rtol=0.1, atol=0.05)
    near.float().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_refuses_nonsense() -> None:
    with pytest.raises(UserError, match="odd"):
        make(kernel=4)
    with pytest.raises(UserError, match=r"encoder\.channels"):
        make(channels=[])
    with pytest.raises(UserError, match=r"encoder\.partition"):
        make(partition="spatial")


def test_a_momentum_twin_drops_other_values() -> None:
    encoder = STGCN(3, get_layout("kinect20"), channels=[(8, 1), (8, 1)], dropout=0.5)
    twin = Momentum(encoder)
    batch = small_skeletons().store.batch()
    first = encoder(batch).graph
    assert not torch.equal(twin(batch).graph, first)
    encoder.eval(), twin.eval()
    assert torch.equal(twin(batch).graph, encoder(batch).graph)
