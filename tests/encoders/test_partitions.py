"""Partitions against the published loops, and counts that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from halpgraph.encoders._partitions import Partition, matrices
from halpgraph.layout import Layout, get_layout, layouts, make_layout

STRATEGIES: tuple[Partition, ...] = ("stgcn", "inout", "uniform", "distance")


def published(layout: Layout) -> np.ndarray:
    """The spatial partition as its paper's code makes it, entry by entry."""
    joints = range(layout.num_joints)
    near = np.eye(layout.num_joints)
    for child, parent in layout.bones:
        near[child, parent] = near[parent, child] = 1
    scaled = near / near.sum(0)
    hops = np.where(np.eye(layout.num_joints) > 0, 0, np.where(near > 0, 1, np.inf))
    out = np.zeros((3, layout.num_joints, layout.num_joints))
    for i in joints:
        for j in joints:
            if hops[j, i] == 0:
                out[0, j, i] = scaled[j, i]
            elif hops[j, i] == 1:
                nearer = hops[j, layout.centre] < hops[i, layout.centre]
                out[2 if nearer else 1, j, i] = scaled[j, i]
    return out


@pytest.mark.parametrize("name", layouts())
def test_spatial_is_the_published_one(name: str) -> None:
    layout = get_layout(name)
    found = matrices(layout, "stgcn").numpy()
    np.testing.assert_allclose(found, published(layout), rtol=1e-6)


@pytest.mark.parametrize(
    ("strategy", "counts"),
    [("stgcn", [25, 40, 8]), ("inout", [25, 24, 24]), ("uniform", [73]), ("distance", [25, 48])],
)
def test_entries_of_ntu(strategy: Partition, counts: list[int]) -> None:
    found = matrices(get_layout("ntu25"), strategy)
    assert (found != 0).sum((1, 2)).tolist() == counts


@pytest.mark.parametrize("name", layouts())
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_columns_sum_to_one(name: str, strategy: Partition) -> None:
    layout = get_layout(name)
    sums = matrices(layout, strategy).sum(1)  # [K, V]
    if strategy != "inout":
        torch.testing.assert_close(sums.sum(0), torch.ones(layout.num_joints))
        return
    roots = torch.tensor([i != p for i, p in enumerate(layout.parents)]).float()
    inner = torch.tensor([i not in layout.leaves for i in range(layout.num_joints)]).float()
    torch.testing.assert_close(sums, torch.stack([torch.ones_like(roots), roots, inner]))


def test_direction_of_a_small_tree() -> None:
    """Of a - b - c, b being the root: c gathers from its parent, b half from each child."""
    layout = make_layout("three", {"joints": {"a": "b", "b": None, "c": "b"}})
    own, inward, outward = matrices(layout, "inout")
    assert torch.equal(own, torch.eye(3))
    assert inward.tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert outward.tolist() == [[0, 0.5, 0], [0, 0, 0], [0, 0.5, 0]]
