"""The slopes of weights along time, by products, against autograd's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from halpgraph.encoders import _temporal
from halpgraph.encoders._temporal import Temporal, along_time, of_weights


@pytest.mark.parametrize(
    ("frames", "bodies", "kernel", "stride"),
    [
        (7, 3, 9, 1),
        (8, 3, 9, 2),
        (9, 1, 3, 2),
        (1, 3, 9, 1),
        (1, 3, 9, 2),
        (2, 3, 5, 3),
        (3, 2, 9, 8),
    ],
)
def test_slopes_of_weights(frames: int, bodies: int, kernel: int, stride: int) -> None:
    torch.manual_seed(frames)
    x = torch.randn(6, 4, frames, bodies, dtype=torch.float64)
    weight = torch.randn(5, 4, kernel, 1, dtype=torch.float64, requires_grad=True)
    y = F.conv2d(x, weight, None, (stride, 1), (kernel // 2, 0))
    grad = torch.randn_like(y)
    y.backward(grad)
    found = of_weights(x, grad, kernel, stride, kernel // 2)
    torch.testing.assert_close(found, weight.grad)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_and_its_slopes(stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 4, 10, 2, dtype=torch.float64).to(memory_format=torch.channels_last)
    weight = torch.randn(5, 4, 9, 1, dtype=torch.float64)
    x.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, w: Temporal.apply(a, w, stride, 4), (x, weight))


@pytest.mark.parametrize("many", [1, 1000])
def test_wide_and_narrow_are_the_same(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_temporal, "MANY", many)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    torch.manual_seed(0)
    conv, x = nn.Conv2d(6, 6, (9, 1), (2, 1), (4, 0)).double(), torch.randn(3, 6, 11, 2).double()
    wanted = conv(x)
    found = along_time(conv, x) + conv.bias[:, None, None]
    torch.testing.assert_close(found, wanted)
    slopes = [torch.autograd.grad(y.square().sum(), conv.weight)[0] for y in (found, wanted)]
    torch.testing.assert_close(*slopes)
