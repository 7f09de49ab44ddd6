"""Sums over neighbours and graphs against plain dense matrices, values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch
from toy import toy_batch

from halpgraph import ops
from halpgraph.batch import node_features

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return str(request.param)


def dense(batch: Batch) -> Tensor:
    n = batch.x.size(0)
    matrix = torch.zeros(n, n, device=batch.x.device)
    matrix[batch.edge_index[0], batch.edge_index[1]] = 1
    return matrix


def leaf(*shape: int, device: str = "cpu") -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(device)


def same_with_gradient(
    ours: Callable[..., Tensor], plain: Callable[..., Tensor], *leaves: Tensor
) -> None:
    """Compare values and the gradients of a random weighting of them."""
    results = []
    for function in (ours, plain):
        inputs = [x.clone().requires_grad_() for x in leaves]
        out = function(*inputs)
        weight = leaf(*out.shape).to(out.device)
        results.append((out, *torch.autograd.grad((out * weight).sum(), inputs)))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scale", [0.0, 1.0, -0.3])
def test_neighbour_sum_is_the_product_with_the_adjacency_matrix(
    seed: int, scale: float, device: str
) -> None:
    batch = toy_batch(seed).to(device)
    matrix, col = dense(batch), batch.edge_index[1]
    same_with_gradient(
        lambda h: ops.neighbour_sum(h, col, batch.rowptr, scale),
        lambda h: scale * h + matrix @ h,
        leaf(batch.x.size(0), 7, device=device),
    )


@pytest.mark.parametrize("seed", range(5))
def test_neighbour_sum_relu_is_its_parts(seed: int, device: str) -> None:
    batch = toy_batch(seed).to(device)
    matrix, col = dense(batch), batch.edge_index[1]
    same_with_gradient(
        lambda h, b: ops.neighbour_sum_relu(h, b, col, batch.rowptr),
        lambda h, b: torch.relu(h + matrix @ h + b),
        leaf(batch.x.size(0), 7, device=device),
        leaf(7, device=device),
    )


def test_neighbour_sum_takes_strided_values_and_second_derivatives() -> None:
    batch = toy_batch(3)
    wide = leaf(batch.x.size(0), 8).double().requires_grad_()

    def loss(h: Tensor) -> Tensor:
        return ops.neighbour_sum(h[:, ::2], batch.edge_index[1], batch.rowptr).pow(3).sum()

    (gradient,) = torch.autograd.grad(loss(wide), wide, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), wide)
    matrix = dense(batch).double() + torch.eye(batch.x.size(0), dtype=torch.double)
    value = matrix @ wide[:, ::2]
    wanted = matrix @ (6 * value * (matrix @ torch.ones_like(value)))
    torch.testing.assert_close(second[:, ::2], wanted)


def test_neighbour_sum_of_a_batch_without_edges() -> None:
    h = leaf(4, 3)
    none = torch.empty(0, dtype=torch.long)
    out = ops.neighbour_sum(h, none, torch.zeros(5, dtype=torch.long), 2.0)
    assert torch.equal(out, 2 * h)


@pytest.mark.parametrize("columns", [1, 3])
def test_lookup_is_the_product_with_the_one_hot_features(columns: int, device: str) -> None:
    batch = toy_batch(1).to(device)
    draw = torch.Generator().manual_seed(0)
    shape = (batch.x.size(0), columns)
    batch.codes = torch.randint(batch.num_codes + 1, shape, generator=draw).to(device)
    batch.x = batch.x[:, :0]
    hot = node_features(batch)
    same_with_gradient(
        lambda t: ops.lookup(torch.nn.functional.pad(t, (0, 0, 0, 1)), batch.codes),
        lambda t: hot @ t,
        leaf(batch.num_codes, 6, device=device),
    )


def plain_pool(h: Tensor, ptr: Tensor, readout: str) -> Tensor:
    rows = []
    for low, high in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
        piece = h[low:high]
        if low == high:
            rows.append(h.new_zeros(h.size(1)))
        elif readout == "max":
            rows.append(piece.amax(0))
        else:
            rows.append(piece.sum(0) / (high - low if readout == "mean" else 1))
    return torch.stack(rows)


@pytest.mark.parametrize("readout", ["sum", "mean", "max"])
def test_pool_against_a_loop_over_graphs(readout: ops.Readout, device: str) -> None:
    ptr = torch.tensor([0, 0, 4, 5, 5, 11, 11], device=device)  # empty first, amid and last
    graph = torch.repeat_interleave(torch.arange(6, device=device), ptr.diff())
    h = leaf(11, 4, device=device)
    same_with_gradient(
        lambda x: ops.pool(x, ptr, graph, readout), lambda x: plain_pool(x, ptr, readout), h
    )
    assert ops.pool(h, ptr, graph, readout).shape == (6, 4)


def test_max_gives_the_gradient_of_ties_to_one_of_them(device: str) -> None:
    batch = toy_batch(5).to(device)
    h = leaf(batch.x.size(0), 4, device=device).round().requires_grad_()
    out = ops.pool(h, batch.ptr, batch.batch, "max")
    weight = leaf(*out.shape, device=device)
    (out * weight).sum().backward()
    assert torch.equal(ops.pool(h.grad, batch.ptr, batch.batch), weight)
    assert torch.equal(ops.pool((h.grad != 0).float(), batch.ptr, batch.batch), weight != 0)
    assert torch.equal(h[h.grad != 0], out[batch.batch][h.grad != 0])


def test_pool_gives_the_gradient_through_a_slice_of_a_wider_row() -> None:
    batch = toy_batch(2)
    h = leaf(batch.x.size(0), 3).requires_grad_()
    rows = ops.pool(h, batch.ptr, batch.batch)
    weight = leaf(batch.num_graphs, 9)
    (torch.cat([rows, rows.detach(), rows], 1) * weight).sum().backward()
    wanted = (weight[:, :3] + weight[:, 6:])[batch.batch]
    torch.testing.assert_close(h.grad, wanted)


@pytest.mark.skipif(not ops.has_torch_scatter(), reason="torch-scatter is not installed")
def test_max_with_torch_scatter_equals_max_without(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = toy_batch(4)
    h = leaf(batch.x.size(0), 6)  # no ties

    def without(x: Tensor) -> Tensor:
        with monkeypatch.context() as patch:
            patch.setattr(ops, "has_torch_scatter", lambda: False)
            return ops.pool(x, batch.ptr, batch.batch, "max")

    same_with_gradient(lambda x: ops.pool(x, batch.ptr, batch.batch, "max"), without, h)


def test_weighted_sums_and_their_gradients_are_those_of_a_dense_matrix() -> None:
    batch, random = toy_batch(3, 6), torch.Generator().manual_seed(0)
    (source, col), nodes = batch.edge_index, batch.batch.numel()
    half = torch.rand(nodes, nodes, dtype=torch.float64, generator=random)
    weight = (half + half.t())[source, col].requires_grad_()
    h = torch.randn(nodes, 4, dtype=torch.float64, generator=random).requires_grad_()
    out = ops.weighted_sum(h, weight, col, batch.rowptr)
    dense = torch.zeros(nodes, nodes, dtype=torch.float64).index_put((source, col), weight) @ h
    torch.testing.assert_close(out, dense)
    up = torch.randn(out.shape, dtype=torch.float64, generator=random)
    mine, wanted = (torch.autograd.grad(x, (h, weight), up) for x in (out, dense))
    for a, b in zip(mine, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_weights_of_one_and_zero_are_edges_and_none() -> None:
    batch = toy_batch(4, 6)
    col, h = batch.edge_index[1], torch.randn(batch.batch.numel(), 5)
    one = ops.weighted_sum(h, torch.ones(col.numel()), col, batch.rowptr)
    torch.testing.assert_close(one, ops.neighbour_sum(h, col, batch.rowptr, 0.0))
    assert not bool(ops.weighted_sum(h, torch.zeros(col.numel()), col, batch.rowptr).any())
