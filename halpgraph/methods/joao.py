"""JOAO: GraphCL that learns which augmentations to draw, those that are hardest for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.contracts import About, Contrast, Encoder, Method, Step, View
from halpgraph.errors import UserError
from halpgraph.methods._graphs import Variant, contrasts, projector
from halpgraph.objectives import unit_rows
from halpgraph.registry import methods


@methods.register
class JOAO(Method):
    """Joint augmentation optimisation: contrast of two views whose kinds are learned.

    GraphCL minimises its loss of the two views, while the shares p by which ``choice`` draws kinds
    of views maximise it, held near the uniform ones::

        min over weights, max over p in the simplex of
            sum_k p_k L_k - gamma / 2 * sum_k (p_k - 1/n)^2

    L_k being the mean loss of the graphs that drew kind k. At the start of each epoch, one step of
    projected gradient ascent with the L_k of the epoch before::

        p <- nearest point of the simplex to  p + rate * (L - gamma * (p - 1/n))

    Recipe views are ``choice``, one for both or one each; or one ``identity`` and one ``choice``,
    which contrasts with the original as the released code for TU data sets does (``variant:
    official`` then leaves the positive out of the denominator, in one direction, as it does).

    Two things differ. The released code measures L_k after every epoch, in as many extra passes
    over the data as there are kinds, without gradient; here L_k is averaged over the training steps
    themselves, every graph's loss counting for the kinds that its views drew. A kind that nobody
    drew keeps what was last known of it (the mean of the others if nothing ever was). And the paper
    has shares of pairs of kinds; here each view has shares of its own and draws by itself, so that
    those of pairs are products, and L_k of one view is the mean over what the other drew, which is
    the gradient of the objective by p_k. JOAOv2's projection heads of each kind are left out.

    For heads it publishes GraphCL's contrast: the first view as query, the second as key.

    Args:
        make_encoder: makes a fresh encoder.
        about: what is known of the data, and of the recipe's views.
        gamma: how strongly shares are held near the uniform ones; published 0.01, 0.1 or 1.
        rate: length of a step of the shares; 1 as released.
        variant: which of GraphCL's two losses.
        temperature: 0.2 as released for TU data sets.
        projection: width of the projections; the encoder's own where left out.

    Raises:
        UserError: views that are neither ``choice`` nor ``identity``, or leave nothing to choose.

    Cost: two encoder passes with gradient, as GraphCL; the shares cost nothing to speak of.

    Reference: You, Chen, Shen and Wang, "Graph Contrastive Learning Automated", ICML 2021, eq. 7
    to 9 and Alg. 1, https://arxiv.org/abs/2106.07594; released code
    https://github.com/Shen-Lab/GraphCL_Automated
    """

    n_views = 2

    def __init__(
        self,
        make_encoder: Callable[[], Encoder],
        about: About,
        gamma: Annotated[float, Field(ge=0)] = 0.1,
        rate: Annotated[float, Field(ge=0)] = 1.0,
        variant: Variant = "paper",
        temperature: Annotated[float, Field(gt=0)] = 0.2,
        projection: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__()
        self.shares = nn.ModuleList(Shares(start, gamma, rate) for start in _starts(about.views))
        self.encoder = make_encoder()
        self.variant: Variant = variant
        self.temperature = temperature
        width = self.encoder.out_channels
        self.dim = projection or width
        self.projector = projector(width, self.dim)

    @property
    def _shares(self) -> list[Shares]:
        return [cast(Shares, shares) for shares in self.shares]

    def begin_epoch(self, epoch: int, views: Sequence[View]) -> None:
        """Learn from the epoch before, and let the views draw by what was learned."""
        for shares, view in zip(self._shares, views, strict=True):
            shares.renew()
            if len(shares.p) > 1:
                cast(Any, view).reweigh(shares.p.tolist())

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return GraphCL's loss and contrast; remember what each kind of view cost."""
        self.need_views(views)
        graphs = torch.cat([f.graph for f in self.encoder.encode(views)])  # [2B, out_channels]
        query, key = unit_rows(self.projector(graphs).float()).chunk(2)  # [B, dim] each
        with torch.autocast(query.device.type, enabled=False):
            both = self.variant == "paper"  # directions
            losses = contrasts(query, key, self.temperature, self.variant, both)  # [B]
        if self.training:
            for shares, view in zip(self._shares, views, strict=True):
                if len(shares.p) > 1:
                    shares.note(view.drawn, losses.detach())
        return Step({"joao": losses.mean()}, [Contrast(query, key.detach(), self.temperature)])

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's graph features. Shapes: [B, out_channels]."""
        graph: Tensor = self.encoder(batch).graph
        return graph


class Shares(nn.Module):
    """The shares p of the kinds of a view, and what each kind was found to cost.

    Shapes: every buffer [n].
    """

    p: Tensor
    total: Tensor
    count: Tensor
    known: Tensor

    def __init__(self, start: Sequence[float], gamma: float, rate: float) -> None:
        super().__init__()
        self.gamma, self.rate = gamma, rate
        p = torch.tensor(start, dtype=torch.float64)
        self.register_buffer("p", p / p.sum())
        self.register_buffer("total", torch.zeros_like(p))
        self.register_buffer("count", torch.zeros_like(p))
        self.register_buffer("known", torch.full_like(p, torch.inf))  # L; inf: never drawn

    def note(self, drawn: Tensor, losses: Tensor) -> None:
        """Add the losses of graphs to the kinds they drew. Shapes: drawn [B], losses [B]."""
        n = len(self.p)
        self.total += torch.bincount(drawn, losses.to(self.total), minlength=n)
        self.count += torch.bincount(drawn, minlength=n)

    def renew(self) -> None:
        """Take one step of ascent with what was noted since the last one, if anything was."""
        if len(self.p) < 2 or not bool(self.count.any()):
            return
        self.known.copy_(torch.where(self.count > 0, self.total / self.count, self.known))
        there = self.known.isfinite()
        found = torch.where(there, self.known, self.known[there].mean())
        uphill = found - self.gamma * (self.p - 1 / len(self.p))
        self.p.copy_(on_simplex(self.p + self.rate * uphill))
        self.total.zero_()
        self.count.zero_()


def on_simplex(x: Tensor) -> Tensor:
    """Return the nearest point whose entries are not negative and sum to 1. Shapes: [n] -> [n].

    Reference: Duchi et al., "Efficient Projections onto the l1-Ball", ICML 2008, Fig. 1
    """
    falling = x.sort(descending=True).values
    over = (falling.cumsum(0) - 1) / torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)
    kept = int((falling > over).sum())
    out = (x - over[kept - 1]).clamp(min=0)
    return out / out.sum()


def _starts(specs: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return the weights each view begins with.

    Raises:
        UserError: there is nothing to choose.
    """
    specs = list(specs) * 2 if len(specs) == 1 else list(specs)
    names = [str(spec["name"]) for spec in specs]
    if len(specs) != 2 or set(names) - {"choice", "identity"}:
        raise UserError(
            f"views: method joao learns what to choose, and the recipe has {', '.join(names)}; "
            "give one 'choice' (it serves for both views), two of them, or 'identity' and 'choice'"
        )
    starts = [_weights(spec) for spec in specs]
    if all(len(start) < 2 for start in starts):
        raise UserError(
            "views: method joao has nothing to choose; list two or more views in choice.of"
        )
    return starts


def _weights(spec: Mapping[str, Any]) -> list[float]:
    if spec["name"] == "identity":
        return [1.0]
    return list(spec.get("weights") or [1.0] * len(spec["of"]))
