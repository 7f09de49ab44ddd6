"""Settings that make a component small, or that it cannot do without, for the contract tests."""

from __future__ import annotations

from typing import Any

NEEDED: dict[str, dict[str, Any]] = {
    "assl": {"bank": 32, "labelled": 0.5},
    "choice": {"of": [{"name": "drop_nodes", "ratio": 0.3}, "identity"]},
    "compose": {"of": [{"name": "drop_nodes", "ratio": 0.3}, "identity"]},
    "drop_nodes": {"ratio": 0.3},  # of graphs so small, the default ratios change nothing
    "isc": {"partners": [{"name": "stgcn", "channels": [[8, 2], [8, 2]]}], "bank": 32},
    "longtgan": {"decoder": 16, "judge": 8},
    "mask_features": {"ratio": 0.3},
    "ms2l": {"decoder": 16, "decoder_layers": 1, "hidden": 32, "projection": 16},
    "cmd": {"bank": 32, "momentum": 0.9, "neighbours": 16},
    "crosclr": {"bank": 32, "momentum": 0.9, "start": 1},
    "moco": {"bank": 32, "momentum": 0.9},  # full after two epochs of so few graphs
    "perturb_edges": {"ratio": 0.3},
}
NEEDED |= {"bigru": {"hidden": 8}, "stgcn": {"channels": "cpu"}}  # the published are slow here
NEEDED |= {
    "aimclr": {"bank": 32, "momentum": 0.9, "mine_start": 1},
    "skeletonclr": {"bank": 32, "momentum": 0.9, "start": "empty"},
}
NEEDED |= {"hcn": {"width": 8, "rows": 1}}


def spec(name: str) -> dict[str, Any]:
    """Return what a recipe would say of a component."""
    return {"name": name, **NEEDED.get(name, {})}
