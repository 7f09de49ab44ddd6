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
from halpgraph.pose import clip_of_body, with_pose
from halpgraph.registry import methods
from halpgraph.streams import Stream, derive

ORDERS = tuple(itertools.permutations(range(3)))
Weight = Annotated[float, Field(ge=0)]


@methods.register
class MS2L(Method):
    """Three tasks at once on one view of a clip, told from one encoder's features.

    Of a clip x of T frames there are three versions: x itself, m with its last frames at zero, and
    s with its three thirds in another order (one of six, drawn for every clip anew; the T mod 3
    frames that are left over stay last). With h the encoder's feature, f and g two heads (linear,
    batch norm, ReLU, linear), p_v = f(h_v) and c = (p_x + p_m + p_s) / 3::

        motion    mean (decoder(h_m) - x)^2         over the persons who are there, all frames
        jigsaw    cross entropy of g(h_s) and which of the six orders s is in
        contrast  mean over v in {x, m, s} of SimCLR(p_v, c)

    SimCLR(p, c) is the mean, over the 2B rows of both, of ``-log( exp(p_i.c_i / t) / sum_j
    exp(p_i.z_j / t) )`` on unit vectors, z_j being all rows but p_i itself. The loss is the
    weighted sum of the three. As released, c carries the gradient, and every version has batch
    statistics of its own in f.

    Different from the released code: its decoder reads the encoder's output frame by frame; here
    it is shown the clip's feature, which any encoder has, at every frame. Clips are resampled to T
    frames instead of filled up with zeros. A row's likeness to itself is left out of the sum above,
    where the released code has it at -1. What is foretold is the ``stream`` that the encoder is
    shown. Where 0.3 T is no whole number it is rounded; at least one frame is hidden and one left.

    For heads it publishes p_x as query and c as key, without gradient, both unit vectors; without
    the contrast there is nothing to publish. Nobody published HaLP on MS2L: the choice is ours.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: what is known of the data.
        stream: what the encoder is shown.
        temperature: t.
        hidden_share: of the frames, at the end of the clip, that are foretold.
        decoder: width of the decoder's GRU.
        decoder_layers: of the decoder's GRU.
        hidden: width of the hidden layer of both heads.
        projection: D of the projections.
        motion: weight of that task; at 0 it is left out, with what only it needs encoded.
        jigsaw: likewise.
        contrast: likewise.

    Cost: a step encodes each clip three times with gradient (with the contrast; without it, once a
    task), and decodes it once. As published the decoder is a GRU as large as the encoder's.

    Raises:
        UserError: graphs that are no skeletons, an encoder of graphs, clips of fewer than 3 frames,
            no task at all.

    Reference: Lin et al., "MS2L: Multi-Task Self-Supervised Learning for Skeleton Based Action
    Recognition", ACM MM 2020, https://arxiv.org/abs/2010.05599; released code
    https://github.com/LanglandsLin/MS2L
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
        decoder_layers: Annotated[int, Field(ge=1, le=16)] = 2,
        hidden: Annotated[int, Field(ge=1)] = 2048,
        projection: Annotated[int, Field(ge=1)] = 1024,
        motion: Weight = 1.0,
        jigsaw: Weight = 1.0,
        contrast: Weight = 1.0,
    ) -> None:
        super().__init__()
        check_poses(self, about)
        if about is not None and about.frames is not None and about.frames < 3:
            raise UserError(
                f"method ms2l: puts thirds of a clip in order, and clips have {about.frames} "
                "frames; set data.frames to 3 or more"
            )
        self.weights = {"motion": motion, "jigsaw": jigsaw, "contrast": contrast}
        if not any(self.weights.values()):
            raise UserError("method.motion, jigsaw, contrast: all of them 0; weigh one of them")
        self.stream, self.streams = stream, (stream,)
        self.temperature, self.hidden_share = temperature, hidden_share
        self.encoder = make_encoder(stream)
        check_poses(self, about, self.encoder)
        width = self.encoder.out_channels
        self.decoder = decoder_for(self.encoder, decoder, decoder_layers) if motion else None
        self.order = _head(width, hidden, len(ORDERS)) if jigsaw else None
        self.projector = _head(width, hidden, projection) if contrast else None
        if contrast:
            self.dim = projection
        self.draws = Draws()

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the tasks' losses and the contrast of one view of one batch."""
        self.need_views(views)
        shown = derive(views[0], self.stream)
        clips = shown.body_ptr.numel() - 1
        random = self.draws.next(shown.pose.device)
        kind = torch.randint(len(ORDERS), (clips,), generator=random, device=shown.pose.device)
        h = self._features(shown, kind)
        terms: dict[str, Tensor] = {}
        contrasts = []
        if self.decoder is not None:
            wanted, mask = truth(shown, self.encoder.persons)  # type: ignore[arg-type]
            terms["motion"] = error(self.decoder(h["m"], len(wanted)) * mask, wanted, mask)
        if self.order is not None:
            terms["jigsaw"] = F.cross_entropy(self.order(h["s"]).float(), kind)
        if self.projector is not None:
            rows = torch.stack([self.projector(h[v]).float() for v in "xms"])  # [3, B, D]
            with torch.autocast(rows.device.type, enabled=False):
                terms["contrast"], query, key = self._contrast(rows)
            contrasts = [Contrast(query, key.detach(), self.temperature, self.stream)]
        return Step({name: self.weights[name] * term for name, term in terms.items()}, contrasts)

    def _features(self, shown: Batch, kind: Tensor) -> dict[str, Tensor]:
        """Return the features of the versions that some task asks for. Shapes: [B, D] each."""
        every = self.projector is not None
        asked: dict[str, Batch] = {}
        if every:
            asked["x"] = shown
        if every or self.decoder is not None:
            asked["m"] = with_pose(shown, hide_end(shown.pose, self.hidden_share))
        if every or self.order is not None:
            asked["s"] = with_pose(shown, in_order(shown.pose, kind[clip_of_body(shown)]))
        found = self.encoder.encode(list(asked.values()))
        return {version: f.graph for version, f in zip(asked, found, strict=True)}

    def _contrast(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, queries and keys. Shapes: rows [3, B, D] -> [], [B, D], [B, D]."""
        mean = unit_rows(rows.mean(0))  # [B, D]
        units = [unit_rows(version) for version in rows]
        each = [nt_xent(p, mean, self.temperature, intra_view=True, unit=True) for p in units]
        return torch.stack(each).mean(), units[0], mean

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoder's features. Shapes: [B, D_encoder]."""
        graph: Tensor = self.encoder(derive(batch, self.stream)).graph
        return graph


def _head(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out)
    )


def hide_end(pose: Tensor, share: float) -> Tensor:
    """Return poses with the last ``share`` of the frames at zero, one or more but not all.

    Shapes: [R, T, C, V] -> same.
    """
    frames = pose.size(1)
    out = pose.clone()
    out[:, frames - min(max(round(share * frames), 1), frames - 1) :] = 0
    return out


def in_order(pose: Tensor, kind: Tensor) -> Tensor:
    """Return poses with their thirds in the order ``ORDERS[kind]``.

    Shapes: pose [R, T, C, V], kind [R] -> [R, T, C, V].
    """
    frames = pose.size(1)
    third = frames // 3
    pieces = torch.arange(3 * third, device=pose.device).view(3, third)
    orders = torch.tensor(ORDERS, device=pose.device)
    table = pieces[orders].flatten(1)  # [6, 3 * third]
    rest = torch.arange(3 * third, frames, device=pose.device).expand(len(ORDERS), -1)
    rows = torch.arange(len(pose), device=pose.device)[:, None]
    return pose[rows, torch.cat([table, rest], 1)[kind]]
