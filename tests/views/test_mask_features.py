"""Attribute masking: exact numbers, blank or noisy rows, everything else as it was."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from toy import check_batch, contents, pack, toy_batch

from halpgraph.batch import node_features
from halpgraph.views.mask_features import MaskFeatures


@given(seed=st.integers(0, 2**20), percent=st.integers(0, 100), noise=st.booleans())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_exact_numbers_and_the_rest_untouched(seed: int, percent: int, noise: bool) -> None:
    batch = toy_batch(seed)
    view = MaskFeatures(percent / 100, "noise" if noise else "zero")
    out = view(batch, torch.Generator().manual_seed(seed))
    check_batch(out)
    for name in ("edge_index", "rowptr", "ptr", "batch"):
        assert torch.equal(out[name], batch[name])
    old, new = node_features(batch), node_features(out)
    masked = (old != new).any(1)
    counts = torch.zeros(batch.num_graphs).index_add_(0, batch.batch, masked.float())
    assert counts.tolist() == [percent * int(n) // 100 for n in batch.ptr.diff()]
    if noise:
        assert bool((old[masked] != new[masked]).all())
    else:
        assert bool((new[masked] == 0).all())
        assert bool((out.codes[masked] == out.num_codes).all())


def test_noise_is_normal_of_mean_and_deviation_one_half() -> None:
    batch = pack([(50, set())] * 20)
    out = MaskFeatures(0.5, "noise")(batch, torch.Generator().manual_seed(0))
    rows = node_features(out)[(node_features(out) != node_features(batch)).any(1)]
    assert rows.shape == (500, 8)
    assert kstest(rows.flatten().numpy(), "norm", args=(0.5, 0.5)).pvalue > 1e-3


def test_every_node_is_masked_as_often() -> None:
    batch = pack([(6, set()), (11, set())] * 2000)
    out = MaskFeatures(0.35)(batch, torch.Generator().manual_seed(1))
    blank = (out.codes[:, 0] == out.num_codes).view(2000, 17).sum(0)  # [17]
    assert chisquare(blank[:6].numpy()).pvalue > 1e-3
    assert chisquare(blank[6:].numpy()).pvalue > 1e-3


def test_masking_twice_is_possible() -> None:
    batch = toy_batch(2)
    once = MaskFeatures(0.5)(batch, torch.Generator().manual_seed(0))
    before = contents(once)
    check_batch(MaskFeatures(0.5, "noise")(once, torch.Generator().manual_seed(1)))
    assert torch.equal(once.codes, before["codes"])
