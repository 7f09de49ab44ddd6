"""Spherical k-means against Geomstats' Riemannian k-means, which the published code uses.

Prints a Markdown table of CPU times on one thread and of mean cosines to the nearest centre::

    python benchmarks/prototypes.py

Geomstats is no dependency. Release 2.5.0 has the interface that the published code calls; put it
in a folder of its own (``pip install --target FOLDER --no-deps geomstats==2.5.0``) and name the
folder in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

import numpy as np
import torch
from halp_head import clouds, cpu_ms
from torch import Tensor

from halpgraph.memory import spherical_kmeans

DATA = {"easy": 0.45, "hard": 2.0}  # noise around 20 directions; see clouds()
KMeans = Callable[[Tensor, int, int], Tensor]  # unit vectors, k, seed -> centres


def objective(x: Tensor, centres: Tensor) -> float:
    """Return the mean cosine to the nearest centre."""
    return float((x.double() @ centres.double().T).amax(1).mean())


def ours(x: Tensor, k: int, seed: int, starts: int = 1) -> Tensor:
    """Return the centres of the best of some starts."""
    g = torch.Generator().manual_seed(seed)
    found = [spherical_kmeans(x, k, g) for _ in range(starts)]
    return max(found, key=lambda f: float(f.objective)).centres


def in_numpy(x: Tensor, k: int, seed: int, turns: int = 20) -> Tensor:
    """Spherical k-means as one would write it in NumPy."""
    points, rng = x.numpy(), np.random.default_rng(seed)
    centres = points[rng.integers(len(points), size=1)]
    while len(centres) < k:
        away = np.maximum(1 - (points @ centres.T).max(axis=1), 0).astype(float)
        more = points[rng.choice(len(points), p=away / away.sum())][None]
        centres = np.concatenate([centres, more])
    for _ in range(turns):
        labels = (points @ centres.T).argmax(axis=1)
        sums = np.stack([points[labels == j].sum(axis=0) for j in range(k)])
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        new = np.where(length > 0, sums / np.maximum(length, 1e-12), centres)
        if np.allclose(new, centres):
            break
        centres = new
    return torch.from_numpy(centres)


def geomstats() -> KMeans | None:
    """Return Geomstats' k-means, called as the published code calls it; None where it is not."""
    if not hasattr(np, "trapz"):  # gone from NumPy 2.4; Geomstats imports it and needs it not here
        np.trapz = np.trapezoid  # type: ignore[attr-defined]
    try:
        from geomstats.geometry.hypersphere import Hypersphere  # type: ignore[import-not-found]
        from geomstats.learning.kmeans import RiemannianKMeans  # type: ignore[import-not-found]
    except ImportError as error:
        print(f"Geomstats is left out, it cannot be imported ({error}); see the head of this file.")
        return None

    def work(x: Tensor, k: int, seed: int) -> Tensor:
        random.seed(seed)
        np.random.seed(seed)
        metric = Hypersphere(dim=x.size(1)).metric
        found = RiemannianKMeans(metric, k, tol=1e-3, init_step_size=1.0, init="kmeans++")
        found.fit(x.numpy())
        return torch.from_numpy(np.asarray(found.centroids))

    return work


def compare(
    kind: str, other: KMeans | None, keys: int, dim: int, k: int, seeds: int, repeats: int
) -> None:
    """Print the rows of one kind of data."""
    sets = [clouds(keys, dim, 20, DATA[kind], seed) for seed in range(seeds)]
    rows: dict[str, KMeans] = {
        "spherical_kmeans": ours,
        "spherical_kmeans, best of 4 starts": lambda x, k, seed: ours(x, k, seed, 4),
        "NumPy": in_numpy,
    }
    if other is not None:
        rows = {"Geomstats": other, **rows}
    found = {}
    for name, work in rows.items():
        cosines = [objective(x, work(x, k, seed)) for seed, x in enumerate(sets)]
        times = repeats if name.startswith("spherical") else max(repeats // 10, 5)
        ms = [cpu_ms(lambda x=x, s=s: work(x, k, s), times) for s, x in enumerate(sets)]  # type: ignore[misc]  # noqa: B023
        found[name] = (float(np.mean(ms)), np.array(cosines))
    base_ms, base = found.get("Geomstats", found["NumPy"])
    for name, (mean_ms, each) in found.items():
        better = int((each >= base - 1e-9).sum())
        print(
            f"| {kind} | {name} | {mean_ms:.2f} | {base_ms / mean_ms:.1f}x | {each.mean():.4f} | "
            f"{better} of {seeds} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keys", type=int, default=256)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--prototypes", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=50)
    parsed = parser.parse_args()
    torch.set_num_threads(1)
    other = geomstats()
    print(f"{parsed.keys} keys, D={parsed.dim}, P={parsed.prototypes}, {parsed.seeds} seeds\n")
    print("| data | k-means | CPU ms | faster than the first | mean cosine | seeds no worse |")
    print("|---|---|---:|---:|---:|---:|")
    sizes = (parsed.keys, parsed.dim, parsed.prototypes, parsed.seeds, parsed.repeats)
    for kind in DATA:
        compare(kind, other, *sizes)


if __name__ == "__main__":
    main()
