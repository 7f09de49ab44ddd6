"""The contracts between the rooms: what a view, an encoder, a method, a head and an evaluator are.

The engine knows only these; rooms do not import each other. Letters are those of ``batch.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch_geometric.data import Batch
from torch_geometric.transforms import BaseTransform

from halpgraph.errors import UserError


@dataclass(frozen=True)
class Features:
    """What an encoder returns.

    ``maps`` are what ``graph`` is pooled from, where the encoder keeps a place in time and space
    (a body, a frame, a joint): ``Encoder.read`` makes ``graph`` of them again. ``levels`` are what
    each layer that is read out made of the nodes, the last being ``local``, where the encoder is
    one of nodes; ``Encoder.encode`` may leave them out.

    Shapes: graph [B, D], local [N, d], maps [R, d, T', V'], each level [N, d].
    """

    graph: Tensor
    local: Tensor
    maps: Tensor | None = None
    levels: Sequence[Tensor] = ()


class View(BaseTransform, ABC):
    """A random change of every graph of a batch: the same graphs in the same order, none emptied.

    Every graph draws for itself, from the generator that is passed; the batch that is passed is
    not changed. Structure and order follow ``batch.py``.
    """

    @abstractmethod
    def forward(self, batch: Batch, generator: Generator | None = None) -> Batch:
        """Return the changed batch."""

    def __call__(self, batch: Batch, generator: Generator | None = None) -> Batch:
        """Return the changed batch."""
        return self.forward(batch, generator)


class Encoder(nn.Module, ABC):
    """``Batch -> Features``. ``out_channels`` is D, the width of ``Features.graph``.

    ``level_channels`` are the widths of ``Features.levels``; empty where there are none.
    ``weighs_edges`` tells whether the encoder reads a batch's ``edge_weight``.

    Wired by the engine, by what the encoder takes: ``num_codes`` and ``in_channels`` (dense F) of
    any graphs where it takes ``graph``; ``in_channels`` (C of the stream), ``layout`` and
    ``persons`` (M) of skeletons where it takes ``pose``.
    """

    takes: Literal["graph", "pose"] = "graph"
    out_channels: int
    level_channels: Sequence[int] = ()
    weighs_edges: bool = False

    @abstractmethod
    def forward(self, batch: Batch) -> Features:
        """Encode a batch."""

    def encode(self, batches: Sequence[Batch]) -> list[Features]:
        """Encode several batches, as if one after another; an encoder may do so in one pass."""
        return [self(batch) for batch in batches]

    def read(self, maps: Tensor, batch: Batch) -> Tensor:
        """Return the graph features of maps that were changed. Shapes: [R, d, T', V'] -> [B, D].

        Raises:
            UserError: this encoder has no maps.
        """
        name = type(self).__module__.rsplit(".", 1)[-1]
        raise UserError(f"encoder {name}: has no maps over frames and joints; use stgcn or bigru")


@dataclass(frozen=True)
class About:
    """What a method is told of the graphs it is trained on.

    ``plain`` means that every node has the same features, ``width`` is how many columns they have
    when written out (of graphs; ``batch.node_features``). ``y`` are labels that may be learnt from:
    those of the training part of a split of skeletons, and None in every other case; ``id`` is the
    position of each graph in its data set, as in a batch's ``id``. ``encoder`` are the settings of
    the recipe's encoder, its name among them, ``views`` those of its views: one for all, or each.

    Shapes: id [n], y [n].
    """

    kind: Literal["graph", "pose"] = "graph"
    seed: int = 0
    plain: bool = False
    width: int | None = None
    frames: int | None = None
    id: Tensor | None = None
    y: Tensor | None = None
    encoder: Mapping[str, Any] = field(default_factory=dict)
    views: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Contrast:
    """A pair that a method contrasted, for heads to build on.

    ``query`` [B, D] carries the gradient, ``key`` [B, D] does not; rows are unit vectors.
    """

    query: Tensor
    key: Tensor
    temperature: float
    stream: str = "graph"


@dataclass
class Step:
    """What a method did with one batch: loss terms by name, and the contrasts behind them."""

    terms: dict[str, Tensor]
    contrasts: list[Contrast] = field(default_factory=list)


class Method(nn.Module, ABC):
    """``views -> Step``. Wired by the engine: ``make_encoder``, a factory of fresh encoders.

    ``make_encoder()`` fits the data as they are, ``make_encoder(stream)`` a stream of skeletons
    (see ``streams.derive``), which the method then shows it; ``make_encoder(stream, spec)`` is
    another encoder than the recipe's. A constructor that asks for ``about`` is told of the data.
    ``streams`` names what the method contrasts. What it draws comes from a ``Draws`` of its own.
    """

    n_views: int = 2
    streams: tuple[str, ...] = ("graph",)

    @property
    def name(self) -> str:
        """What recipes call the method: its file's name."""
        return type(self).__module__.rsplit(".", 1)[-1]

    def need_views(self, views: Sequence[Batch]) -> None:
        """Fail where there are not as many views as the method takes.

        Raises:
            UserError: fewer or more.
        """
        if len(views) != self.n_views:
            many = "view" if self.n_views == 1 else "views"
            raise UserError(f"method {self.name}: needs {self.n_views} {many}, got {len(views)}")

    def need_poses(self, about: About | None, what: str, instead: str) -> None:
        """Fail where the data are no skeletons.

        Args:
            about: what is known of the data; nothing is checked without.
            what: what the method does with skeletons, for the message.
            instead: what to use for graphs.

        Raises:
            UserError: they are graphs.
        """
        if about is not None and about.kind != "pose":
            raise UserError(
                f"method {self.name}: {what}, and these graphs have no poses; use {instead}"
            )

    @abstractmethod
    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the loss terms and the contrasts of one batch, given its ``n_views`` views."""

    @abstractmethod
    def embed(self, batch: Batch) -> Tensor:
        """Return the embeddings an evaluator sees. Shapes: [B, D]."""

    @property
    def parts(self) -> dict[str, int]:
        """Names and widths of what lies side by side in ``embed``; empty where it is one thing."""
        return {}

    def begin_epoch(self, epoch: int, views: Sequence[View]) -> None:
        """Called before every epoch (from 0), with the views that are going to be used."""

    def after_step(self) -> None:
        """Called after every optimiser step; keys of a step enter their bank here."""


class Head(nn.Module, ABC):
    """Adds loss terms to any method that publishes contrasts.

    Wired by the engine: ``dim`` (D of the contrasts) and ``streams`` of the method.
    """

    @abstractmethod
    def forward(self, contrasts: Sequence[Contrast], epoch: int) -> dict[str, Tensor]:
        """Return weighted terms by name, to be added to the loss. ``epoch`` counts from 0."""

    def pop_diagnostics(self) -> dict[str, Any]:
        """Return means of what was measured since the last call (one call an epoch), as floats."""
        return {}


IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """One split of a data set into positions to learn from and positions to be judged on.

    ``groups`` [n] (subjects, views) are kept together where something is chosen inside ``train``.
    """

    train: IntArray
    test: IntArray
    valid: IntArray | None = None
    groups: IntArray | None = None


@dataclass
class Scores:
    """What an evaluator found: one value a fold for each metric, and every prediction it made.

    ``predicted`` [n] holds -1 (or NaN) where a position was in no test fold; ``fold`` [n] likewise.
    ``chosen`` tells the settings picked inside each fold, ``seconds`` the CPU time spent.
    ``probabilities`` [n, classes], for ensembles, have a column a class in the order of the labels
    and NaN where ``fold`` is -1; their rows sum to 1.
    """

    metrics: dict[str, list[float]]
    predicted: NDArray[Any]
    fold: IntArray
    chosen: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    probabilities: FloatArray | None = None


class Build(Protocol):
    """``build()`` is a copy of the trained method, ``build(trained=False)`` one of fresh weights.

    Fresh weights are those that the training started from. Every call gives a copy of its own.
    """

    def __call__(self, trained: bool = True) -> Method:
        """Return a method."""


class Evaluator(ABC):
    """``(z, y, folds) -> Scores``: learns on ``fold.train`` only and never sees how it is judged.

    Every choice is made inside ``fold.train`` with splits seeded by ``seed``. Where
    ``needs_encoder`` is true, ``tune`` is called instead, with the encoder in place of embeddings.
    ``parts`` are those of the method, set before the call: which columns of ``z`` are which stream.
    """

    needs_encoder: bool = False
    parts: Mapping[str, int] = {}

    def tune(
        self, build: Build, store: Any, y: IntArray, folds: Sequence[Fold], seed: int
    ) -> Scores:
        """Evaluate by training the encoder further.

        ``Method.embed`` must let gradients through for that.

        Args:
            build: makes copies of the method, on the device of the store.
            store: the whole data set (``source``, ``finish``, ``batch``, ``ptr``).
            y: labels.
            folds: outer folds, positions in the store.
            seed: of every draw.

        Shapes: y [n].
        """
        raise NotImplementedError(f"{type(self).__name__} works on embeddings")

    def shown_clips(self, clips: int) -> int:
        """Return how often ``tune`` will show a clip of so many to train on; for ``check``."""
        return 0

    @abstractmethod
    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""


Progress = Callable[[str, Mapping[str, float]], None]
