"""Every view of the room in several settings, for tests that hold for all."""

from __future__ import annotations

from typing import Any

FOUR = ["drop_nodes", "subgraph", "perturb_edges", "mask_features"]
SPECS: list[dict[str, Any]] = [
    {"name": "identity"},
    {"name": "drop_nodes", "ratio": 0.1},
    {"name": "drop_nodes", "ratio": 0.99},
    {"name": "perturb_edges", "ratio": 0.3},
    {"name": "perturb_edges", "ratio": 1.0},
    {"name": "perturb_edges", "ratio": 0.5, "add": False},
    {"name": "subgraph", "keep": 0.8},
    {"name": "subgraph", "keep": 0.2},
    {"name": "subgraph", "keep": 1.0},
    {"name": "subgraph", "keep": 0.5, "grow": "walk"},
    {"name": "mask_features", "ratio": 0.4},
    {"name": "mask_features", "ratio": 0.4, "fill": "noise"},
    {"name": "choice", "of": FOUR},
    {"name": "choice", "of": [*FOUR, {"name": "mask_features", "fill": "noise"}, "identity"]},
    {"name": "choice", "of": ["drop_nodes", {"name": "compose", "of": FOUR}]},
    {"name": "choice", "of": ["drop_nodes", {"name": "choice", "of": FOUR}], "weights": [1, 3]},
    {"name": "compose", "of": [*FOUR, "drop_nodes"]},
]


def label(spec: dict[str, Any]) -> str:
    """Return a short name of a spec for test ids."""
    rest = "-".join(str(v) for k, v in spec.items() if k not in ("name", "of"))
    parts = "+".join(p if isinstance(p, str) else p["name"] for p in spec.get("of", ()))
    return "-".join(word for word in (spec["name"], parts, rest) if word)
