"""ASSL: few labels, inpainting, and neighbours that a judge cannot tell from labelled clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.adversary import reverse
from halpgraph.contracts import About, Encoder, Method, Step, View
from halpgraph.draws import Draws
from halpgraph.errors import UserError
from halpgraph.memory import KeyBank
from halpgraph.methods._neighbourhood import anchors, around, closeness, mean_where, told_apart
from halpgraph.methods._regenerate import check_poses, decoder_for, error, hide_cells, truth
from halpgraph.methods._shown import ShownLabels
from halpgraph.pose import clip_of_body, with_pose
from halpgraph.registry import methods
from halpgraph.streams import Stream, derive

Weight = Annotated[float, Field(ge=0)]


@methods.register
class ASSL(Method):
    """Semi-supervised: few labels, inpainting, and neighbours that couple the two.

    Of the paper this has the four parts; no code of it was released, and beyond its abstract little
    was at hand, so that what is written here in detail is this package's choice. With z the
    encoder's feature of a view x, h that of x with holes, p = softmax(classifier(z)), and a bank of
    the last features z::

        loss =   labelled      mean over the batch's labelled clips of  -log p_y
               + inpainting  * mean (decoder(h) - x)^2 over the persons who are there
               + consistency * mean over the batch's unlabelled clips of  KL(q || p)
               + adversary   * (mean over labelled clips l of  -log judge(z_l)
                                + mean over their neighbours u of  -log(1 - judge(z_u))) / 2

    Labels: ``labelled`` of those of the training part, drawn as the ``semi`` and ``finetune``
    evaluators draw their first (same seed, share and ``balanced``), looked up by ``id``. No other
    label is read, nor is ``y`` of a batch. Batches come as for any method, so that some have few
    labelled clips or none; that term is 0 there.

    Inpainting: ``hidden_share`` of the (frame, joint) cells of every clip are zero in its copy with
    holes; the decoder is a GRU that is shown h at every frame and tells the whole clip.

    Neighbours are found by cosine in the batch and the bank together, a clip's own older feature
    left out. ``q`` is the mean opinion of the ``neighbours`` nearest clips, without gradient: the
    label of one whose label is shown, else what the classifier, as it is now, says of its feature.

    The judge tells labelled clips, of batch and bank, from the ``neighbours`` unlabelled ones that
    lie nearest to each: those that ought to be of the same class. A neighbour counts as often as it
    is one. Both sides are a mix of new and old features, so that age tells the judge little. It is
    a hidden layer on standardised features; the gradient that reaches the encoder is turned (of
    both sides, those of the batch), so that it learns to make them alike. Without labelled clips in
    batch and bank the term is 0.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: of the data; ``about.y`` are the labels to choose from.
        stream: what the encoder is shown of skeletons, and regenerates.
        labelled: share of the training labels that is shown.
        balanced: the same share of every class, at least one; otherwise drawn from all.
        neighbours: how many are a clip's neighbourhood.
        bank: how many past features are kept.
        hidden_share: of the cells of a clip.
        decoder: width of the decoder's GRU.
        judge: width of the judge's hidden layer.
        inpainting: weight of the term of that name; at 0 nothing is inpainted.
        consistency: weight of what neighbours say.
        adversary: weight of what the judge says, in both directions.

    Cost: a step encodes each clip twice with gradient, once with holes, and decodes it once; at
    ``inpainting: 0`` it encodes each clip once.

    Raises:
        UserError: no labels that may be learnt from, graphs that are no skeletons, an encoder that
            is not of skeletons.

    Reference: Si et al., "Adversarial Self-Supervised Learning for Semi-Supervised 3D Action
    Recognition", ECCV 2020, https://arxiv.org/abs/2007.05934
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About,
        stream: Stream = "joint",
        labelled: Annotated[float, Field(gt=0, le=1)] = 0.1,
        balanced: bool = True,
        neighbours: Annotated[int, Field(ge=1)] = 5,
        bank: Annotated[int, Field(ge=1)] = 512,
        hidden_share: Annotated[float, Field(gt=0, lt=1)] = 0.3,
        decoder: Annotated[int, Field(ge=1)] = 128,
        judge: Annotated[int, Field(ge=1)] = 128,
        inpainting: Weight = 1.0,
        consistency: Weight = 1.0,
        adversary: Weight = 0.1,
    ) -> None:
        super().__init__()
        self.stream, self.streams, self.neighbours = stream, (stream,), neighbours
        self.inpainting, self.consistency, self.adversary = inpainting, consistency, adversary
        self.hidden_share = hidden_share
        self.shown = ShownLabels(about, labelled, balanced, "assl")
        self.encoder = make_encoder(stream)
        check_poses(self, about, self.encoder)
        width = self.encoder.out_channels
        self.classifier = nn.Linear(width, self.shown.count)
        self.judge = nn.Sequential(
            nn.LayerNorm(width, elementwise_affine=False),
            nn.Linear(width, judge),
            nn.LeakyReLU(0.2),
            nn.Linear(judge, 1),
        )
        self.decoder = decoder_for(self.encoder, decoder) if inpainting else None
        self.draws = Draws()
        self.bank, self.bank_ids = KeyBank(bank, width), KeyBank(bank, 1)
        self.bank_ids.keys = self.bank_ids.keys.long()
        self._fresh: tuple[Tensor, Tensor] | None = None

    def begin_epoch(self, epoch: int, views: Sequence[View]) -> None:
        """Refuse labels of one class alone: nothing can be learnt from them.

        Raises:
            UserError: they are.
        """
        if self.shown.count < 2:
            raise UserError(
                "method assl: the labels shown are all of one class; show more (method.labelled), "
                "or the same share of every class (method.balanced: true)"
            )

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the four losses of one view of a batch; it contrasts nothing."""
        self.need_views(views)
        batch = derive(views[0], self.stream)
        terms = {}
        if self.decoder is None:
            z = self.encoder(batch).graph.float()  # [B, D]
        else:
            holes = self._with_holes(batch)
            feature, z = (f.graph.float() for f in self.encoder.encode([holes, batch]))
            wanted, mask = truth(batch, self.encoder.persons)  # type: ignore[arg-type]
            told = self.decoder(feature, len(wanted)).float() * mask
            terms["inpainting"] = self.inpainting * error(told, wanted, mask)
        with torch.autocast(z.device.type, enabled=False):
            terms |= self._relations(z, batch.id)
        if self.training:
            self._fresh = (z.detach(), batch.id[:, None])
        return Step(terms)

    def _with_holes(self, batch: Batch) -> Batch:
        random = self.draws.next(batch.pose.device)
        holes = hide_cells(batch.pose, clip_of_body(batch), self.hidden_share, random)
        return with_pose(batch, holes)

    def _relations(self, z: Tensor, ids: Tensor) -> dict[str, Tensor]:
        """Return what labels and neighbours say of a batch. Shapes: z [B, D], ids [B]."""
        rows = torch.cat([z.detach(), self.bank.stored])  # [P, D]: the batch, then the bank
        every = torch.cat([ids, self.bank_ids.stored[:, 0]])  # [P]
        label = self.shown.of(every)  # [P]
        own, logits = label[: len(z)], self.classifier(z)
        known, here = anchors(label), torch.arange(len(z), device=z.device)
        similar = closeness(rows, every, torch.cat([here, known]))  # [B + A, P]
        with torch.no_grad():
            opinions = self.classifier(rows).softmax(1)  # [P, classes]
            told = F.one_hot(label.clamp(min=0), self.shown.count).to(opinions)
            opinions = torch.where(label[:, None] >= 0, told, opinions)
            target = around(similar[: len(z)], opinions, self.neighbours)
        sides = (reverse(z), self.bank.stored)  # apart: the bank needs no slopes
        found = torch.cat([self.judge(side) for side in sides])[:, 0]  # [P]
        judged = found, label, similar[len(z) :], known
        apart = F.kl_div(logits.log_softmax(1), target, reduction="none").sum(1)  # [B]
        return {
            "labelled": F.cross_entropy(logits, own, ignore_index=-1, reduction="sum")
            / (own >= 0).sum().clamp(min=1),
            "neighbours": self.consistency * mean_where(apart, own < 0),
            "adversary": self.adversary * told_apart(*judged, self.neighbours),
        }

    def after_step(self) -> None:
        """Store the step's features: only now has the gradient no more need of the old ones."""
        if self._fresh is not None:
            self.bank.push(self._fresh[0])
            self.bank_ids.push(self._fresh[1])
        self._fresh = None

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's features. Shapes: [B, D]."""
        graph: Tensor = self.encoder(derive(batch, self.stream)).graph
        return graph
