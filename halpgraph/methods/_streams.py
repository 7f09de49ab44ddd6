"""What methods of several streams share: a branch a stream, all shown the same views of a clip."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.contracts import About, Contrast, Encoder, Method, Step
from halpgraph.methods._branch import Branch
from halpgraph.pose import sampled
from halpgraph.streams import Stream


def distinct(streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    """Return the streams, if none of them stands there twice."""
    if len(set(streams)) < len(streams):
        raise ValueError("the same stream stands there twice; name each once")
    return streams


class SeveralStreams(Method):
    """Branches side by side: stream s has its own encoder, projection, twins and bank.

    Both views of a clip are shown to every branch, as its stream sees them. The banks move in
    lock-step: the key at a place is of the same clip in all of them. What a step makes of the
    queries and keys is told by ``terms``.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: what is known of the data.
        streams: two or more.
        temperature, momentum, bank, projection, hidden: of every branch.

    Raises:
        UserError: graphs that are no skeletons.
    """

    n_views = 2

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About | None,
        streams: Sequence[Stream],
        *,
        temperature: float,
        momentum: float,
        bank: int,
        projection: int,
        hidden: int | None,
    ) -> None:
        super().__init__()
        what = f"contrasts the streams of skeletons ({', '.join(streams)})"
        self.need_poses(about, what, "method moco (stream joint) or graphcl")
        self.streams = tuple(streams)
        self.temperature, self.dim = temperature, projection
        self.branches = nn.ModuleDict()
        for stream in streams:
            self.branches[stream] = Branch(
                make_encoder,
                stream,
                temperature=temperature,
                momentum=momentum,
                bank=bank,
                projection=projection,
                hidden=hidden,
            )

    @property
    def each(self) -> list[Branch]:
        """Return the branches, in the order of the streams."""
        return [cast(Branch, branch) for branch in self.branches.values()]

    @abstractmethod
    def terms(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the loss terms by name, given a stream's queries and keys in each place.

        Shapes: every query and key [B, D].
        """

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the terms and a contrast a stream: queries of the first view, keys of the second.

        Each stream is derived once a view, its query encoded once, its key once.
        """
        self.need_views(views)
        first, second = views
        queries = [branch.query(branch.shown(first)) for branch in self.each]
        for branch in self.each:
            branch.follow()
        keys = [branch.key(branch.shown(second)) for branch in self.each]
        with torch.autocast(queries[0].device.type, enabled=False):
            terms = self.terms(queries, keys)
        contrasts = [
            Contrast(q, k, self.temperature, stream)
            for q, k, stream in zip(queries, keys, self.streams, strict=True)
        ]
        return Step(terms, contrasts)

    def after_step(self) -> None:
        """Store the step's keys, in every bank at the same places."""
        for branch in self.each:
            branch.remember()

    def embed(self, batch: Batch) -> Tensor:
        """Return the query encoders' features of all streams side by side; ``parts`` tells which.

        Shapes: [B, sum of the encoders' widths].
        """
        batch = sampled(batch)
        return torch.cat([branch.embed(batch) for branch in self.each], dim=1)

    @property
    def parts(self) -> dict[str, int]:
        """Streams and their widths, in the order of ``embed``."""
        return {stream: b.out_channels for stream, b in zip(self.streams, self.each, strict=True)}
