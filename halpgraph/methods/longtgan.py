"""LongT GAN: clips with holes are told whole again, well enough to fool a judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.adversary import duel
from halpgraph.cells import whole
from halpgraph.contracts import About, Encoder, Method, Step
from halpgraph.draws import Draws
from halpgraph.methods._regenerate import (
    check_poses,
    decoder_for,
    error,
    hide_cells,
    truth,
    width_of,
)
from halpgraph.persons import beside
from halpgraph.pose import clip_of_body, with_pose
from halpgraph.registry import methods
from halpgraph.streams import Stream, derive


@methods.register
class LongTGAN(Method):
    """An encoder's feature of a clip with holes must tell the whole clip, as a real one looks.

    With x a clip, m the same with a share of its (frame, joint) cells at zero, g = decoder(h_m) the
    clip that is told from the encoder's feature, and J a judge that says how real a clip is::

        reconstruction  mean (g - x)^2                          over the persons who are there
        fooling         w * BCE(J(g), 1)                        J stands still, g learns
        judging         BCE(J(x), 1) + BCE(J(g), 0)             g stands still, J learns

    All three are descended in one step, by one walk back (``halpgraph.adversary``). Nothing is
    contrasted, so no head goes with it.

    The authors' code was never published, and of the paper only its abstract was at hand: "a
    conditional skeleton inpainting architecture" that learns "a fixed-dimensional representation",
    with "additional adversarial training". All the rest is chosen here. Cells are hidden at random,
    exactly counted, the same ones of all persons of a clip. The decoder is a GRU that is shown the
    feature at every frame and nothing else, so that all it tells must lie in the feature. With
    ``conditional`` the encoder reads the whole clip x instead, and the decoder reads m as well,
    frame by frame: it fills the holes, on condition of the feature. Told frames count whether they
    were hidden or not. The judge is a GRU over the frames with a linear layer on its last output;
    it sees absent persons as zeros in either clip. Both players have the usual non-saturating cross
    entropy and one learning rate; w is small, for the error must lead. The encoder is the recipe's
    (the paper's is a GRU), and its feature of whole clips is what is evaluated.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: what is known of the data.
        stream: what the encoder is shown, and what is told.
        hidden_share: of the cells of a clip.
        conditional: whether the decoder, not the encoder, reads the clip with holes.
        decoder: width of the decoder's GRU.
        judge: width of the judge's GRU.
        fooling: w; at 0 there is no judge, and the error is all there is.

    Cost: a step encodes each clip once with gradient, decodes it once and judges it twice, as it is
    and as it is told.

    Raises:
        UserError: graphs that are no skeletons, or an encoder that is not of skeletons.

    Reference: Zheng et al., "Unsupervised Representation Learning with Long-Term Dynamics for
    Skeleton Based Action Recognition", AAAI 2018, https://doi.org/10.1609/aaai.v32i1.11853
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About | None = None,
        stream: Stream = "joint",
        hidden_share: Annotated[float, Field(gt=0, lt=1)] = 0.3,
        conditional: bool = False,
        decoder: Annotated[int, Field(ge=1)] = 128,
        judge: Annotated[int, Field(ge=1)] = 64,
        fooling: Annotated[float, Field(ge=0)] = 0.01,
    ) -> None:
        super().__init__()
        check_poses(self, about)
        self.stream, self.streams = stream, (stream,)
        self.hidden_share, self.conditional, self.fooling = hidden_share, conditional, fooling
        self.encoder = make_encoder(stream)
        check_poses(self, about, self.encoder)
        self.decoder = decoder_for(self.encoder, decoder, given=conditional)
        self.judge = Judge(width_of(self.encoder), judge) if fooling else None
        self.draws = Draws()

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the losses of one view of one batch."""
        self.need_views(views)
        shown = derive(views[0], self.stream)
        random = self.draws.next(shown.pose.device)
        poses = hide_cells(shown.pose, clip_of_body(shown), self.hidden_share, random)
        holes = with_pose(shown, poses)
        persons: int = self.encoder.persons  # type: ignore[assignment]
        wanted, mask = truth(shown, persons)  # [T, B, n], [B, n]
        feature = self.encoder(shown if self.conditional else holes).graph
        given = beside(holes, persons) if self.conditional else None
        told = self.decoder(feature, len(wanted), given).float() * mask  # [T, B, n]
        terms = {"reconstruction": error(told, wanted, mask)}
        if self.judge is not None:
            terms["fooling"], terms["judging"] = duel(self.judge, wanted, told, self.fooling)
        return Step(terms)

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's features of whole clips. Shapes: [B, D_encoder]."""
        graph: Tensor = self.encoder(derive(batch, self.stream)).graph
        return graph


class Judge(nn.Module):
    """Says how real a clip looks: a GRU over its frames, a linear layer on the last output.

    Args:
        width: numbers in a frame.
        hidden: width of the GRU.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, hidden)
        self.leave = nn.Linear(hidden, 1)

    def forward(self, frames: Tensor, given: int = 0) -> Tensor:
        """Return a logit a clip; the first ``given`` are data. Shapes: [T, B, width] -> [B]."""
        logits: Tensor = self.leave(whole(self.gru, frames, given=given)[-1])[:, 0]
        return logits
