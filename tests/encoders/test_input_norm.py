"""Batch norm of frames: over each channel of each joint, or over each channel of all joints."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_skeletons
from torch import Tensor

from halpgraph import registry
from halpgraph.encoders._input_norm import frame_norm
from halpgraph.errors import UserError
from halpgraph.layout import get_layout

WIDE, STILL = 4, 9  # joints of ``moving``


def moving() -> Tensor:
    """Frames in which one joint moves a hundred times as far as another. Shapes: [N, C, V]."""
    frames = torch.randn(500, 3, 20, generator=torch.Generator().manual_seed(0)).double()
    frames[:, :, WIDE] *= 10
    frames[:, :, STILL] *= 0.1
    frames += torch.linspace(-3, 3, 20)  # what a joint always shows
    return frames


@pytest.mark.parametrize("over", ["joints", "channels"])
def test_equals_the_formula_and_keeps_what_it_should(over: Any) -> None:
    frames, norm = moving(), frame_norm(over, 3, 20).double()
    for parameter in norm.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 2)
    weight, bias = (p.detach() for p in norm.parameters())
    found, wanted = norm(frames).detach(), torch.empty_like(frames)
    for channel in range(3):
        centred = [
            frames[:, channel, joint] - frames[:, channel, joint].mean() for joint in range(20)
        ]
        together = sum(float(one.square().mean()) for one in centred) / 20
        for joint, one in enumerate(centred):
            alone, k = float(one.square().mean()), channel * 20 + joint
            size, k = (alone, k) if over == "joints" else (together, channel)
            wanted[:, channel, joint] = one / (size + 1e-5) ** 0.5 * weight[k] + bias[k]
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    plain = frame_norm(over, 3, 20).double()(frames).detach()
    ratio = float(plain[:, 0, WIDE].std() / plain[:, 0, STILL].std())
    assert ratio == pytest.approx(1 if over == "joints" else 100, rel=0.15)


@pytest.mark.parametrize("over", ["joints", "channels"])
def test_an_encoder_at_rest_uses_running_figures(over: Any) -> None:
    frames, norm = moving(), frame_norm(over, 3, 20).double()
    untouched = norm.eval()(frames)
    torch.testing.assert_close(untouched, frames, rtol=1e-4, atol=1e-4)  # 0 and 1 to begin with
    norm.train()
    for _ in range(200):
        seen = norm(frames)
    torch.testing.assert_close(norm.eval()(frames), seen, rtol=0.01, atol=0.01)
    one_clip = norm(frames[:1])
    torch.testing.assert_close(one_clip, norm(frames)[:1])


@pytest.mark.parametrize("name", ["bigru", "stgcn"])
@pytest.mark.parametrize("over", ["joints", "channels", "none"])
def test_encoders_scale_each_person_and_channel_as_told(name: str, over: str) -> None:
    batch = small_skeletons(n=9, persons=2).store.batch()
    wired = {"in_channels": 3, "layout": get_layout("kinect20"), "persons": 2}
    sizes = {"bigru": {"hidden": 8}, "stgcn": {"channels": [[8, 1], [8, 2]], "dropout": 0}}
    spec = {"name": name, "input_norm": over, **sizes[name]}
    encoder = registry.encoders.build(spec, "encoder", **wired)
    slots = 2 if name == "bigru" else 1  # a person's own in a frame's vector; or body by body
    count = {"joints": slots * 60, "channels": slots * 3, "none": 0}[over]
    assert sum(p.numel() for p in encoder.norm.parameters()) == 2 * count
    first = encoder.train()(batch).graph
    larger = batch.clone()
    larger.pose = 7 * batch.pose
    if name == "bigru" or over != "none":  # ST-GCN has batch norm further on
        same = torch.allclose(first, encoder(larger).graph, atol=1e-3)
        assert same == (over != "none")
    uneven = batch.clone()
    uneven.pose = batch.pose * torch.linspace(0.2, 5, 20)  # a factor a joint
    same = torch.allclose(first, encoder(uneven).graph, atol=1e-2)
    assert same == (over == "joints")


def test_former_answers_and_wrong_ones() -> None:
    former = [
        registry.encoders.settings({"name": "bigru", "input_norm": x}, "e") for x in (True, False)
    ]
    assert [one["input_norm"] for one in former] == ["joints", "none"]
    assert isinstance(frame_norm("none", 3, 20), torch.nn.Identity)
    with pytest.raises(UserError, match=r"encoder\.input_norm: .*'joints', 'channels' or 'none'"):
        registry.encoders.settings({"name": "stgcn", "input_norm": "joint"}, "encoder")
