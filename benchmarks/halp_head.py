"""What the HaLP head costs: inner products against the published form, which writes points out.

Prints Markdown tables; every ratio is of two CPU times of one run, on one thread::

    python benchmarks/halp_head.py
    python benchmarks/halp_head.py --batch 128 --dim 96 --prototypes 20
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from halpgraph.hallucination import hallucinate, kept, place, rank_filter, walks, weights
from halpgraph.heads._latent import HaLP
from halpgraph.memory import spherical_kmeans

HARDNESS, TEMPERATURE = 0.8, 0.07


def cpu_ms(work: Callable[[], object], repeats: int) -> float:
    """Return the lower quartile of CPU milliseconds a call: other processes disturb it least."""
    for _ in range(repeats // 10 + 1):
        work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * sorted(times)[repeats // 4]


def peak_mb(work: Callable[[], object]) -> float:
    """Return the most memory torch held at once during a call, beyond what it held before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    assert found.profiler is not None
    events = found.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return float(max(np.cumsum([size for _, size in changes]), default=0)) / 2**20


def clouds(count: int, dim: int, groups: int = 20, noise: float = 1.0, seed: int = 0) -> Tensor:
    """Return unit vectors around random directions, as keys are."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(groups, dim, generator=g)[torch.randint(groups, (count,), generator=g)]
    return F.normalize(centres + noise * torch.randn(count, dim, generator=g), dim=1)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


Form = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def as_published(q: Tensor, key: Tensor, P: Tensor, positives: int) -> tuple[Tensor, Tensor]:
    """The released code's steps: prototypes repeated for every positive, points of width D.

    The draws are those of ``place``, made on the device at once; the released code makes them on
    the host, anchor by anchor, which is left out here in its favour.
    """
    B, D = key.shape
    own = (key @ P.T).argmax(1)  # [B]
    drawn = torch.rand(B, positives, generator=seeded()) * (len(P) - 1)  # [B, G]
    target = drawn.long()
    target = (target + (target >= own[:, None])).flatten()  # [B * G]
    start, own = key.repeat_interleave(positives, 0), own.repeat_interleave(positives)
    every = P.repeat(B * positives, 1, 1)  # [B * G, P, D]
    rows = torch.arange(B * positives)
    ps, p0 = every[rows, target], every[rows, own]  # [B * G, D] each
    cos = (start * ps).sum(1).clamp(-1 + 1e-7, 1 - 1e-7)
    w = cos.arccos()
    K = (1 - (ps * p0).sum(1)) / ((start * (p0 - ps)).sum(1) + 1e-8)
    t = (w.sin() / (K + cos + 1e-8)).arctan() / (w + 1e-8) * (1 - HARDNESS * drawn.frac().flatten())
    a, b = ((1 - t) * w).sin() / w.sin(), (t * w).sin() / w.sin()
    points = F.normalize(a[:, None] * start + b[:, None] * ps, dim=1)  # [B * G, D]
    keep = torch.bmm(every, points[:, :, None])[:, :, 0].argmax(1) == own  # [B * G]
    pull = torch.bmm(points.view(B, positives, D), q[:, :, None])[:, :, 0]  # [B, G]
    pull = (pull / TEMPERATURE).exp().log()
    keep = keep.view(B, positives)
    return -(pull * keep).sum() / (keep.sum() + 1e-8), keep


def written_out(q: Tensor, key: Tensor, P: Tensor, positives: int) -> tuple[Tensor, Tensor]:
    """A milder yardstick: points of width D, but no repeated prototypes."""
    points, _, _ = hallucinate(key, P, positives, HARDNESS, generator=seeded())
    keep = rank_filter(points, key, P)
    pull = torch.einsum("bgd,bd->bg", points, q) / TEMPERATURE
    return -(pull * keep).sum() / keep.sum(), keep


def inner_products(q: Tensor, key: Tensor, P: Tensor, positives: int) -> tuple[Tensor, Tensor]:
    """What the head does."""
    walk = walks(key @ P.T, P @ P.T)
    made = place(walk, positives, HARDNESS, seeded())
    keep = kept("rank", walk, made)
    mask = keep.float()
    own, W = weights(walk, made, mask[None])
    return -(q * (own[0] * key + W[0] @ P)).sum() / (TEMPERATURE * mask.sum()), keep


FORMS: dict[str, Form] = {
    "as published": as_published,
    "points written out": written_out,
    "inner products": inner_products,
}


def compare_forms(batch: int, dim: int, prototypes: int, positives: int, repeats: int) -> None:
    print(f"\nB={batch} D={dim} P={prototypes} G={positives}\n")
    key = clouds(batch, dim, 10)
    centres = spherical_kmeans(clouds(256, dim, 10), prototypes, seeded()).centres
    query = F.normalize(key + 0.1 * clouds(batch, dim, seed=1), dim=1).requires_grad_()
    results = {}
    for name, form in FORMS.items():

        def work(form: Form = form) -> Tensor:
            (slope,) = torch.autograd.grad(form(query, key, centres, positives)[0], query)
            return slope

        times = max(repeats // 10, 10) if name == "as published" else repeats
        loss, keep = form(query, key, centres, positives)
        # A gradient along the query itself does nothing once the query is normalised.
        slope = work() - (work() * query).sum(1, keepdim=True) * query
        slope = slope.detach()
        results[name] = (cpu_ms(work, times), peak_mb(work), float(loss.detach()), slope, keep)
    _print_forms(results)


def _print_forms(results: dict[str, tuple[float, float, float, Tensor, Tensor]]) -> None:
    ms, mb, loss, slope, keep = results["inner products"]
    print(
        "| loss, forward + backward | CPU ms | peak MB | time | memory | gradient differs by | "
        "decisions that differ |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, (own_ms, own_mb, _, own_slope, own_keep) in results.items():
        off = float((own_slope - slope).abs().max() / slope.abs().max())
        print(
            f"| {name} | {own_ms:.2f} | {own_mb:.2f} | {own_ms / ms:.1f}x | {own_mb / mb:.1f}x | "
            f"{off:.0e} | {int((own_keep != keep).sum())} of {keep.numel()} |"
        )
    theirs = results["as published"][2]
    share = float(keep.float().mean())
    print(f"\nKept {share:.3f}; loss {loss:.5f}, as published {theirs:.5f}.")


def whole_head(batch: int, dim: int, prototypes: int, positives: int, repeats: int) -> None:
    print("\n| the head, a step (forward + backward, diagnostics) | CPU ms |\n|---|---:|")
    keys = [clouds(batch, dim, seed=s) for s in range(5)]
    for bank, refresh in ((256, 5), (0, 1), (0, 5)):
        halp = HaLP(dim, prototypes, positives, bank=bank, refresh=refresh, generator=seeded())

        def five(halp: HaLP = halp) -> None:
            for key in keys:
                halp((key + 0.1).requires_grad_(), key).backward()

        print(f"| bank={bank}, refresh={refresh} | {cpu_ms(five, repeats // 5) / 5:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--prototypes", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--positives", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=200)
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    for prototypes in parsed.prototypes:
        sizes = (parsed.batch, parsed.dim, prototypes, parsed.positives)
        compare_forms(*sizes, parsed.repeats)
        whole_head(*sizes, parsed.repeats)


if __name__ == "__main__":
    main()
