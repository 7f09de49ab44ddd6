"""MS2L: a clip's end foretold, its pieces put in order, and its versions pulled together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Batch

from halpgraph.contracts import About, Contrast, Encoder, Method, Step
from halpgraph.draws import Draws
from halpgraph.errors import UserError
from halpgraph.methods._regenerate import check_poses, decoder_for, error, truth
from halpgraph.objectives import nt_xent, unit_rows
from halpgraph.pose import clip_of_body, sampled, with_pose
from halpgraph.registry import methods
from halpgraph.streams import Stream, derive

ORDERS = tuple(itertools.permutations(range(3)))
Weight = Annotated[float, Field(ge=0)]


@methods.register
class MS2L(Method):
    """Three tasks at once on one view of a clip, told from one encoder's features.

    Of a clip x of T frames there are three versions: x itself, m with its last frames at zero, and
    s with its three thirds in another order (one of six, drawn for every clip; frames beyond
    3 floor(T / 3) stay last). With h the encoder's feature::

        motion    mean (decoder(h_m) - x)^2        over the persons who are there, all frames
        jigsaw    cross entropy of which order s is in, told by a linear layer from h_s
        contrast  mean over v in {x, m, s} of -log( exp(p_v.c / t) / sum_j exp(p_v.c_j / t) )

    p are unit projections, c the direction of a clip's mean projection over its versions, and the
    sum goes over the clips of the batch. The loss is the weighted sum of the three.

    Chosen here: the decoder is shown the feature at every frame (the paper's reads it once); means
    c carry the gradient; what the encoder sees of x is the ``stream``, and so is what is foretold.
    For heads it publishes p_x as query and c, without gradient, as key.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: what is known of the data.
        stream: what the encoder is shown.
        temperature: t.
        hidden_share: of the frames, at the end of the clip, that are foretold.
        decoder: width of the decoder's GRU.
        hidden: width of the projection's hidden layer.
        projection: D of the projections.
        motion: weight of that task; so are ``jigsaw`` and ``contrast``.
        jigsaw: see ``motion``.
        contrast: see ``motion``.

    Cost: a step encodes each clip three times with gradient, and decodes it once.

    Raises:
        UserError: graphs that are no skeletons, clips of fewer than 3 frames, no task at all.

    Reference: Lin et al., "MS2L: Multi-Task Self-Supervised Learning for Skeleton Based Action
    Recognition", ACM MM 2020, https://arxiv.org/abs/2010.05599
    """

    n_views = 1

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About | None = None,
        stream: Stream = "joint",
        temperature: Annotated[float, Field(gt=0)] = 0.9,
        hidden_share: Annotated[float, Field(gt=0, lt=1)] = 0.3,
        decoder: Annotated[int, Field(ge=1)] = 600,
        hidden: Annotated[int, Field(ge=1)] = 2048,
        projection: Annotated[int, Field(ge=1)] = 1024,
        motion: Weight = 1.0,
        jigsaw: Weight = 1.0,
        contrast: Weight = 1.0,
    ) -> None:
        super().__init__()
        check_poses("ms2l", about)
        if about is not None and about.frames is not None and about.frames < 3:
            raise UserError(
                f"method ms2l: puts thirds of a clip in order, and clips have {about.frames} "
                "frames; set data.frames to 3 or more"
            )
        self.weights = {"motion": motion, "jigsaw": jigsaw, "contrast": contrast}
        if not any(self.weights.values()):
            raise UserError("method.motion, jigsaw, contrast: all of them 0; weigh one of them")
        self.stream, self.streams, self.dim = stream, (stream,), projection
        self.temperature, self.hidden_share = temperature, hidden_share
        self.encoder = make_encoder(stream)
        check_poses("ms2l", about, self.encoder)
        width = self.encoder.out_channels
        self.decoder = decoder_for(self.encoder, decoder) if motion else None
        self.order = nn.Linear(width, len(ORDERS)) if jigsaw else None
        self.projector = (
            nn.Sequential(
                nn.Linear(width, hidden),
                nn.BatchNorm1d(hidden),
                nn.ReLU(),
                nn.Linear(hidden, projection),
            )
            if contrast
            else None
        )
        self.draws = Draws()

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the tasks' losses and the contrast of one view of one batch."""
        if len(views) != self.n_views:
            raise UserError(f"method ms2l: needs 1 view, got {len(views)}")
        shown = self._shown(views[0])
        clips = shown.body_ptr.numel() - 1
        random = self.draws.next(shown.pose.device)
        kind = torch.randint(len(ORDERS), (clips,), generator=random, device=shown.pose.device)
        hidden = with_pose(shown, hide_end(shown.pose, self.hidden_share))
        mixed = with_pose(shown, in_order(shown.pose, kind[clip_of_body(shown)]))
        plain, foretold, puzzle = (f.graph for f in self.encoder.encode([shown, hidden, mixed]))
        terms: dict[str, Tensor] = {}
        contrasts = []
        if self.decoder is not None:
            wanted, mask = truth(shown, self.encoder.persons)  # type: ignore[arg-type]
            terms["motion"] = error(self.decoder(foretold, len(wanted)), wanted, mask)
        if self.order is not None:
            terms["jigsaw"] = F.cross_entropy(self.order(puzzle), kind)
        if self.projector is not None:
            rows = self.projector(torch.cat([plain, foretold, puzzle])).float()
            terms["contrast"], query, key = self._contrast(rows.view(3, clips, -1))
            contrasts = [Contrast(query, key.detach(), self.temperature, self.stream)]
        return Step({name: self.weights[name] * term for name, term in terms.items()}, contrasts)

    def _contrast(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, queries and keys. Shapes: rows [3, B, D] -> [], [B, D], [B, D]."""
        units = [unit_rows(version) for version in rows]
        mean = unit_rows(torch.stack(units).mean(0))  # [B, D]
        each = [nt_xent(p, mean, self.temperature, symmetric=False, unit=True) for p in units]
        return torch.stack(each).mean(), units[0], mean

    def _shown(self, batch: Batch) -> Batch:
        return sampled(batch) if self.stream == "joint" else derive(batch, self.stream)

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's features. Shapes: [B, D_encoder]."""
        graph: Tensor = self.encoder(self._shown(batch)).graph
        return graph


def hide_end(pose: Tensor, share: float) -> Tensor:
    """Return poses with the last ``share`` of the frames at zero. Shapes: [R, T, C, V]."""
    out = pose.clone()
    out[:, pose.size(1) - round(share * pose.size(1)) :] = 0
    return out


def in_order(pose: Tensor, kind: Tensor) -> Tensor:
    """Return poses with their thirds in the order ``ORDERS[kind]``.

    Shapes: pose [R, T, C, V], kind [R] -> [R, T, C, V].
    """
    frames = pose.size(1)
    third = frames // 3
    table = torch.arange(frames, device=pose.device).repeat(len(ORDERS), 1)  # [6, T]
    for row, order in enumerate(ORDERS):
        for place, piece in enumerate(order):
            table[row, place * third : (place + 1) * third] = torch.arange(third) + piece * third
    rows = torch.arange(len(pose), device=pose.device)[:, None]
    return pose[rows, table[kind]]
