"""What HaLP measures while it trains: sums that stay on the device until they are asked for."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# What is averaged, and over what.
MEANS = {
    "kept": "made",
    "sim_query_key": "keys",
    "sim_query_positive": "kept",
    "sim_query_negative": "keys",
    "sim_positive_negative": "kept",
    "sim_key_prototype_own": "keys",
    "sim_kept_prototype_own": "kept",
    "sim_rejected_prototype_own": "rejected",
    "sim_key_prototype_other": "keys",
    "sim_kept_prototype_other": "kept",
    "sim_rejected_prototype_other": "rejected",
    "prototypes": "batches",
}
SECONDS = ("seconds_prototypes", "seconds_head")


EVERY = 5  # an odd number, so that where two contrasts take turns both are measured


class Diagnostics:
    """Sums since the start; nothing here waits for a GPU before ``means``.

    The first batch and every fifth after it are measured: the means of an epoch are of a sample.
    """

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # [len(MEANS)]
        self.keys, self.made, self.batches, self.steps, self.asked = 0, 0, 0, 0, 0
        self.seconds = dict.fromkeys(SECONDS, 0.0)

    def due(self) -> bool:
        """Return whether the batch at hand is one to measure; asked once for every batch."""
        self.asked += 1
        return self.asked % EVERY == 1

    def add(self, batch: Measured) -> None:
        """Add one batch."""
        sums = summarise(batch)
        self.sums = sums if self.sums is None else self.sums + sums
        self.keys += len(batch.key)
        self.made += batch.made
        self.batches += 1

    def means(self) -> dict[str, float | None]:
        """Return every mean by name, None where nothing was counted or a mean is not finite."""
        found = {name: value / max(self.steps, 1) for name, value in self.seconds.items()}
        sums = [math.nan] * len(MEANS) if self.sums is None else self.sums.tolist()
        over = {"made": self.made, "keys": self.keys, "kept": sums[0], "batches": self.batches}
        over["rejected"] = self.made - sums[0]
        for (name, counted), total in zip(MEANS.items(), sums, strict=True):
            found[name] = total / over[counted] if over[counted] > 0 else math.nan
        return {k: v if math.isfinite(v) else None for k, v in found.items()}


class Measured(NamedTuple):
    """What one batch is measured by.

    ``query`` and ``key`` [B, D] are unit vectors, ``sums`` [2, B, D] each key's sums of positives
    kept and rejected, ``kept`` [] how many were kept of the ``made``; ``own`` [B] is the key's own
    among the ``prototypes`` [P, D], ``in_use`` [] of which have keys. Negatives are the ``past``
    keys [M, D] or, without them, the other keys of the batch.
    """

    query: Tensor
    key: Tensor
    sums: Tensor
    kept: Tensor
    made: int
    prototypes: Tensor
    own: Tensor
    in_use: Tensor
    past: Tensor | None


def summarise(batch: Measured) -> Tensor:
    """Return the sums that ``MEANS`` are of, from inner products with sums of positives alone."""
    query, key, P = batch.query, batch.key, batch.prototypes
    points = torch.cat([key[None], batch.sums])  # [3, B, D]: keys, positives kept, rejected
    facing = torch.stack([query, key, P.index_select(0, batch.own)])  # [3, B, D]
    pairs = points.flatten(1) @ facing.flatten(1).T  # [3, 3]: row of points by column of facing
    past = key if batch.past is None else batch.past
    totals = torch.cat([points.sum(dim=1), query.sum(dim=0, keepdim=True)])  # [4, D]
    of_all = totals @ torch.stack([P.sum(dim=0), past.sum(dim=0)]).T  # [4, 2]
    other = (of_all[:3, 0] - pairs[:, 2]) / (len(P) - 1)  # [3]
    negative = torch.stack([of_all[3, 1], of_all[1, 1]])  # [2]: of queries, of positives kept
    if batch.past is None:
        negative = negative - torch.stack([pairs[0, 0], pairs[1, 1]])
    negative = negative / max(len(past) - (batch.past is None), 1)
    kept, in_use = batch.kept[None], batch.in_use[None]
    return torch.cat([kept, pairs[:2, 0], negative, pairs[:, 2], other, in_use])
