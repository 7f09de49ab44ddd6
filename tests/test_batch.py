"""Batches put together: the inverse of cutting them apart."""

from __future__ import annotations

import pytest
import torch
from toy import toy_batch

from halpgraph.batch import join, split_batch

NAMES = ("x", "codes", "edge_index", "rowptr", "ptr", "batch")


@pytest.mark.parametrize("cuts", [[0, 20], [0, 7, 20], [0, 1, 19, 20]])
def test_join_undoes_split(cuts: list[int]) -> None:
    batch = toy_batch(0, graphs=20)
    joined = join(split_batch(batch, cuts))
    assert joined.num_codes == batch.num_codes
    assert joined.num_graphs == 20
    for name in NAMES:
        assert torch.equal(joined[name], batch[name]), name


def test_join_changes_no_part_of_it() -> None:
    parts = split_batch(toy_batch(1, graphs=6), [0, 2, 6])
    before = [{name: part[name].clone() for name in NAMES} for part in parts]
    join(parts)
    for part, old in zip(parts, before, strict=True):
        assert all(torch.equal(part[name], old[name]) for name in NAMES)
