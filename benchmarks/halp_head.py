"""What the HaLP head costs: inner products against written-out points, and k-means against others.

Prints a Markdown table; every ratio is of two CPU times of one run, on one thread::

    python benchmarks/halp_head.py --batch 128 --positives 100
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


def clouds(count: int, dim: int, groups: int = 20, seed: int = 0) -> Tensor:
    """Return unit vectors around random directions, as keys are."""
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(groups, dim, generator=g)[torch.randint(groups, (count,), generator=g)]
    return F.normalize(centres + torch.randn(count, dim, generator=g), dim=1)


def written_out(query: Tensor, key: Tensor, prototypes: Tensor, positives: int) -> Tensor:
    """Return the loss from the points themselves, [B, G, D] of them."""
    points, _, _ = hallucinate(key, prototypes, positives, 0.8, generator=seeded())
    keep = rank_filter(points, key, prototypes)
    return -(torch.einsum("bgd,bd->bg", points, query) * keep).sum() / keep.sum()


def inner_products(query: Tensor, key: Tensor, prototypes: Tensor, positives: int) -> Tensor:
    """Return the same loss from inner products."""
    walk = walks(key @ prototypes.T, prototypes @ prototypes.T)
    made = place(walk, positives, 0.8, seeded())
    keep = kept("rank", walk, made).float()
    own, W = weights(walk, made, keep[None])
    return -(query * (own[0] * key + W[0] @ prototypes)).sum() / keep.sum()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def numpy_kmeans(x: np.ndarray, k: int, seed: int, turns: int = 20) -> float:
    """Spherical k-means as one would write it in NumPy; returns the mean cosine."""
    rng = np.random.default_rng(seed)
    centres = x[rng.integers(len(x), size=1)]
    while len(centres) < k:
        away = np.maximum(1 - (x @ centres.T).max(axis=1), 0).astype(float)
        centres = np.concatenate([centres, x[rng.choice(len(x), p=away / away.sum())][None]])
    for _ in range(turns):
        labels = (x @ centres.T).argmax(axis=1)
        sums = np.stack([x[labels == j].sum(axis=0) for j in range(k)])
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        new = np.where(length > 0, sums / np.maximum(length, 1e-12), centres)
        if np.allclose(new, centres):
            break
        centres = new
    return float((x @ centres.T).max(axis=1).mean())


def geomstats_kmeans(x: np.ndarray, k: int, seed: int) -> float:
    """Riemannian k-means of Geomstats, the published code's choice; returns the mean cosine."""
    from geomstats.geometry.hypersphere import Hypersphere  # type: ignore[import-not-found]
    from geomstats.learning.kmeans import RiemannianKMeans  # type: ignore[import-not-found]

    np.random.seed(seed)
    sphere = Hypersphere(x.shape[1] - 1)
    found = RiemannianKMeans(sphere, n_clusters=k, init="kmeans++", tol=1e-3)
    found.fit(x.astype(float))
    return float((x @ np.asarray(found.cluster_centers_).T).max(axis=1).mean())


def compare_forms(batch: int, dim: int, prototypes: int, positives: int, repeats: int) -> None:
    key = clouds(batch, dim)
    centres = spherical_kmeans(clouds(256, dim), prototypes, seeded()).centres
    query = F.normalize(key + 0.1 * clouds(batch, dim, seed=1), dim=1).requires_grad_()
    forms = {"points written out": written_out, "inner products": inner_products}
    results = {}
    for name, form in forms.items():

        def work(form: Callable[..., Tensor] = form) -> Tensor:
            (slope,) = torch.autograd.grad(form(query, key, centres, positives), query)
            return slope

        results[name] = (cpu_ms(work, repeats), peak_mb(work), work())
    plain, fast = results.values()
    same = float((plain[2] - fast[2]).abs().max() / plain[2].abs().max())
    walk = walks(key @ centres.T, centres @ centres.T)
    by_angle = kept("rank", walk, place(walk, positives, 0.8, seeded()))
    points, _, _ = hallucinate(key, centres, positives, 0.8, generator=seeded())
    differ = int((by_angle != rank_filter(points, key, centres)).sum())
    print("\n| loss, forward + backward | CPU ms | peak MB |\n|---|---:|---:|")
    for name, (ms, mb, _) in results.items():
        print(f"| {name} | {ms:.2f} | {mb:.2f} |")
    print(f"| ratio | {plain[0] / fast[0]:.1f}x | {plain[1] / fast[1]:.1f}x |")
    print(
        f"\nGradients differ by {same:.1e} of the largest; rank decisions that differ: {differ} of "
        f"{by_angle.numel()}; kept {float(by_angle.float().mean()):.3f}."
    )


def whole_head(batch: int, dim: int, prototypes: int, positives: int, repeats: int) -> None:
    print("\n| the head, a step (forward + backward, diagnostics) | CPU ms |\n|---|---:|")
    keys = [clouds(batch, dim, seed=s) for s in range(5)]
    for bank, refresh in ((256, 5), (0, 1), (0, 5)):
        halp = HaLP(dim, prototypes, positives, bank=bank, refresh=refresh, generator=seeded())

        def five(halp: HaLP = halp) -> None:
            for key in keys:
                halp((key + 0.1).requires_grad_(), key).backward()

        print(f"| bank={bank}, refresh={refresh} | {cpu_ms(five, repeats // 5) / 5:.2f} |")


def compare_kmeans(dim: int, prototypes: int, repeats: int) -> None:
    print("\n| k-means | keys | CPU ms | mean cosine |\n|---|---:|---:|---:|")
    for many in (128, 256, 1024):
        x = clouds(many, dim, groups=40)
        plain = x.numpy()
        ours = np.mean(
            [
                float(spherical_kmeans(x, prototypes, torch.Generator().manual_seed(s))[2])
                for s in range(20)
            ]
        )
        theirs = np.mean([numpy_kmeans(plain, prototypes, s) for s in range(20)])
        ms = cpu_ms(lambda x=x: spherical_kmeans(x, prototypes), repeats)  # type: ignore[misc]
        print(f"| spherical_kmeans | {many} | {ms:.2f} | {ours:.4f} |")
        other = cpu_ms(lambda x=plain: numpy_kmeans(x, prototypes, 0), repeats // 10)  # type: ignore[misc]
        print(f"| NumPy | {many} | {other:.2f} | {theirs:.4f} |")
        try:
            start = time.process_time()
            cosine = geomstats_kmeans(plain, prototypes, 0)
        except ImportError:
            continue
        print(f"| Geomstats | {many} | {1e3 * (time.process_time() - start):.0f} | {cosine:.4f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--dim", type=int, default=96)
    parser.add_argument("--prototypes", type=int, default=20)
    parser.add_argument("--positives", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=200)
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    print(f"B={parsed.batch} D={parsed.dim} P={parsed.prototypes} G={parsed.positives}, one thread")
    sizes = (parsed.dim, parsed.prototypes)
    compare_forms(parsed.batch, *sizes, parsed.positives, parsed.repeats)
    whole_head(parsed.batch, *sizes, parsed.positives, parsed.repeats)
    compare_kmeans(*sizes, parsed.repeats)


if __name__ == "__main__":
    main()
