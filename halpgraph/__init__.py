"""halpgraph: self-supervised learning on graphs and skeletons, with a HaLP head and honest reports.

Public names are imported when they are first used, so that ``halpgraph --help`` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "run": "halpgraph.runner",
    "GraphEmbedder": "halpgraph.estimator",
    "GraphStore": "halpgraph.data.store",
    "HaLP": "halpgraph.heads._latent",
    "KeyBank": "halpgraph.memory",
    "hallucinate": "halpgraph.hallucination",
    "rank_filter": "halpgraph.hallucination",
    "spherical_kmeans": "halpgraph.memory",
    "variant_1_filter": "halpgraph.hallucination",
    "variant_2_filter": "halpgraph.hallucination",
}

if TYPE_CHECKING:
    from halpgraph.data.store import GraphStore
    from halpgraph.estimator import GraphEmbedder
    from halpgraph.hallucination import (
        hallucinate,
        rank_filter,
        variant_1_filter,
        variant_2_filter,
    )
    from halpgraph.heads._latent import HaLP
    from halpgraph.memory import KeyBank, spherical_kmeans
    from halpgraph.runner import run

__all__ = [
    "GraphEmbedder",
    "GraphStore",
    "HaLP",
    "KeyBank",
    "__version__",
    "hallucinate",
    "rank_filter",
    "run",
    "spherical_kmeans",
    "variant_1_filter",
    "variant_2_filter",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'halpgraph' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
