"""AimCLR: a second, extreme view learns to see what the normal view sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.contracts import About, Contrast, Encoder, Method, Step, View
from halpgraph.errors import UserError
from halpgraph.methods._branch import Branch
from halpgraph.neighbours import marked, mined_nce, opinions, soft_cross_entropy
from halpgraph.registry import methods
from halpgraph.streams import Stream


@methods.register
class AimCLR(Method):
    """Contrast with abundant information mining: extreme views, attention drop, mined positives.

    Three views of a clip: two normal ones make query q and key k as in ``skeletonclr``; an extreme
    one makes a query e, and, its most telling joints and cells dropped, a query d. With
    ``p(x) = softmax([x.k, x.n_1, ..., x.n_K] / t)`` over the own key and the bank::

        L1 = -log p(q)_0                       until mine_start, and from there on
        L1 = -mean over the positives j of log p(q)_j
        L2 = -sum_j p(q)_j log p(e)_j          L3 = -sum_j p(q)_j log p(d)_j     (D3M)
        L  = L1 + (L2 + L3) / 2

    p(q) being taken without gradient in L2 and L3; the positives are the own key and the nearest
    key in the bank of each of q, e and d (NNM).

    The drop (EADM) works on the last feature map F of a body, without gradient through the choice.
    With mean m and variance v of a channel over its n frames and joints (v divides by n - 1),
    ``a = sigmoid((F - m)^2 / (4 (v + 1e-4)) + 1/2)`` is how much a cell stands out; joints whose a,
    averaged over channels and frames, reaches ``drop``, are zeroed, then cells whose a does; each
    time what is left grows by all / kept. a is never below 0.62 and a channel's mean of a never
    above 0.68: where ``drop`` is at least that, something always stays, and of a constant map all
    does. The extreme view is encoded once, e and d are two readings of its map.

    Other than in the released code:

    * all and kept are counted body by body, not over a batch, so that clips do not depend on each
      other, and bodies that are not there do not count; where all would go, all stay;
    * the bank starts empty, not with random directions: negatives are the keys it holds, and
      before the first ones L1 to L3 are taken over the batch's own keys;
    * log p is taken from the logits: the logarithm of a softmax that rounds to 0 is not finite;
    * weights start as the encoder has it, not from N(0, 0.02);
    * views are drawn anew in every epoch; there, workers start each from the same seed.

    For heads it publishes q and k, those of the normal views; HaLP's supplement (E) says no more
    than that its term was added.

    Args:
        make_encoder: makes a fresh encoder of a stream; it must keep maps (``stgcn``, ``bigru``).
        about: what is known of the data.
        stream: what the encoder is shown.
        temperature: t.
        momentum: share of the key encoder that stays in one step.
        bank: K, how many past keys are kept.
        projection: D of queries and keys.
        hidden: width of the projection's hidden layer; the encoder's own where left out.
        mine_start: first epoch (from 0) with mined positives.
        drop: how much a joint or cell must stand out to be dropped; 1 drops nothing, and below
            0.63 everything would go.

    Cost: a step encodes each clip three times, twice with gradient; a few passes over the extreme
    view's map, and four products of a batch's queries with the bank (three with mined positives).

    Raises:
        UserError: graphs that are no skeletons, or an encoder without maps.

    Reference: Guo et al., "Contrastive Learning from Extremely Augmented Skeleton Sequences for
    Self-supervised Action Recognition", AAAI 2022, https://arxiv.org/abs/2112.03590; the energy:
    Yang et al., "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural
    Networks", ICML 2021, https://proceedings.mlr.press/v139/yang21o.html; released code
    https://github.com/Levigty/AimCLR; with HaLP: Shah et al., CVPR 2023, supplement E,
    https://arxiv.org/abs/2304.00387
    """

    n_views = 3

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About | None = None,
        stream: Stream = "joint",
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        bank: Annotated[int, Field(ge=1)] = 32768,
        projection: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[int, Field(ge=1)] | None = None,
        mine_start: Annotated[int, Field(ge=0)] = 150,
        drop: Annotated[float, Field(ge=0.63, le=1)] = 0.7,
    ) -> None:
        super().__init__()
        self.need_poses(about, "its extreme views are of skeletons", "method graphcl or moco")
        self.stream, self.streams = stream, (stream,)
        self.temperature, self.dim = temperature, projection
        self.mine_start, self.drop, self.epoch = mine_start, drop, 0
        self.branch = Branch(
            make_encoder,
            stream,
            temperature=temperature,
            momentum=momentum,
            bank=bank,
            projection=projection,
            hidden=hidden,
        )
        if type(self.branch.encoder).read is Encoder.read:
            raise UserError(
                "method aimclr: drops joints and frames from the encoder's last map, and this "
                "encoder keeps none; use encoder stgcn or bigru"
            )

    def begin_epoch(self, epoch: int, views: Sequence[View]) -> None:
        """Take note of the epoch: positives are mined from ``mine_start`` on."""
        self.epoch = epoch

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the losses and the contrast of a normal, a normal and an extreme view."""
        self.need_views(views)
        branch = self.branch
        first, second, extreme = (branch.shown(view) for view in views)
        query = branch.query(first)
        seen = branch.encoder(extreme)
        whole = branch.project(seen.graph)
        dropped = branch.project(branch.encoder.read(attention_drop(seen.maps, self.drop), extreme))
        branch.follow()
        key = branch.key(second)
        with torch.autocast(query.device.type, enabled=False):
            terms = self._terms(query, whole, dropped, key)
        return Step(terms, [Contrast(query, key, self.temperature, self.stream)])

    def _terms(
        self, query: Tensor, whole: Tensor, dropped: Tensor, key: Tensor
    ) -> dict[str, Tensor]:
        bank = self.branch.bank.stored
        three = (query, whole, dropped)
        if len(bank):
            said = [opinions(x, key, bank) / self.temperature for x in three]
        else:
            said = [x @ key.t() / self.temperature for x in three]  # the batch's own keys
        if len(bank) and self.epoch >= self.mine_start:
            places = torch.stack([x[:, 1:].argmax(1) for x in said], dim=1)  # [B, 3]
            contrast = mined_nce(said[0], marked(places, len(bank)))
        else:
            contrast = self.branch.contrast(query, key)
        parts = [soft_cross_entropy(said[0], other) for other in said[1:]]
        return {"aimclr": contrast, "d3m": (parts[0] + parts[1]) / 2}

    def after_step(self) -> None:
        """Store the step's keys."""
        self.branch.remember()

    def embed(self, batch: Batch) -> Tensor:
        """Return the query encoder's features, before the projection. Shapes: [B, D_encoder]."""
        return self.branch.embed(batch)


def attention_drop(maps: Tensor | None, limit: float) -> Tensor:
    """Return maps without the joints, and then the cells, that stand out most.

    Whatever the precision of the maps, they are compared in float32: ``drop`` is so near to where
    most cells are that rounding would decide. No gradient passes through what is compared.

    Shapes: maps [R, D, T, V] -> same.

    Reference: Guo et al., AAAI 2022, energy-based attention-guided drop module.
    """
    if maps is None:
        raise UserError("method aimclr: this encoder keeps no maps; use encoder stgcn or bigru")
    if limit >= 1:  # a sigmoid rounds to 1
        return maps
    with torch.no_grad(), torch.autocast(maps.device.type, enabled=False):
        plain = maps.float()
        apart = (plain - plain.mean((2, 3), keepdim=True)) ** 2
        cells = max(maps.size(2) * maps.size(3) - 1, 1)
        spread = apart.sum((2, 3), keepdim=True) / cells
        attention = torch.sigmoid(apart / (4 * (spread + 1e-4)) + 0.5)  # [R, D, T, V]
        joints = _kept(attention.mean((1, 2), keepdim=True) < limit)  # [R, 1, 1, V]
        keep = joints * _kept(attention < limit)
    return maps * keep


def _kept(stays: Tensor) -> Tensor:
    """Return 0 for what is dropped and all / kept for the rest, body by body."""
    share = stays.float().mean((1, 2, 3), keepdim=True)
    return torch.where(share == 0, torch.ones_like(share), stays / share.clamp_min(1e-12))
