"""What HaLP measures while it trains: sums that stay on the device until they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MEANS = (
    "kept",
    "sim_query_key",
    "sim_query_positive",
    "sim_query_negative",
    "sim_positive_negative",
    "sim_key_prototype_own",
    "sim_kept_prototype_own",
    "sim_rejected_prototype_own",
    "sim_key_prototype_other",
    "sim_kept_prototype_other",
    "sim_rejected_prototype_other",
    "prototypes",
)
SECONDS = ("seconds_prototypes", "seconds_head")


class Diagnostics:
    """Sums and counts since the start; nothing here waits for a GPU before ``means``."""

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # [2, len(MEANS)]: what was added up, and how many
        self.seconds = dict.fromkeys(SECONDS, 0.0)
        self.steps = 0

    def add(self, sums: list[Tensor], counts: list[Tensor], in_use: Tensor) -> None:
        """Add one batch: for every name of ``MEANS`` a sum, and how many it was over."""
        both = torch.stack([*sums, in_use, *counts, torch.ones_like(in_use)]).view(2, -1)
        self.sums = both if self.sums is None else self.sums + both

    def means(self) -> dict[str, float | None]:
        """Return every mean by name, None where nothing was counted or a mean is not finite."""
        steps = self.steps or math.nan
        found = {name: value / steps for name, value in self.seconds.items()}
        rows = [[math.nan] * len(MEANS)] * 2 if self.sums is None else self.sums.tolist()
        for name, total, count in zip(MEANS, *rows, strict=True):
            found[name] = total / count if count > 0 else math.nan
        return {k: v if math.isfinite(v) else None for k, v in found.items()}


def summarise(
    query: Tensor,
    key: Tensor,
    pull: Tensor,
    tables: Tensor,
    own: Tensor,
    kept: Tensor,
    made: int,
    bank: Tensor | None,
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the similarities that ``MEANS`` are of, as sums and counts, without any point.

    Args:
        query: unit vectors.
        key: unit vectors.
        pull: for each key the sum of its kept positives.
        tables: similarities to every prototype: of the keys, of the sum of kept positives, and of
            the sum of rejected ones.
        own: the prototype of each key.
        kept: positives kept in the whole batch.
        made: positives made in the whole batch.
        bank: past keys, the negatives; without them negatives are the other keys of the batch.

    Shapes: query, key, pull [B, D], tables [3, B, P], own [B], kept [], bank [M, D].
    """
    B, P = tables.shape[1:]
    real = (query * key).sum()
    towards = torch.stack([query.sum(0), pull.sum(0)])  # [2, D]
    negative = towards @ (key if bank is None else bank).sum(0)  # [2]
    if bank is None:
        negative = negative - torch.stack([real, (pull * key).sum()])
    negatives = float(B - 1 if bank is None else len(bank))
    mine = tables.gather(2, own.expand(3, B)[..., None]).sum(dim=(1, 2))  # [3]
    other = tables.sum(dim=(1, 2)) - mine  # [3]
    keys = kept.new_tensor(float(B))
    many = torch.stack([keys, kept, made - kept])  # [3]
    sums = [kept, real, (query * pull).sum(), *negative, *mine, *other]
    counts = [keys * (made / B), keys, kept, keys * negatives, kept * negatives]
    return sums, [*counts, *many, *(many * (P - 1))]
