"""Dropout: shares, scale, draws that are remembered, and every layout in memory."""

from __future__ import annotations

import pytest
import torch

from halpgraph.encoders._dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1 / 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_share_scale_and_mean(share: float, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    drop = Dropout(share)
    x = torch.ones(8, 16, 32, 31).contiguous(memory_format=layout)
    out = drop(x)
    assert out.is_contiguous(memory_format=layout)
    gone, n = out == 0, x.numel()
    sd = (share * (1 - share) / n) ** 0.5
    assert abs(float(gone.double().mean()) - share) < 5 * sd
    torch.testing.assert_close(
        out[~gone], torch.full_like(out[~gone], 1 / (1 - share)), rtol=1e-3, atol=0
    )
    assert abs(float(out.double().mean()) - 1) < 5 * sd / (1 - share)
    # neighbours in memory are parts of one draw: they must be zeroed independently all the same
    flat = (
        gone.permute(0, 2, 3, 1).reshape(-1, 4).double()
        if layout != torch.contiguous_format
        else gone.view(-1, 4).double()
    )
    together = torch.corrcoef(flat.t()) - torch.eye(4)
    assert float(together.abs().max()) < 5 / (n / 4) ** 0.5


def test_every_use_draws_anew_and_a_copy_goes_on_alike() -> None:
    torch.manual_seed(0)
    first, second = Dropout(0.5), Dropout(0.5)
    x = torch.ones(3, 5, 7, 2)
    second.load_state_dict(first.state_dict())
    a = [first(x) for _ in range(2)]
    assert not torch.equal(*a)
    assert all(torch.equal(one, second(x)) for one in a)
    first.eval()
    assert first(x) is x


def test_planes_gradients_and_extremes() -> None:
    torch.manual_seed(0)
    planes = Dropout(0.5, planes=True)
    out = planes(torch.ones(30, 20, 3, 4))
    assert torch.equal(out, out[:, :, :1, :1].expand_as(out))
    assert 200 < int((out[:, :, 0, 0] == 0).sum()) < 400
    x = torch.randn(4, 5, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, (out != 0) * 2.0)
    nearly = Dropout(1 - 1e-9)(torch.ones(1000))  # below one draw's resolution
    assert torch.isfinite(nearly).all()
    assert Dropout(0.5)(torch.ones(0, 3)).shape == (0, 3)
