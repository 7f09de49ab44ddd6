"""The cells of a layer, stepped side by side, against PyTorch's own GRU cells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from halpgraph import cell_steps
from halpgraph import cells as module
from halpgraph.cells import Cells, cells_suit, whole

apart = pytest.mark.parametrize("cached", [0, 1 << 30])  # cells one by one, or both at once
stretched = pytest.mark.parametrize("stretch", [1, 2000, 1 << 30])  # bytes: 1, 2 or all frames


def example(
    frames: int = 5, clips: int = 3, width: int = 4, hidden: int = 5, many: int = 2
) -> list[Tensor]:
    random = torch.Generator().manual_seed(3)
    gates = 3 * hidden
    of_cells = [(many, gates, width), (many, gates, hidden), (many, gates), (many, gates)]
    shapes = [(frames, clips, width), *of_cells]
    made = [torch.randn(s, generator=random, dtype=torch.float64) for s in shapes]
    return [t.requires_grad_() for t in made]


def same(ours: Tensor, theirs: Tensor, inputs: list[Tensor]) -> None:
    """Compare outputs, and slopes of all inputs."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1)).double()
    mine = torch.autograd.grad((ours * weight).sum(), inputs)
    wanted = torch.autograd.grad((theirs * weight).sum(), inputs)
    for a, b in zip(mine, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def cells(x: Tensor, *weights: Tensor) -> Tensor:
    zero = x.new_zeros(1, x.size(1), weights[1].size(2))
    sides = [[w[c] for w in weights] for c in range(len(weights[0]))]
    outs = [torch.gru(x, zero, side, True, 1, 0.0, True, False, False)[0] for side in sides]
    return torch.cat(outs, 2)


@apart
@stretched
@pytest.mark.parametrize("many", [1, 2, 3])
@pytest.mark.parametrize(("frames", "clips"), [(5, 3), (1, 1), (2, 1)])
def test_outputs_and_slopes_are_those_of_single_cells(
    monkeypatch: Any, cached: int, stretch: int, frames: int, clips: int, many: int
) -> None:
    monkeypatch.setattr(module, "CACHED", cached)
    monkeypatch.setattr(module, "STRETCH", stretch)
    inputs = example(frames, clips, many=many)
    ours, theirs = Cells.apply(*inputs), cells(*inputs)
    same(ours, theirs, inputs)


@apart
@stretched
@pytest.mark.parametrize("many", [1, 2])
def test_one_frame_read_again_and_again(
    monkeypatch: Any, cached: int, stretch: int, many: int
) -> None:
    monkeypatch.setattr(module, "CACHED", cached)
    monkeypatch.setattr(module, "STRETCH", stretch)
    inputs = example(1, 3, many=many)
    ours = Cells.apply(*inputs, 5)
    theirs = cells(inputs[0].expand(5, -1, -1), *inputs[1:])
    same(ours, theirs, inputs)


@apart
@stretched
@pytest.mark.parametrize("frames", [None, 6])
def test_no_slopes_go_to_clips_that_are_data(
    monkeypatch: Any, cached: int, stretch: int, frames: int | None
) -> None:
    monkeypatch.setattr(module, "CACHED", cached)
    monkeypatch.setattr(module, "STRETCH", stretch)
    data, *others = example(1 if frames else 5)
    wanted, found = (
        torch.autograd.grad((Cells.apply(data, *others, frames, given) ** 2).sum(), [data, *others])
        for given in (0, 2)
    )
    assert not found[0][:, :2].any()
    torch.testing.assert_close(found[0][:, 2:], wanted[0][:, 2:], rtol=1e-10, atol=1e-12)
    for a, b in zip(found[1:], wanted[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("frames", [None, 6])
def test_a_gru_of_any_layers_as_a_whole(layers: int, frames: int | None) -> None:
    torch.manual_seed(0)
    gru = torch.nn.GRU(4, 5, layers)
    x = torch.randn(1 if frames else 6, 3, 4, requires_grad=True)
    wanted = gru(x.expand(6, -1, -1))[0]
    found = whole(gru, x, frames)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(whole(gru, x, frames), wanted, atol=1e-6, rtol=1e-5)
    inputs = [x, *gru.parameters()]
    slopes = (torch.autograd.grad((out**2).sum(), inputs) for out in (found, wanted))
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_weights_that_stand_still_get_no_slopes() -> None:
    inputs = example()
    still = [w.detach() for w in inputs[1:]]
    (mine,) = torch.autograd.grad(Cells.apply(inputs[0], *still).sum(), inputs[0])
    (wanted,) = torch.autograd.grad(cells(*inputs).sum(), inputs[0])
    torch.testing.assert_close(mine, wanted)


@apart
def test_slopes_are_those_of_finite_differences(monkeypatch: Any, cached: int) -> None:
    monkeypatch.setattr(module, "CACHED", cached)
    monkeypatch.setattr(module, "STRETCH", 2000)
    assert torch.autograd.gradcheck(Cells.apply, example())


def test_slopes_can_be_asked_for_twice_and_of_some_inputs_only() -> None:
    inputs = example()
    out = Cells.apply(inputs[0].detach(), *inputs[1:]).sum()
    first = torch.autograd.grad(out, inputs[1:], retain_graph=True)
    assert all(map(torch.equal, first, torch.autograd.grad(out, inputs[1:])))


def test_single_precision_far_from_zero() -> None:
    inputs = [8 * t.detach().float() for t in example(40, 6, 9, 16)]
    inputs = [t.requires_grad_() for t in inputs]
    ours, theirs = Cells.apply(*inputs), cells(*inputs)
    assert ours.isfinite().all()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@apart
@stretched
@pytest.mark.parametrize(("hidden", "many"), [(16, 2), (5, 1), (9, 3)])
def test_in_c_or_by_arrays(
    monkeypatch: Any, cached: int, stretch: int, hidden: int, many: int
) -> None:
    if cell_steps.loops(torch.zeros(1)) is None:
        pytest.skip("no C compiler here")
    monkeypatch.setattr(module, "CACHED", cached)
    monkeypatch.setattr(module, "STRETCH", stretch)
    inputs = [t.detach().float().requires_grad_() for t in example(7, 4, 6, hidden, many)]
    ours = Cells.apply(*inputs)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    mine = torch.autograd.grad((ours * weight).sum(), inputs)
    monkeypatch.setattr(cell_steps, "loops", lambda _: None)
    wanted = Cells.apply(*inputs)
    slopes = torch.autograd.grad((wanted * weight).sum(), inputs)
    for a, b in zip([ours, *mine], [wanted, *slopes], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), -float("nan")])
def test_what_is_no_number_is_not_hidden(bad: float) -> None:
    inputs = [t.detach().float() for t in example(5, 3)]
    inputs[0][2, 1, 0] = bad
    found = Cells.apply(*inputs).isnan().any(2)  # [T, B]
    assert found[2:, 1].all()
    assert found.sum() == 3


def test_where_it_is_used() -> None:
    x, weight = torch.zeros(2, 1, 3), torch.zeros(6, 3)
    assert cells_suit(x, weight)
    assert not cells_suit(x.double(), weight)
    assert not cells_suit(x[:, :0], weight)
    assert not cells_suit(x.bfloat16(), weight.bfloat16())
    with torch.no_grad():
        assert not cells_suit(x, weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not cells_suit(x, weight)
