"""A training gone on with from a file ends as one in one go: the check that methods share."""

from __future__ import annotations

import io
from collections.abc import Callable

import torch
from torch import Tensor

from halpgraph.engine import EpochReport, Trainer


def weights(of: Trainer) -> dict[str, Tensor]:
    """Return copies of every tensor in the state of a training's method."""
    return {k: v.clone() for k, v in of.method.state_dict().items() if torch.is_tensor(v)}


def resumes_bit_equal(
    make: Callable[[], Trainer], epochs: int = 4, at: int = 2
) -> list[EpochReport]:
    """Fail where a training broken off and gone on with differs from one in one go, to the bit.

    Args:
        make: makes the same training anew.
        epochs: of the whole.
        at: the epoch after which it is broken off.

    Returns:
        What the epochs of the one in one go did.
    """
    straight, broken, resumed = make(), make(), make()
    reports = [straight.train_epoch() for _ in range(epochs)]
    for _ in range(at):
        broken.train_epoch()
    file = io.BytesIO()
    torch.save(broken.state(), file)
    file.seek(0)
    resumed.load_state(torch.load(file, weights_only=True))
    again = [resumed.train_epoch().terms for _ in range(epochs - at)]
    assert again == [report.terms for report in reports[at:]]
    mine, theirs = weights(straight), weights(resumed)
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        assert torch.equal(value, theirs[key]), key
    assert torch.equal(straight.embed(), resumed.embed())
    return reports
