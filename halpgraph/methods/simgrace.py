"""SimGRACE: a graph is contrasted with what a perturbed copy of the encoder makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call
from torch_geometric.data import Batch

from halpgraph.contracts import Contrast, Encoder, Method, Step
from halpgraph.draws import Draws
from halpgraph.methods._graphs import Variant, contrast, projector
from halpgraph.objectives import unit_rows
from halpgraph.registry import methods


@methods.register
class SimGRACE(Method):
    """Contrast without augmentation: the second encoding of a graph is that of noisy weights.

    One view, the graph as it is (``views: [identity]``). With encoder f of weights w, projection g,
    and noise drawn anew in every step, of tensor l of the weights::

        w'_l = w_l + eta * std(w_l) * e_l          e_l ~ N(0, 1) of the shape of w_l
        q = g(f(G; w)) / |.|                       with gradient
        k = g(f(G; w')) / |.|                      without

    q is contrasted with k: q of graph i finds k of graph i among those of the batch, one direction.
    Only the encoder is perturbed, not the projection. ``variant: paper`` is NT-Xent, the positive
    in the denominator; ``variant: official`` leaves it out, as the paper's eq. 5 and the released
    code do. The default is that of ``graphcl`` here, so that methods are compared under one loss.

    The perturbed copy has batch statistics of its own, which no running mean sees, and is made in
    eval mode too, where the same noise is drawn every time. A tensor of one number (GIN's eps) has
    no deviation and stays. Of the published method, the adversarial training of the perturbation
    (AT-SimGRACE) is left out.

    For heads it publishes the contrast (q, k).

    Args:
        make_encoder: makes a fresh encoder.
        eta: size of the noise; 1 as released. The authors choose 0.1, 1, 10 or 100 for each set.
        variant: which of the two losses.
        temperature: 0.2 as released for TU data sets.
        projection: width of the projections; the encoder's own where left out.

    Cost: one encoder pass with gradient, one without.

    Reference: Xia, Wu, Chen, Hu and Li, "SimGRACE: A Simple Framework for Graph Contrastive
    Learning without Data Augmentation", WWW 2022, eq. 2, 3 and 5, https://arxiv.org/abs/2202.03104;
    released code https://github.com/junxia97/SimGRACE
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        eta: Annotated[float, Field(ge=0)] = 1.0,
        variant: Variant = "paper",
        temperature: Annotated[float, Field(gt=0)] = 0.2,
        projection: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__()
        self.encoder = make_encoder()
        self.variant: Variant = variant
        self.eta, self.temperature = eta, temperature
        width = self.encoder.out_channels
        self.dim = projection or width
        self.projector = projector(width, self.dim)
        self.noise = Draws()

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the contrastive loss and the contrast of one batch, seen once."""
        self.need_views(views)
        query = unit_rows(self.projector(self.encoder(views[0]).graph).float())  # [B, dim]
        with torch.no_grad():
            key = unit_rows(self.projector(self._perturbed(views[0])).float())
        loss = contrast(query, key, self.temperature, self.variant, symmetric=False)
        return Step({"simgrace": loss}, [Contrast(query, key, self.temperature)])

    def _perturbed(self, batch: Batch) -> Tensor:
        """Return what noisy weights make of a batch; the encoder itself is left as it is."""
        named = dict(self.encoder.named_parameters())
        weights = [p.detach() for p in named.values()]
        sizes = [w.numel() for w in weights]
        source = self.noise.next(weights[0].device)
        noise = torch.randn(sum(sizes), generator=source, device=weights[0].device)
        shifts = [
            e.view_as(w).to(w.dtype) * (self.eta * w.std() if w.numel() > 1 else 0.0)
            for e, w in zip(noise.split(sizes), weights, strict=True)
        ]
        noisy = dict(zip(named, torch._foreach_add(weights, shifts), strict=True))
        buffers = {name: b.clone() for name, b in self.encoder.named_buffers()}
        graph: Tensor = functional_call(self.encoder, (noisy, buffers), (batch,)).graph
        return graph

    def embed(self, batch: Batch) -> Tensor:
        """Return the features of the unperturbed encoder. Shapes: [B, out_channels]."""
        graph: Tensor = self.encoder(batch).graph
        return graph
