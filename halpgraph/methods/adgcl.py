"""AD-GCL: an adversary learns which edges can be dropped, and the contrast learns without them."""

from __future__ import annotations

import copy
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
from halpgraph.methods._edge_pairs import both_orders
from halpgraph.methods._graphs import Variant, contrast, linear, projector
from halpgraph.objectives import unit_rows
from halpgraph.registry import methods

EDGE = 1e-4  # how far draws stay away from 0 and 1, where their logits have no end


@methods.register
class ADGCL(Method):
    """Adversarial graph contrast: a learned augmenter drops edges, against the encoder.

    One view, the graph as it is (``views: [identity]``). The augmenter is a GIN of its own and an
    MLP on the pairs of nodes (u, v) that edges join; with a the GIN's last layer and s the logistic
    function, the weight of an edge in the augmented graph is a relaxed coin (binary concrete)::

        l_uv = (MLP([a_u, a_v]) + MLP([a_v, a_u])) / 2
        w_uv = s((log d - log(1 - d) + l_uv) / relaxation)      d ~ U(0, 1), drawn for each edge

    one for both directions; neighbours count by it in every layer of the encoder f. With q and k
    the projections of f(G) and f(G, w), of length one, L GraphCL's symmetric loss of q and k, and r
    the mean over graphs of the mean of ``1 - w`` over their edges (graphs without edges left out)::

        min over encoder, max over augmenter of   L(q, k) - penalty * r

    Both move in one backward pass: the gradient of L is turned round on its way into the augmenter
    (``adversary.reverse``), and ``penalty * r`` is the second term, which the augmenter descends.

    The released code takes turns, two draws and two optimisers a step, its encoder in eval mode for
    the augmenter's turn; here both move at once, from the same draw, with one learning rate (both
    are 0.001 there). Its two directions of an edge have weights of their own, which no undirected
    graph has. ``variant: paper`` is NT-Xent; ``official`` leaves the positive out of the
    denominator, as the paper's eq. 8 and the released code do, but the loss then has no lower end.

    For heads it publishes the contrast (q, k), k without gradient.

    Args:
        make_encoder: makes a fresh encoder, one that weighs edges (gin).
        penalty: of the share dropped; published 5 on every set (AD-GCL-FIX), or chosen from 0.1,
            0.3, 0.5, 1, 2, 5 and 10 (AD-GCL-OPT).
        layers: of the augmenter's GIN.
        hidden: width of the augmenter's GIN.
        pair: width of the hidden layer of the augmenter's MLP.
        relaxation: temperature of the coins.
        variant: which of the two losses.
        temperature: 0.2 as released for TU data sets.
        projection: width of the projections; the encoder's own where left out.

    Raises:
        UserError: an encoder that does not weigh edges.

    Cost: two encoder passes with gradient, one of them weighted, one of the augmenter's GIN, and
    two hidden layers of the MLP an edge; a step took 1.4 times three encoder passes on DD.

    Reference: Suresh, Li, Hao and Neville, "Adversarial Graph Augmentation to Improve Graph
    Contrastive Learning", NeurIPS 2021, eq. 7 to 9, https://arxiv.org/abs/2106.05819; released code
    https://github.com/susheels/adgcl
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[..., Encoder],
        penalty: Annotated[float, Field(ge=0)] = 5.0,
        layers: Annotated[int, Field(ge=1, le=64)] = 5,
        hidden: Annotated[int, Field(ge=1, le=8192)] = 32,
        pair: Annotated[int, Field(ge=1)] = 64,
        relaxation: Annotated[float, Field(gt=0)] = 1.0,
        variant: Variant = "paper",
        temperature: Annotated[float, Field(gt=0)] = 0.2,
        projection: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder()
        if not self.encoder.weighs_edges:
            raise UserError("method adgcl: needs an encoder that weighs edges; use gin")
        spec = {"name": "gin", "layers": layers, "hidden": hidden, "concatenate": False}
        self.augmenter = Augmenter(make_encoder("joint", spec), pair, relaxation)
        self.variant: Variant = variant
        self.penalty, self.temperature = penalty, temperature
        width = self.encoder.out_channels
        self.dim = projection or width
        self.projector = projector(width, self.dim)

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return both players' terms and the contrast of one batch, seen once."""
        self.need_views(views)
        batch, augmented = views[0], copy.copy(views[0])
        weight = self.augmenter(batch)  # [E]
        augmented.edge_weight = reverse(weight)
        graphs = torch.cat([f.graph for f in self.encoder.encode([batch, augmented])])
        query, key = unit_rows(self.projector(graphs).float()).chunk(2)  # [B, dim] each
        with torch.autocast(query.device.type, enabled=False):
            loss = contrast(query, key, self.temperature, self.variant)
            terms = {"adgcl": loss, "dropped": self.penalty * dropped(weight, batch)}
        return Step(terms, [Contrast(query, key.detach(), self.temperature)])

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's features of graphs with all their edges. [B, out_channels]."""
        graph: Tensor = self.encoder(batch).graph
        return graph


class Augmenter(nn.Module):
    """Weighs the edges of a batch, by coins that lean as it has learned."""

    def __init__(self, encoder: Encoder, pair: int, relaxation: float) -> None:
        super().__init__()
        self.encoder, self.relaxation = encoder, relaxation
        self.pair, self.out = linear(2 * encoder.level_channels[-1], pair), linear(pair, 1)
        self.draws = Draws()

    def forward(self, batch: Batch) -> Tensor:
        """Return a weight in (0, 1) of each edge, both directions alike. Shapes: [E]."""
        first, second, number = both_ways(batch)
        lean = self.lean(self.encoder(batch).local, first, second).float()  # [E / 2]
        source = self.draws.next(lean.device)
        draw = torch.rand(lean.shape, generator=source, device=lean.device)
        coin = torch.logit(draw * (1 - 2 * EDGE) + EDGE)
        weight: Tensor = torch.sigmoid((coin + lean) / self.relaxation).index_select(0, number)
        return weight

    def lean(self, local: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Return the MLP of pairs of nodes, the mean of both orders.

        Its first layer is linear, so each node goes through it once, not each edge; the hidden
        layer of all edges is never written out.

        Shapes: local [N, d], first [E / 2], second [E / 2] -> [E / 2].
        """
        ahead, behind = self.pair.weight.chunk(2, dim=1)  # [pair, d] each
        a, b = F.linear(local, ahead, self.pair.bias), local @ behind.t()  # [N, pair]
        return both_orders(a, b, first, second, self.out.weight[0] / 2) + self.out.bias


def both_ways(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the nodes of each undirected edge, and which of them each directed edge is.

    Shapes: [E / 2], [E / 2], [E].
    """
    source, target = batch.edge_index
    # Edges by target, then source: the other direction of each edge. Short integers sort sooner.
    back = target.int().argsort(stable=True)
    ahead = (source < target).nonzero().view(-1)  # [E / 2]
    number = torch.empty_like(source)
    number[ahead] = torch.arange(ahead.numel(), device=source.device)
    number[back[ahead]] = number[ahead]
    return source[ahead], target[ahead], number


def dropped(weight: Tensor, batch: Batch) -> Tensor:
    """Return the mean over graphs of the share of their edges that is dropped; 0 without edges.

    Shapes: weight [E] -> [].
    """
    edges = batch.rowptr.index_select(0, batch.ptr).diff()  # [B]
    share = weight.new_ones(()) - weight  # [E]
    of = torch.repeat_interleave(edges, output_size=weight.numel())
    total = share.new_zeros(edges.numel()).index_add(0, of, share)  # [B]
    mean: Tensor = (total / edges.clamp(min=1)).sum() / (edges > 0).sum().clamp(min=1)
    return mean
