"""HaLP for one stream of keys: a module of its own, for anybody's training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from halpgraph.errors import UserError, did_you_mean
from halpgraph.hallucination import FILTERS, Filter, Positives, Walks, kept, place, walks, weights
from halpgraph.heads._diagnostics import Diagnostics, Measured
from halpgraph.memory import KeyBank, spherical_kmeans

Source = Literal["kmeans", "keys"]
Triple = tuple[Tensor, Tensor, float]


class HaLP(nn.Module):
    """Pull queries towards positives hallucinated around their keys.

    One step: positives are made with the prototypes at hand and filtered; then the keys enter the
    bank; then, every ``refresh`` steps, new prototypes are found among the bank's keys. The term is
    0 until the bank is full. Without a bank the prototypes come from the batch at hand, every
    ``refresh`` steps, before they are used. In eval mode nothing is stored.

    There are ``prototypes`` of them, but never more than a quarter of the keys they are found among
    (2 at least): clusters of fewer keys would be the keys. With fewer than 2 the term is 0.

    Args:
        dim: D, width of queries and keys.
        prototypes: P, prototypes of a stream.
        positives: G, positives made of each key (0 switches the term off).
        hardness: lambda in [0, 1]; 0 makes only the hardest positives, 1 any on the way.
        bank: how many of the newest keys prototypes are found among; 0 for the batch's own.
        refresh: steps between two searches for prototypes.
        filter: which positives are kept.
        candidates: how many of the nearest other prototypes are targets; all by default.
        source: where prototypes come from; "keys" takes the keys as they are.
        generator: where random numbers come from; torch's own by default.

    Raises:
        UserError: a setting outside its range.

    Reference: Shah et al., "HaLP: Hallucinating Latent Positives for Skeleton-based Self-Supervised
        Learning of Actions", CVPR 2023, Sec. 3, https://arxiv.org/abs/2304.00387
    """

    prototypes: Tensor

    def __init__(
        self,
        dim: int,
        prototypes: int = 20,
        positives: int = 100,
        hardness: float = 0.8,
        bank: int = 256,
        refresh: int = 5,
        filter: Filter = "rank",
        candidates: int | None = None,
        source: Source = "kmeans",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        _check("prototypes", prototypes, 2)
        _check("positives", positives, 0)
        _check("hardness", hardness, 0, 1)
        _check("bank", bank, 0)
        _check("refresh", refresh, 1)
        _check("candidates", 1 if candidates is None else candidates, 1)
        _check_name("filter", filter, FILTERS)
        _check_name("source", source, get_args(Source))
        self.dim, self.positives, self.hardness = dim, positives, hardness
        self.most, self.refresh, self.filter = prototypes, refresh, filter
        self.candidates, self.source, self.generator = candidates, source, generator
        self.bank = KeyBank(bank, dim) if bank else None
        self.steps = 0
        self.register_buffer("prototypes", torch.zeros(0, dim), persistent=False)  # [P, D]
        self.register_buffer("in_use", torch.zeros(()), persistent=False)
        self._measured = Diagnostics()

    @property
    def diagnostics(self) -> dict[str, float | None]:
        """What was measured since the last ``pop_diagnostics``: means; None where nothing was.

        Share kept; similarities of queries, keys and positives to each other, to negatives and to
        prototypes; how many prototypes have keys (all of these of the first batch and of every
        fifth after it); the seconds a step of the head, and its prototypes, took on the host.
        """
        return self._measured.means()

    def pop_diagnostics(self) -> dict[str, float | None]:
        """Return the diagnostics and start anew."""
        means = self._measured.means()
        self._measured = Diagnostics()
        return means

    def forward(self, query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
        """Return the term of one batch, a scalar; its gradient reaches the query alone.

        Args:
            query: any vectors, with gradient; only their direction counts.
            key: any vectors; only their direction counts.
            temperature: of the contrast the head builds on.

        Shapes: query [B, D], key [B, D].

        Raises:
            UserError: shapes that differ, or a temperature of 0 or less.

        Reference: Shah et al., CVPR 2023, Eq. 8.
        """
        return self.step([(query, key, temperature)])

    def step(self, contrasts: Sequence[Triple]) -> Tensor:
        """Return the mean term of several (query, key, temperature), seen as one step."""
        for query, key, temperature in contrasts:
            _check_contrast(query, key, temperature, self.dim)
        start = time.perf_counter()
        with torch.autocast(contrasts[0][0].device.type, enabled=False):
            keys = [F.normalize(key.detach().float(), dim=1) for _, key, _ in contrasts]
            self._prepare(keys)
            terms = [
                self._term(query.float(), key, temperature)
                for (query, _, temperature), key in zip(contrasts, keys, strict=True)
            ]
            term = terms[0] if len(terms) == 1 else torch.stack(terms).mean()
            self._remember(keys)
        self._measured.steps += 1
        self._measured.seconds["seconds_head"] += time.perf_counter() - start
        return term

    @torch.no_grad()
    def observe(self, key: Tensor) -> None:
        """Let keys into the bank and do nothing else (before the head's first epoch)."""
        if self.training and self.bank is not None:
            self.bank.push(F.normalize(key.float(), dim=1))

    def _prepare(self, keys: list[Tensor]) -> None:
        """Find prototypes that are needed before this step."""
        if self.bank is None:
            if len(self.prototypes) == 0 or self.steps % self.refresh == 0:
                self._find_prototypes(torch.cat(keys))
        elif self.bank.full and len(self.prototypes) == 0:
            self._find_prototypes(self.bank.newest())

    def _remember(self, keys: list[Tensor]) -> None:
        """Store the keys after this step; find new prototypes if it is time."""
        if not self.training:
            return
        self.steps += 1
        if self.bank is None:
            return
        for key in keys:
            self.bank.push(key)
        if self.bank.full and self.steps % self.refresh == 0:
            self._find_prototypes(self.bank.newest())

    @torch.no_grad()
    def _find_prototypes(self, keys: Tensor) -> None:
        start = time.perf_counter()
        if self.source == "keys":
            self.prototypes, self.in_use = keys, keys.new_tensor(float(len(keys)))
        else:
            most = max(2, min(self.most, len(keys) // 4))
            found = spherical_kmeans(keys, most, self.generator)
            used = torch.zeros_like(found.centres[:, 0]).scatter_(0, found.assignment, 1.0)  # [P]
            self.prototypes, self.in_use = found.centres, used.sum()
        self._measured.seconds["seconds_prototypes"] += time.perf_counter() - start

    def _term(self, query: Tensor, key: Tensor, temperature: float) -> Tensor:
        """``-(1/kept) sum q.z^H / T``. Shapes: query [B, D], key [B, D] (unit) -> []."""
        if len(self.prototypes) < 2 or self.positives == 0:
            return query[:0].sum()  # exactly 0, with a gradient of 0
        value, slope = self._attract(query.detach(), key, temperature)
        # The slope is at right angles to the query: the product is 0 and carries the gradient.
        return value + (query * slope).sum()

    @torch.no_grad()
    def _attract(self, query: Tensor, key: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Return the term [] and its gradient by the query [B, D]."""
        P = self.prototypes
        length = torch.linalg.vector_norm(query, dim=1, keepdim=True).clamp_min_(1e-12)  # [B, 1]
        query = query / length
        walk = walks(key @ P.T, P @ P.T, self.candidates)
        made = place(walk, self.positives, self.hardness, self.generator)
        keep = self._keep(walk, made, query, key).to(key.dtype)
        measure = self._measured.due()
        masks = torch.stack([keep, 1 - keep]) if measure else keep[None]
        own, W = weights(walk, made, masks)
        sums = torch.addcmul(W @ P, own, key)  # [2 or 1, B, D]: of positives kept and rejected
        along = (query * sums[0]).sum(dim=1, keepdim=True)  # [B, 1]
        count = keep.sum()
        if measure:
            past = None if self.bank is None else self.bank.keys
            batch = Measured(query, key, sums, count, keep.numel(), P, walk.own, self.in_use, past)
            self._measured.add(batch)
        scale = -1 / (temperature * count.clamp_min(1))
        slope = torch.addcmul(sums[0], along, query, value=-1).mul_(scale / length)  # [B, D]
        return along.sum() * scale, slope

    def _keep(self, walk: Walks, made: Positives, query: Tensor, key: Tensor) -> Tensor:
        """Return which positives the filter keeps. Shapes: query, key [B, D] -> [B, G], boolean."""
        if self.filter != "variant-1":
            return kept(self.filter, walk, made)
        return kept(self.filter, walk, made, (query * key).sum(1), query @ self.prototypes.T)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the prototypes (of varying number, hence no plain buffer) and the steps."""
        return {"prototypes": self.prototypes, "in_use": self.in_use, "steps": self.steps}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the prototypes and the steps."""
        self.prototypes = state["prototypes"].to(self.prototypes)
        self.in_use = state["in_use"].to(self.in_use)
        self.steps = int(state["steps"])


def _check(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not low <= value <= high:
        room = f"{low} or more" if high == math.inf else f"between {low} and {high}"
        raise UserError(f"HaLP.{name}: must be {room}, not {value}")


def _check_name(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise UserError(f"HaLP.{name}: unknown {name} {value!r}{did_you_mean(value, known)}")


def _check_contrast(query: Tensor, key: Tensor, temperature: float, dim: int) -> None:
    if query.shape != key.shape or query.dim() != 2 or query.size(1) != dim:
        shapes = f"query {list(query.shape)}, key {list(key.shape)}"
        raise UserError(f"HaLP: query and key must both be [B, {dim}], not {shapes}")
    if not temperature > 0:
        raise UserError(f"HaLP.temperature: must be above 0, not {temperature}")
