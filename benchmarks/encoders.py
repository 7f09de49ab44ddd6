"""Milliseconds of the skeleton encoders: forward and backward, against the published forms.

    python benchmarks/encoders.py

prints Markdown tables of CPU milliseconds on one thread; contenders take turns, medians count.

The BiGRU runs whole sequences; ``loop`` is its published form, a frame at a time. ST-GCN stands
beside its published form (all partitions' convolutions, then one product with the graph), in the
published memory layout and with channels last, and beside its own convolutions alone: the
published spatial, temporal and residual ones, on maps of the right sizes, with nothing between
them. The smaller of their two layouts is what ``ours / convolutions`` divides by. Dropout is off.
Without ``--device cuda`` nothing is asked of a GPU. As in training, the process keeps memory
(``halpgraph.device.keep_memory``), which helps all contenders.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from turns import Work, in_turns

from halpgraph.device import keep_memory
from halpgraph.encoders._partitions import matrices
from halpgraph.encoders.bigru import BiGRU
from halpgraph.encoders.stgcn import PRESETS, STGCN
from halpgraph.layout import get_layout


def medians(work: dict[str, Work], rounds: int, device: str) -> dict[str, float]:
    """Return the median milliseconds of each."""
    return {n: statistics.median(spent) for n, spent in in_turns(work, rounds, device).items()}


def step(forward: Callable[[], Tensor], module: nn.Module) -> Work:
    """Return forward and backward as one piece of work."""

    def both() -> None:
        module.zero_grad()
        loss: Any = forward().float().sum()
        loss.backward()

    return both


def loop(gru: nn.GRU, x: Tensor) -> Tensor:
    """The published form: frame by frame through all layers. Shapes: [T, B, I] -> [T, B, D]."""
    state, out = None, []
    for t in range(len(x)):
        now, state = gru(x[t : t + 1], state)
        out.append(now)
    return torch.cat(out)


def gru_rows(sizes: list[str], frames: int, rounds: int, device: str) -> Iterator[str]:
    """Yield the BiGRU's table."""
    yield "| H | B | loop | ours | loop / ours | largest difference, output | gradient (relative) |"
    yield "|---|---|---|---|---|---|---|"
    for size in sizes:
        hidden, clips = map(int, size.split("x"))
        torch.manual_seed(0)
        encoder = BiGRU(3, get_layout("ntu25"), 2, hidden=hidden).to(device)
        x = torch.randn(frames, clips, encoder.gru.input_size, device=device)
        work = {
            "loop": lambda e=encoder, x=x: loop(e.gru, x)[-1],
            "ours": lambda e=encoder, x=x: e.causal_pair(x)[-1],
        }
        found = {name: measured(forward, encoder) for name, forward in work.items()}
        apart = float((found["loop"][0] - found["ours"][0]).abs().max())
        slopes = zip(found["loop"][1], found["ours"][1], strict=True)
        relative = max(float((a - b).abs().max() / a.abs().max()) for a, b in slopes)
        s = medians({n: step(f, encoder) for n, f in work.items()}, rounds, device)
        cells = [f"{s['loop']:.0f}", f"{s['ours']:.0f}", f"{s['loop'] / s['ours']:.2f}x"]
        yield (
            "| "
            + " | ".join([str(hidden), str(clips), *cells, f"{apart:.0e}", f"{relative:.0e}"])
            + " |"
        )


def measured(forward: Callable[[], Tensor], module: nn.Module) -> tuple[Tensor, list[Tensor]]:
    """Return an output and the gradients it leaves."""
    module.zero_grad()
    out = forward()
    loss: Any = out.sum()
    loss.backward()
    return out.detach(), [p.grad.clone() for p in module.parameters() if p.grad is not None]


def published_block(block: Any, x: Tensor, adjacency: Tensor) -> Tensor:
    """One block in its published form. Shapes: x [R, C, T, V] -> [R, C', T', V]."""
    linear = block.spatial.weights
    y: Tensor = F.conv2d(x, linear.weight[:, :, None, None], linear.bias)
    y = y.view(len(y), len(adjacency), -1, *y.shape[2:])  # [R, K, C', T, V]
    y = torch.einsum("rkctv,kvw->rctw", y, adjacency * block.spatial.importance)
    y = block.norm2(block.temporal(block.norm1(y).relu()))
    out: Tensor = y if block.shortcut is None else y + block.shortcut(x[:, :, :: block.stride])
    return out.relu()


def published(encoder: STGCN, pose: Tensor, layout: torch.memory_format) -> Tensor:
    """The whole encoder in its published form. Shapes: pose [R, T, C, V] -> [R, D]."""
    adjacency = matrices(encoder.layout, "stgcn").to(pose.device)
    x: Tensor = encoder.norm(pose.flatten(2).flatten(0, 1)).view_as(pose)
    x = x.transpose(1, 2).contiguous(memory_format=layout)  # [R, C, T, V]
    for block in encoder.blocks:
        x = published_block(block, x, adjacency)
    return x.mean((2, 3))


def spatial(linear: nn.Linear, x: Tensor) -> Tensor:
    """The spatial convolution of all partitions. Shapes: [R, C, T, V] -> [R, K * C', T, V]."""
    return F.conv2d(x, linear.weight[:, :, None, None], linear.bias)


def convolutions(encoder: STGCN, pose: Tensor, layout: torch.memory_format) -> Work:
    """Return forward and backward of the convolutions alone, each on its own map."""
    calls: list[tuple[Any, Tensor, Tensor]] = []
    blocks: Any = encoder.blocks
    shape = (len(pose), pose.size(2), pose.size(1), pose.size(3))

    def add(call: Any, shape: Any, first: bool = False) -> Any:
        x = torch.randn(shape, device=pose.device).contiguous(memory_format=layout)
        x.requires_grad_(not first)
        slope = torch.ones_like(call(x))
        calls.append((call, x, slope))
        return tuple(slope.shape)

    for i, block in enumerate(blocks):
        w = block.spatial.weights
        add(partial(spatial, w), shape, i == 0)
        out = (shape[0], block.temporal.in_channels, *shape[2:])
        if isinstance(block.shortcut, nn.Sequential):
            fewer = -(-shape[2] // block.stride)
            add(block.shortcut[0], (*shape[:2], fewer, shape[3]))
        shape = add(block.temporal, out)

    def both() -> None:
        encoder.zero_grad()
        for call, x, slope in calls:
            x.grad = None
            call(x).backward(slope)

    return both


def stgcn_work(
    channels: Any, layout: str, bodies: int, frames: int, device: str
) -> dict[str, Work]:
    """Return the contenders of one preset."""
    torch.manual_seed(0)
    encoder = STGCN(3, get_layout(layout), channels=channels, dropout=0).to(device)
    pose = torch.randn(bodies, frames, 3, encoder.layout.num_joints, device=device)
    planes, last = torch.contiguous_format, torch.channels_last

    def ours(half: bool = False) -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            return encoder.blocks_of(pose).mean((0, 2)).t()

    return {
        "published": step(lambda: published(encoder, pose, planes), encoder),
        "published, channels last": step(lambda: published(encoder, pose, last), encoder),
        "ours": step(ours, encoder),
        "convolutions": convolutions(encoder, pose, planes),
        "convolutions, channels last": convolutions(encoder, pose, last),
        "ours, bfloat16": step(lambda: ours(True), encoder),
    }


def stgcn_rows(options: argparse.Namespace) -> Iterator[str]:
    """Yield ST-GCN's table."""
    first = True
    for channels in options.channels:
        for layout in options.layouts:
            size = (channels, layout, options.bodies, options.frames, options.device)
            work = stgcn_work(*size)
            half = {"ours, bfloat16": work.pop("ours, bfloat16")}
            s = medians(work, options.rounds, options.device)
            s |= medians(half, options.half_rounds, options.device) if options.half_rounds else {}
            if first:
                heads = ["preset", "V", *s, "published / ours", "ours / convolutions"]
                yield "| " + " | ".join(heads) + " |"
                yield "|---" * len(heads) + "|"
                first = False
            alone = min(s["convolutions"], s["convolutions, channels last"])
            cells = [
                channels,
                str(get_layout(layout).num_joints),
                *(f"{v:.0f}" for v in s.values()),
            ]
            cells += [f"{s['published'] / s['ours']:.2f}x", f"{s['ours'] / alone:.2f}"]
            yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the skeleton encoders.")
    parser.add_argument("--gru", nargs="*", default=["128x64", "256x64"], help="hidden x clips")
    parser.add_argument("--gru-frames", type=int, default=64)
    parser.add_argument("--channels", nargs="*", default=["cpu", "/4"], choices=list(PRESETS))
    parser.add_argument("--layouts", nargs="+", default=["kinect20", "ntu25"])
    parser.add_argument("--bodies", type=int, default=64)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--half-rounds", type=int, default=1, help="of bfloat16; 0: none")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()
    if options.gru:
        for row in gru_rows(options.gru, options.gru_frames, options.rounds, options.device):
            print(row, flush=True)
        print()
    for row in stgcn_rows(options):
        print(row, flush=True)


if __name__ == "__main__":
    main()
