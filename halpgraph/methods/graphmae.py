"""GraphMAE: the features of hidden nodes are reconstructed from what is left."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch_geometric.data import Batch

from halpgraph.batch import node_features
from halpgraph.contracts import About, Encoder, Method, Step
from halpgraph.draws import Draws
from halpgraph.errors import UserError
from halpgraph.methods._graphs import linear
from halpgraph.ops import neighbour_sum
from halpgraph.registry import methods

_TINY = 1e-12  # a row that is shorter has no direction


@methods.register
class GraphMAE(Method):
    """Masked autoencoding of the nodes' features, without contrast.

    One view, the graph as it is (``views: [identity]``). In every step

    1. of each graph of n nodes, ``max(1, floor(mask * n))`` nodes are drawn, uniformly; M are those
       of the batch. Their features give way to one learned token (zeros at first);
    2. the encoder makes h of all nodes; ``h' = W h`` without bias, and for the decoder ``gin`` the
       nodes of M are masked again: their h' is zero, so that they are told by neighbours alone;
    3. the decoder makes features of them: with ``gin`` one layer,
       ``r_i = W2 relu(W1 (h'_i + sum of neighbours' h') + b1) + b2``, with ``mlp`` the same two
       maps of h'_i itself, not masked again (as released: it would see nothing at all);
    4. scaled cosine error: ``loss = mean over i in M of (1 - cos(r_i, x_i)) ^ gamma``.

    h is the encoder's last layer. A node whose own features are all zero has no direction and
    counts 1. The released code draws its nodes from the batch as a whole, so that some graphs lose
    all and others nothing; here the count is exact for each graph. Left out are its dropout of the
    input, its PReLU, and ``replace_rate`` (a tenth of M show another node's features, no token).

    There are no contrasts, so no HaLP: ``head: null``. Graphs whose nodes all have the same
    features are refused, there is nothing to reconstruct; and so are skeletons, whose joints are
    told by their neighbours in time: masking them whole is another method.

    Args:
        make_encoder: makes a fresh encoder, one of nodes (gin).
        about: what is known of the data.
        mask: share of the nodes to mask. Published: 0.75 on MUTAG and REDDIT-B, 0.5 on PROTEINS
            and IMDB, 0.25 on NCI1.
        gamma: power of the cosine error; published 1 to 3, 2 on MUTAG and NCI1.
        decoder: what tells the features: one GIN layer, as published for graphs, or an MLP.

    Raises:
        UserError: nodes that all have the same features, skeletons, an encoder not of nodes.

    Cost: one encoder pass with gradient (by the input too, for the token) and one layer.

    Reference: Hou, Liu, Cen, Dong, Yang, Wang and Tang, "GraphMAE: Self-Supervised Masked Graph
    Autoencoders", KDD 2022, eq. 1 and 2, https://arxiv.org/abs/2205.10803; released code
    https://github.com/THUDM/GraphMAE
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        about: About,
        mask: Annotated[float, Field(gt=0, lt=1)] = 0.5,
        gamma: Annotated[float, Field(ge=1)] = 2.0,
        decoder: Literal["gin", "mlp"] = "gin",
    ) -> None:
        super().__init__()
        _refuse(about)
        self.encoder = make_encoder()
        if not self.encoder.level_channels:
            raise UserError("method graphmae: needs an encoder that keeps the nodes; use gin")
        self.mask, self.gamma, self.decoder = mask, gamma, decoder
        hidden, width = self.encoder.level_channels[-1], about.width or 0
        self.token = nn.Parameter(torch.zeros(width))
        self.bridge = linear(hidden, hidden, bias=False)
        self.decode = nn.Sequential(linear(hidden, hidden), nn.ReLU(), linear(hidden, width))
        self.draws = Draws()

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the error of the reconstructions of one batch."""
        self.need_views(views)
        batch = views[0]
        nodes = self.hidden_nodes(batch)  # [n]
        target = node_features(batch)  # [N, W]
        token = self.token.to(target.dtype).expand(nodes.numel(), -1)
        shown = copy.copy(batch)
        shown.x, shown.codes = target.index_copy(0, nodes, token), batch.codes[:, :0]
        shown.num_codes = 0
        h = self.bridge(self.encoder(shown).local)  # [N, d]
        if self.decoder == "gin":
            h = neighbour_sum(h.index_fill(0, nodes, 0.0), batch.edge_index[1], batch.rowptr)
        made = self.decode(h.index_select(0, nodes)).float()  # [n, W]
        cosine: Tensor = _Cosines.apply(made, target.index_select(0, nodes).float())  # [n]
        return Step({"graphmae": (1 - cosine).clamp(min=0).pow(self.gamma).mean()})

    def hidden_nodes(self, batch: Batch) -> Tensor:
        """Draw an exact number of nodes of every graph. Shapes: [n], sorted."""
        ptr, graph = batch.ptr, batch.batch
        counts = (ptr.diff().double() * self.mask + 1e-9).floor().long().clamp(min=1)  # [B]
        draws = torch.rand(graph.numel(), generator=self.draws.next(ptr.device), device=ptr.device)
        order = (graph + draws.double()).argsort()  # graph by graph, in random order within each
        rank = torch.arange(graph.numel(), device=ptr.device) - ptr.index_select(0, graph)
        drawn: Tensor = order[rank < counts.index_select(0, graph)]
        return drawn.sort().values

    def embed(self, batch: Batch) -> Tensor:
        """Return the features of graphs of which nothing is hidden. Shapes: [B, out_channels]."""
        graph: Tensor = self.encoder(batch).graph
        return graph


class _Cosines(torch.autograd.Function):
    """Cosines of rows and of what they should be, in few passes over wide features.

    Rows of zeros have no direction: their cosine is 0, without gradient.
    """

    @staticmethod
    def forward(ctx: Any, made: Tensor, wanted: Tensor) -> Tensor:
        lengths = [torch.linalg.vector_norm(rows, dim=1) for rows in (made, wanted)]  # [n]
        inverse, other = (n.reciprocal().masked_fill_(n <= _TINY, 0) for n in lengths)
        cosine = (made * wanted).sum(1).mul_(inverse).mul_(other)
        ctx.save_for_backward(made, wanted, inverse, inverse * other, cosine)
        return cosine

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        made, wanted, inverse, both, cosine = ctx.saved_tensors
        across = (grads[0] * both)[:, None]  # what of the wanted row, and what of the row itself
        along = (grads[0] * cosine).mul_(inverse).mul_(inverse)[:, None]
        return (wanted * across).addcmul_(made, along, value=-1), None


def _refuse(about: About) -> None:
    if about.kind != "graph":
        raise UserError(
            "method graphmae: reconstructs features of the nodes of graphs, and these are "
            "skeletons; use moco"
        )
    if about.plain or not about.width:
        raise UserError(
            "method graphmae: all nodes have the same features, there is nothing to reconstruct; "
            "choose others in data.features (labels, attributes or degree)"
        )
