"""Batch norm, a residual connection and ReLU at once, against PyTorch's own in double precision."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from halpgraph.encoders._norm_relu import at_once, loops, norm_relu

pytestmark = pytest.mark.skipif(loops() is None, reason="no C compiler here")


def norm_of(channels: int, seed: int) -> nn.BatchNorm2d:
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, -1, 2)
    nn.init.normal_(norm.bias)
    return norm


def by_pytorch(norm: nn.BatchNorm2d, x: Tensor, offset: Tensor) -> Tensor:
    """Shapes: x [V, n, C], offset [V or 1, C] -> [V, n, C]."""
    rows = (x + offset[:, None]).flatten(0, 1)
    return norm(rows[..., None, None])[..., 0, 0].view_as(x)


def problem(
    joints: int, rows: int, channels: int, kind: str, far: float
) -> tuple[list[Tensor], list[Any]]:
    torch.manual_seed(joints + rows + channels)
    x, residual = 3 * torch.randn(2, joints, rows, channels) + far
    given = [x, torch.randn(joints, channels)]
    norms: list[Any] = [norm_of(channels, 1)]
    if kind != "none":
        given.append(residual)
    if kind == "norm":
        given.append(torch.randn(1, channels))
        norms.append(norm_of(channels, 2))
    return given, norms


@pytest.mark.parametrize("kind", ["none", "plain", "norm"])
@pytest.mark.parametrize(
    ("joints", "rows", "channels", "far"),
    [
        (4, 150, 16, 0),
        (3, 64, 5, 0),
        (2, 70, 40, 1000),
        (1, 2, 8, 0),
        (25, 1, 3, -5),
        (5, 129, 1, 0),
    ],
)
def test_values_slopes_and_running_moments(
    joints: int, rows: int, channels: int, far: float, kind: str
) -> None:
    given, norms = problem(joints, rows, channels, kind, far)
    before = [t.clone() for t in given]
    exact = [t.double().requires_grad_() for t in given]
    doubles = [copy.deepcopy(norm).double() for norm in norms]
    ours = [t.requires_grad_() for t in given]
    y = norm_relu(norms[0], ours[0], ours[1], *ours[2:], *norms[1:])
    wanted = by_pytorch(doubles[0], exact[0], exact[1])
    if kind == "plain":
        wanted = wanted + exact[2]
    elif kind == "norm":
        wanted = wanted + by_pytorch(doubles[1], exact[2], exact[3])
    wanted = wanted.relu()
    near = {"rtol": 1e-4, "atol": 2e-5 * max(1, abs(far))}
    torch.testing.assert_close(y.double(), wanted, **near)
    weight = torch.randn(y.shape) * (wanted > 1e-2)  # where both agree that ReLU is open
    (y * weight).sum().backward()
    (wanted * weight).sum().backward()
    scale = float(weight.abs().sum(1).max()) + 1
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=1e-4 * scale)
    for norm, double in zip(norms, doubles, strict=True):
        for (name, a), b in zip(norm.named_parameters(), double.parameters(), strict=True):
            torch.testing.assert_close(
                a.grad.double(), b.grad, rtol=1e-3, atol=1e-4 * scale, msg=name
            )
        for (name, a), b in zip(norm.named_buffers(), double.buffers(), strict=True):
            torch.testing.assert_close(a.to(b.dtype), b, rtol=1e-4, atol=1e-5, msg=name)
    for a, b in zip(given, before, strict=True):
        assert torch.equal(a, b)


def test_maps_that_are_strided_and_slopes_that_are_expanded() -> None:
    (x, offset, residual), (norm,) = problem(3, 20, 12, "plain", 0)
    wide = torch.zeros(3, 20, 24)
    wide[..., ::2] = x
    twin = copy.deepcopy(norm)
    a, b = x.clone().requires_grad_(), wide[..., ::2].requires_grad_()
    first = norm_relu(norm, a, offset, residual)
    second = norm_relu(twin, b, offset, residual)
    assert torch.equal(first, second)
    first.mean().backward()
    second.sum().div(second.numel()).backward()
    torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["none", "plain", "norm"])
def test_what_is_not_finite_is_not_hidden(bad: float, kind: str) -> None:
    given, norms = problem(3, 10, 9, kind, 0)
    given[-1 if kind == "norm" else 0][0, :1] = bad
    y = norm_relu(norms[0], given[0], given[1], *given[2:], *norms[1:])
    assert not bool(torch.isfinite(y).all())


def test_when_it_is_used() -> None:
    x, norm = torch.randn(2, 3, 4, 5), nn.BatchNorm2d(3)
    assert at_once(x, [norm, norm])
    assert not at_once(x.double(), [norm])
    assert not at_once(x[:0], [norm])
    assert not at_once(x, [norm, nn.BatchNorm2d(3).eval()])
    assert not at_once(x, [nn.BatchNorm2d(3, momentum=None)])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not at_once(x, [norm])
    torch.set_num_threads(2)
    try:
        assert not at_once(x, [norm])
    finally:
        torch.set_num_threads(1)


def test_moments_of_no_norm_that_counts() -> None:
    x, offset = torch.randn(2, 9, 4), torch.zeros(1, 4)
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    wanted = by_pytorch(norm, x, offset).relu()
    torch.testing.assert_close(norm_relu(norm, x, offset), wanted, rtol=1e-5, atol=1e-6)
