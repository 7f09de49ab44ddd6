"""InfoGraph: every node should tell which graph it is of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.adversary import reverse
from halpgraph.contracts import Contrast, Encoder, Method, Step
from halpgraph.draws import Draws
from halpgraph.errors import UserError
from halpgraph.methods._graphs import linear
from halpgraph.methods._local_global import local_global
from halpgraph.objectives import unit_rows
from halpgraph.ops import pool
from halpgraph.registry import methods


@methods.register
class InfoGraph(Method):
    """Mutual information between the nodes of a graph and the graph as a whole.

    One view, the graph as it is (``views: [identity]``). The local code of node i is a network l of
    what all layers made of it, side by side; the global code of graph b is a network g of what the
    encoder read out. Their score is ``T(i, b) = l_i . g_b``, and with ``sp(x) = log(1 + exp x)``
    the loss over all pairs of the batch is minus the Jensen-Shannon estimate::

        E_own   = mean over nodes i of                   log 2 - sp(-T(i, graph of i))
        E_other = mean over i and all other graphs b of  sp(T(i, b)) - log 2
        loss    = E_other - E_own

    l and g are three layers (linear, ReLU) and a linear shortcut past them, Xavier weights, zero
    biases, as released. The pairs are one product [N, D] x [D, B]; no mask and no pair of codes is
    written out.

    ``prior`` (the released code's gamma is 0.1, its flag off by default) adds the term of Deep
    InfoMax: a judge of three layers tells the encoder's graph features from draws of a uniform
    distribution on [0, 1], and the encoder pleases it. In the released code both gradients have the
    sign of the judge; here the encoder's is turned (``adversary.reverse``).

    For heads it publishes one contrast: as query the mean of a graph's local codes, as key its
    global code without gradient, both of length one. That is this package's: InfoGraph compares
    nodes, not graphs, and no HaLP on InfoGraph was published; nothing but the head sees it.

    Args:
        make_encoder: makes a fresh encoder, one of nodes (gin).
        projection: D of the codes; the encoder's own width where left out, as published.
        prior: weight of the prior term.
        temperature: of the contrast for heads; the loss has none.

    Raises:
        UserError: an encoder that is not one of nodes.

    Cost: one encoder pass with gradient; the local network sees every node, and is as published
    wider than the encoder (D = layers x hidden), so that it takes more time than the encoder does.

    Reference: Sun, Hoffmann, Verma and Tang, "InfoGraph: Unsupervised and Semi-supervised
    Graph-Level Representation Learning via Mutual Information Maximization", ICLR 2020, eq. 3 to 5,
    https://arxiv.org/abs/1908.01000; released code https://github.com/sunfanyunn/InfoGraph
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        projection: Annotated[int, Field(ge=1)] | None = None,
        prior: Annotated[float, Field(ge=0)] = 0.0,
        temperature: Annotated[float, Field(gt=0)] = 0.2,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder()
        if not self.encoder.level_channels:
            raise UserError("method infograph: needs an encoder that keeps the nodes; use gin")
        self.prior, self.temperature = prior, temperature
        width = self.encoder.out_channels
        self.dim = projection or width
        self.local = _Codes(sum(self.encoder.level_channels), self.dim)
        self.whole = _Codes(width, self.dim)
        if prior:
            hidden = [linear(width, width), nn.ReLU(), linear(width, width), nn.ReLU()]
            self.judge = nn.Sequential(*hidden, linear(width, 1))
            self.draws = Draws()

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the loss and the contrast of one batch, seen once."""
        self.need_views(views)
        batch, found = views[0], self.encoder(views[0])
        local = self.local(torch.cat(list(found.levels), dim=1)).float()  # [N, dim]
        whole = self.whole(found.graph).float()  # [B, dim]
        with torch.autocast(local.device.type, enabled=False):
            terms = {"infograph": local_global(local, whole, batch.batch)}
        if self.prior:
            terms["prior"] = self.prior * self._judged(found.graph)
        query = unit_rows(pool(local, batch.ptr, batch.batch, "mean"))  # [B, dim]
        key = unit_rows(whole.detach())
        return Step(terms, [Contrast(query, key, self.temperature)])

    def _judged(self, graph: Tensor) -> Tensor:
        """Return how badly the judge tells graphs from draws; graphs climb it. [B, D] -> []."""
        source = self.draws.next(graph.device)
        drawn = torch.rand(graph.shape, generator=source, device=graph.device)
        real, made = self.judge(drawn).float(), self.judge(reverse(graph)).float()  # [B, 1]
        return F.softplus(-real).mean() + F.softplus(made).mean()

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's graph features. Shapes: [B, out_channels]."""
        graph: Tensor = self.encoder(batch).graph
        return graph


class _Codes(nn.Module):
    """Three layers and a linear shortcut past them. Shapes: [n, width] -> [n, out]."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        steps = [linear(w, out) for w in (width, out, out)]
        self.deep = nn.Sequential(*(m for step in steps for m in (step, nn.ReLU(inplace=True))))
        self.shortcut = linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the codes."""
        out: Tensor = self.deep(x) + self.shortcut(x)
        return out
