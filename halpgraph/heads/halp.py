"""HaLP as a head of the engine: when it starts, how much it weighs, one bank for each stream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Literal, cast

from pydantic import Field
from torch import Generator, Tensor, nn

from halpgraph.contracts import Contrast, Head
from halpgraph.heads._latent import HaLP, Triple
from halpgraph.registry import heads

__all__ = ["HaLP", "HaLPHead"]


@heads.register
class HaLPHead(Head):
    """Hallucinated latent positives: more positives of each key, made in latent space.

    Every stream has its own bank and prototypes. The term is ``mu`` times the sum over the streams
    of the mean over a stream's contrasts. Before its first epoch the head only fills its banks.

    Args:
        dim: D, width of the contrasts.
        streams: names of the method's streams.
        prototypes: P, prototypes of a stream; at most a quarter of the keys they are found among.
        positives: G, positives made of each key (0 switches the term off).
        hardness: lambda; 0 makes only the hardest positives, 1 any on the way.
        bank: how many of the newest keys prototypes are found among; 0 for the batch's own.
        refresh: steps between two searches for prototypes.
        filter: which positives are kept.
        mu: weight of the term.
        start: first epoch (from 0) with a weight above 0.
        ramp: epochs over which the weight grows to ``mu``, in equal steps.
        candidates: how many of the nearest other prototypes are targets; all by default.
        source: where prototypes come from; "keys" takes the keys as they are.
        generator: where random numbers come from.

    Reference: Shah et al., "HaLP: Hallucinating Latent Positives for Skeleton-based Self-Supervised
        Learning of Actions", CVPR 2023, https://arxiv.org/abs/2304.00387; without a bank:
        supplement B.7 and D; defaults: supplement F.
    """

    def __init__(
        self,
        dim: int,
        streams: Sequence[str] = ("graph",),
        prototypes: Annotated[int, Field(ge=2)] = 20,
        positives: Annotated[int, Field(ge=0)] = 100,
        hardness: Annotated[float, Field(ge=0, le=1)] = 0.8,
        bank: Annotated[int, Field(ge=0)] = 256,
        refresh: Annotated[int, Field(ge=1)] = 5,
        filter: Literal["rank", "variant-1", "variant-2", "none"] = "rank",
        mu: Annotated[float, Field(ge=0)] = 1.0,
        start: Annotated[int, Field(ge=0)] = 0,
        ramp: Annotated[int, Field(ge=0)] = 0,
        candidates: Annotated[int, Field(ge=1)] | None = None,
        source: Literal["kmeans", "keys"] = "kmeans",
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.mu, self.start, self.ramp = mu, start, ramp
        self.streams = nn.ModuleDict()
        for stream in streams:
            self.streams[stream] = HaLP(
                dim,
                prototypes=prototypes,
                positives=positives,
                hardness=hardness,
                bank=bank,
                refresh=refresh,
                filter=filter,
                candidates=candidates,
                source=source,
                generator=generator,
            )

    def weight(self, epoch: int) -> float:
        """Return the weight of the term in an epoch (counted from 0)."""
        since = epoch - self.start + 1
        return self.mu * min(max(since / max(self.ramp, 1), 0.0), 1.0)

    def forward(self, contrasts: Sequence[Contrast], epoch: int) -> dict[str, Tensor]:
        """Return ``{"halp": term}``, nothing where there are no contrasts."""
        streams: dict[str, list[Triple]] = defaultdict(list)
        for c in contrasts:
            streams[c.stream].append((c.query, c.key, c.temperature))
        weight = self.weight(epoch)
        terms = [self._stream(name, found, weight) for name, found in streams.items()]
        return {"halp": sum(terms[1:], terms[0])} if terms else {}

    def _stream(self, name: str, found: list[Triple], weight: float) -> Tensor:
        halp = cast(HaLP, self.streams[name])
        if weight > 0:
            return halp.step(found) * weight
        for _, key, _ in found:
            halp.observe(key)
        return found[0][0][:0].sum()  # exactly 0, with a gradient of 0

    def pop_diagnostics(self) -> dict[str, float | None]:
        """Return means since the last call; with several streams, of the streams.

        The names are those of ``HaLP.diagnostics``; with several streams each stream's own follow
        as ``stream/name``.
        """
        each = {s: cast(HaLP, halp).pop_diagnostics() for s, halp in self.streams.items()}
        if len(each) == 1:
            return next(iter(each.values()))
        means = {}
        for key in next(iter(each.values())):
            values = [v for found in each.values() if (v := found[key]) is not None]
            means[key] = sum(values) / len(values) if values else None
        return means | {f"{s}/{k}": v for s, found in each.items() for k, v in found.items()}
