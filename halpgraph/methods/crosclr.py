"""CrosSCLR: streams that show each other who else is a positive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Annotated

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from halpgraph.contracts import About, Encoder, View
from halpgraph.methods._streams import SeveralStreams, distinct
from halpgraph.neighbours import marked, mined_nce, opinions
from halpgraph.registry import methods
from halpgraph.streams import Stream


@methods.register
class CrosSCLR(SeveralStreams):
    """Cross-stream contrastive learning: positives mined in one stream count in the others.

    Before epoch ``start`` every stream is a SkeletonCLR, which is MoCo: InfoNCE over the own key
    and the bank, summed over the streams. From then on (the weights go on) each stream a learns
    from each partner b. The banks hold the same clips at the same places, so that what b finds
    most like its query is a positive of a's query too::

        own     = q_a . k_a                          one number, of each clip
        bank    = q_a . bank_a                       [K]
        context = (q_a . bank_a) * (q_b . bank_b)    [K], place by place
        I       = places of the n largest of q_b . bank_b
        loss_ab = -mean over {own, bank[I], context[I]} of
                      log softmax([own, bank, context] / temperature)
        loss    = sum over a of the mean over its partners b of loss_ab

    The context term is taken as the released code takes it. One temperature divides it, although
    it is a product of two cosines; its positives are marked at the same places as the bank's, so
    that of n = 1 a query has three positives; the same product serves a and b, and gradient goes
    through both of its factors: b is pulled towards what it found where a agrees, and the other way
    round. Places are found by b's query (not by its key) and carry no gradient. ``context: false``
    leaves it out. A term a stream is reported under the stream's name.

    Mended here, of the released code for three streams:

    * in its second stage only the motion key encoder followed its query encoder, those of joint
      and bone stood still; here all follow, always;
    * the heads of motion and bone were a layer in front of the joint stream's whole head, so that
      all gradients met in one head, and the key head of joint was moved on behalf of three twins;
      here each stream has a projection of its own, linear, ReLU, linear;
    * queues began as random directions; here a bank starts empty, negatives are the keys it holds,
      and before the first ones the others of the batch (should ``start`` be 0, the cross-stream
      stage begins with the first keys);
    * its batches had to divide the bank; here they need not.

    ``start`` counts epochs from 0: 150 plain epochs, as released. An embedding has all streams side
    by side, of which ``parts`` tells the widths; the released code adds the streams' scores up
    after each has its own classifier. Published: ST-GCN of a quarter of the width, batches of 128,
    SGD with a rate of 0.1, 300 epochs and a drop at 250. "CrosSCLR-B" of CMD's tables is this with
    encoder bigru.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: what is known of the data.
        streams: two or more of joint, motion, bone, bone-motion and distances.
        start: first epoch (from 0) of the cross-stream stage.
        neighbours: n, how many positives a partner finds; at most as many as the bank holds.
        context: whether the products of both streams' similarities are logits too.
        temperature: of every softmax.
        momentum: share of the key encoders that stays in one step.
        bank: K, how many past keys are kept of each stream.
        projection: D of queries and keys.
        hidden: width of the projections' hidden layer; the encoder's own where left out.

    Cost: of S streams, S encoder passes with gradient and S without; a product of the batch with
    the bank a stream, and from ``start`` on S (S - 1) softmaxes over 1 + 2 K logits.

    Reference: Li et al., "3D Human Action Representation Learning via Cross-View Consistency
    Pursuit", CVPR 2021, https://arxiv.org/abs/2104.14466; released code
    https://github.com/LinguoLi/CrosSCLR; CrosSCLR-B: Mao et al., ECCV 2022,
    https://arxiv.org/abs/2208.12448
    """

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About | None = None,
        streams: Annotated[tuple[Stream, ...], Field(min_length=2), AfterValidator(distinct)] = (
            "joint",
            "motion",
            "bone",
        ),
        start: Annotated[int, Field(ge=0)] = 150,
        neighbours: Annotated[int, Field(ge=1)] = 1,
        context: bool = True,
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        bank: Annotated[int, Field(ge=1)] = 32768,
        projection: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__(
            make_encoder,
            about,
            streams,
            temperature=temperature,
            momentum=momentum,
            bank=bank,
            projection=projection,
            hidden=hidden,
        )
        self.start, self.neighbours, self.context = start, neighbours, context
        self.epoch = 0

    def begin_epoch(self, epoch: int, views: Sequence[View]) -> None:
        """Take note of the epoch: from ``start`` on the streams learn from each other."""
        self.epoch = epoch

    def terms(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return a loss for each stream, under its name."""
        if self.epoch < self.start or self.each[0].bank.filled == 0:
            losses = [b.contrast(q, k) for b, q, k in zip(self.each, queries, keys, strict=True)]
        else:
            losses = self.across(queries, keys)
        return dict(zip(self.streams, losses, strict=True))

    def across(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> list[Tensor]:
        """Return each stream's mean over its partners. Shapes: [B, D] each -> [] each."""
        alike = [
            opinions(query, key, branch.bank.stored)  # [B, 1 + K]
            for branch, query, key in zip(self.each, queries, keys, strict=True)
        ]
        size = alike[0].size(1) - 1
        count = min(self.neighbours, size)
        mined = [marked(a[:, 1:].topk(count, dim=1).indices, size) for a in alike]  # [B, K]
        losses: list[list[Tensor]] = [[] for _ in alike]
        for own, partner in permutations(range(len(alike)), 2):
            logits, positives = alike[own], mined[partner]
            if self.context:
                product = alike[own][:, 1:] * alike[partner][:, 1:]  # [B, K]
                logits = torch.cat([logits, product], dim=1)  # [B, 1 + 2 K]
                positives = torch.cat([positives, positives], dim=1)
            losses[own].append(mined_nce(logits / self.temperature, positives))
        return [torch.stack(found).mean() for found in losses]
