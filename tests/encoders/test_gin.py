"""GIN against PyG's GINConv, and what every encoder of graphs must hold."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small import small_skeletons
from torch import Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.nn import GINConv
from torch_geometric.utils import scatter
from toy import pack, toy_batch

from halpgraph import registry
from halpgraph.batch import node_features, slice_batch, written_out
from halpgraph.encoders.gin import GIN
from halpgraph.errors import UserError


def make(batch: Batch, **settings: Any) -> GIN:
    torch.manual_seed(0)
    wired = {"num_codes": batch.num_codes, "in_channels": batch.x.size(1)}
    encoder: GIN = registry.encoders.build({"name": "gin", **settings}, "encoder", **wired)
    return encoder


def example(seed: int = 0, kind: str = "both") -> Batch:
    """Random graphs with blanks among the codes; codes, dense features, or both."""
    batch = toy_batch(seed, graphs=20)
    batch.codes[::5] = batch.num_codes
    batch.x = torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(seed))
    if kind == "codes":
        batch.x = batch.x[:, :0]
    if kind == "dense":
        batch.codes, batch.num_codes = batch.codes[:, :0], 0
    return batch


class Published(nn.Module):
    """The released GraphCL's encoder, from PyG's parts, with the weights of ours."""

    def __init__(self, ours: GIN, readout: str) -> None:
        super().__init__()
        self.readout = readout
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for layer in ours.layers:
            inner = nn.Linear(layer.inner.in_features, layer.inner.out_features)
            outer = nn.Linear(layer.outer.in_features, layer.outer.out_features)
            conv = GINConv(nn.Sequential(inner, nn.ReLU(), outer), train_eps=True)
            inner.load_state_dict(layer.inner.state_dict())  # after GINConv, which resets them
            outer.load_state_dict(layer.outer.state_dict())
            if layer.eps is not None:
                conv.eps = nn.Parameter(layer.eps.detach().clone().reshape(1))
            self.convs.append(conv)
            batch_norm = isinstance(layer.norm, nn.BatchNorm1d)
            self.norms.append(nn.BatchNorm1d(outer.out_features) if batch_norm else nn.Identity())

    def forward(self, batch: Batch) -> list[Tensor]:
        h, rows = node_features(batch), []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = norm(torch.relu(conv(h, batch.edge_index)))
            rows.append(scatter(h, batch.batch, 0, batch.num_graphs, self.readout))
        return rows


def relative(mine: Tensor, theirs: Tensor) -> float:
    mine, theirs = mine.detach(), theirs.detach()
    return float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1e-3))


@pytest.mark.parametrize("kind", ["codes", "dense", "both"])
@pytest.mark.parametrize("hidden", [4, 32], ids=["sum_after_linear", "sum_before_linear"])
@pytest.mark.parametrize("train_eps", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_equals_pyg_in_values_and_gradients(
    kind: str, hidden: int, train_eps: bool, norm: str
) -> None:
    batch = example(1, kind)
    ours = make(batch, hidden=hidden, train_eps=train_eps, norm=norm).double()
    batch.x = batch.x.double()
    if train_eps:
        for i, layer in enumerate(ours.layers):
            nn.init.constant_(layer.eps, 0.1 * (i + 1))
    theirs = Published(ours, "sum").double()
    mine, wanted = ours(batch).graph, torch.cat(theirs(batch), 1)
    weight = torch.randn(mine.shape, generator=torch.Generator().manual_seed(2)).double()
    (mine * weight).sum().backward()
    (wanted * weight).sum().backward()
    assert relative(mine, wanted) < 1e-9
    for layer, conv, norm_layer in zip(ours.layers, theirs.convs, theirs.norms, strict=True):
        pairs = [(layer.inner, conv.nn[0]), (layer.outer, conv.nn[2])]
        pairs += [(layer.norm, norm_layer)] if norm == "batch" else []
        for left, right in pairs:
            assert relative(left.weight.grad, right.weight.grad) < 1e-9
            assert relative(left.bias.grad, right.bias.grad) < 1e-9
        if train_eps:
            assert relative(layer.eps.grad, conv.eps.grad[0]) < 1e-9
        if norm == "batch":
            assert relative(layer.norm.running_var, norm_layer.running_var) < 1e-9


@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
def test_readouts_in_single_precision_and_evaluation(readout: str) -> None:
    batch = example(3)
    ours = make(batch, readout=readout)
    theirs = Published(ours, readout)
    assert relative(ours(batch).graph, torch.cat(theirs(batch), 1)) < 1e-5
    ours.eval()
    theirs.eval()
    assert relative(ours(batch).graph, torch.cat(theirs(batch), 1)) < 1e-5


def test_last_layer_only_and_input_readout() -> None:
    batch = example(4)
    every = make(batch, input_readout=True)
    width = batch.num_codes + batch.x.size(1)
    graph = every(batch).graph
    assert graph.shape == (20, width + 3 * 32)
    assert every.out_channels == width + 3 * 32
    raw = scatter(node_features(batch), batch.batch, 0, 20, "sum")
    torch.testing.assert_close(graph[:, :width], raw)
    last = make(batch, concatenate=False)
    assert last.out_channels == 32
    torch.testing.assert_close(last(batch).graph, graph[:, -32:])


SETTINGS = [
    {},
    {"readout": "mean", "layers": 1, "hidden": 5},
    {"readout": "max", "norm": "none", "train_eps": True},
    {"concatenate": False, "input_readout": True},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradients_reach_every_parameter(settings: dict[str, Any]) -> None:
    batch = example(5)
    encoder = make(batch, **settings)
    graph = encoder(batch).graph
    (graph * torch.randn_like(graph)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("settings", SETTINGS)
def test_embeddings_of_a_batch_are_those_of_its_graphs(settings: dict[str, Any]) -> None:
    batch = example(6)
    encoder = make(batch, **settings)
    encoder(batch)  # running statistics that are not the initial ones
    encoder.eval()
    together = encoder(batch).graph
    alone = [encoder(slice_batch(batch, i, i + 1)).graph for i in range(20)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_permuting_graphs_permutes_rows() -> None:
    shapes = [
        (3, {(0, 1), (1, 2)}),
        (4, set[tuple[int, int]]()),
        (5, {(0, i) for i in range(1, 5)}),
    ]
    order = [2, 0, 1]
    first, second = pack(shapes, 0), pack([shapes[i] for i in order], 0)
    first.codes, second.codes = first.codes * 0, second.codes * 0
    encoder = make(first)
    rows = encoder(first).graph[order]
    torch.testing.assert_close(rows, encoder(second).graph, rtol=1e-4, atol=1e-4)


def test_isolated_nodes_keep_their_graphs_rows() -> None:
    batch = pack([(1, set()), (2, {(0, 1)}), (1, set())])
    features = make(batch)(batch)
    assert features.graph.shape == (3, 96)
    assert features.local.shape == (4, 32)


def test_deterministic_given_the_seed() -> None:
    batch = example(7)

    def once() -> list[Tensor]:
        encoder = make(batch)
        encoder(batch).graph.pow(2).sum().backward()
        return [p.grad for p in encoder.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(once(), once(), strict=True))


def test_initial_weights_are_the_published_ones() -> None:
    encoder = make(example(0))
    for layer in encoder.layers:
        for linear in (layer.inner, layer.outer):
            bound = (6 / (linear.in_features + linear.out_features)) ** 0.5
            assert linear.weight.abs().max() <= bound
            assert linear.weight.abs().max() > 0.8 * bound
            assert not linear.bias.any()


def test_refuses_what_it_cannot_read() -> None:
    batch = example(0)
    encoder = make(batch)
    with pytest.raises(UserError, match="made for 5 codes and 3 dense"):
        encoder(example(0, "codes"))
    with pytest.raises(UserError, match="rowptr"):
        encoder(Batch(x=batch.x, edge_index=batch.edge_index))
    with pytest.raises(UserError, match=r"data\.features"):
        GIN(num_codes=0, in_channels=0)
    with pytest.raises(UserError, match="did you mean 'hidden'"):
        make(batch, hiden=3)
    with pytest.raises(UserError, match=r"encoder\.layers"):
        make(batch, layers=0)


def test_reads_skeletons_as_graphs_with_a_joints_whole_motion_as_features() -> None:
    store = small_skeletons(n=6, persons=2).store
    batch = store.batch()
    wired = store.inputs("graph")
    assert wired == {"num_codes": 0, "in_channels": 3 * 16}
    torch.manual_seed(0)
    encoder = registry.encoders.build("gin", **wired)
    out = encoder(batch)
    assert out.graph.shape == (6, encoder.out_channels)
    assert len(out.local) == batch.num_nodes
    plain = Batch(x=batch.pose.permute(0, 3, 1, 2).flatten(0, 1).flatten(1))  # [N, T * C]
    for key in ("edge_index", "rowptr", "ptr", "batch", "codes"):
        plain[key] = batch[key]
    plain.num_codes, plain._num_graphs = 0, 6
    assert torch.equal(encoder(plain).graph, out.graph)
    assert torch.equal(encoder(written_out(batch)).graph, out.graph)


@pytest.mark.parametrize("kind", ["both", "codes", "dense"])
@pytest.mark.parametrize("hidden", [3, 16])  # the sum over the input's columns, or the layer's
@pytest.mark.parametrize("eps", [False, True])
def test_edges_count_by_their_weight(kind: str, hidden: int, eps: bool) -> None:
    """Of a batch that weighs them, in every layer; with weights 0 and 1 it is edges left out."""
    batch = example(kind=kind)
    encoder = make(batch, hidden=hidden, train_eps=eps, norm="none").double()
    if eps:
        for layer in encoder.layers:
            layer.eps.data.fill_(0.3)
    batch.x = batch.x.double()
    random = torch.Generator().manual_seed(0)
    half = torch.rand(batch.batch.numel(), batch.batch.numel(), generator=random).double()
    weighed = copy.copy(batch)
    weighed.edge_weight = (half + half.t())[batch.edge_index[0], batch.edge_index[1]]
    matrix = torch.zeros_like(half)
    matrix[batch.edge_index[0], batch.edge_index[1]] = weighed.edge_weight
    h = node_features(batch)
    for layer in encoder.layers:
        own = 1.3 if eps else 1.0
        h = (own * h + matrix @ h) @ layer.inner.weight.t() + layer.inner.bias
        h = layer.outer(h.relu()).relu()
    torch.testing.assert_close(encoder(weighed).local, h)
    weighed.edge_weight = torch.ones_like(weighed.edge_weight)
    torch.testing.assert_close(encoder(weighed).graph, encoder(batch).graph)


def test_batches_that_weigh_edges_are_encoded_apart() -> None:
    batch = example()
    encoder, weighed = make(batch), copy.copy(batch)
    weighed.edge_weight = torch.full((batch.edge_index.size(1),), 0.5)
    together = encoder.encode([batch, weighed])
    apart = [encoder(batch), encoder(weighed)]
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one.graph, other.graph)
    assert not torch.equal(together[0].graph, together[1].graph)
