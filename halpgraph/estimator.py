"""The scikit-learn face: fit on graphs without labels, transform graphs into embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch_geometric.data import Data

from halpgraph.building import build_method
from halpgraph.data.dataset import DataSet
from halpgraph.data.features import Schema
from halpgraph.data.load import from_list
from halpgraph.data.skeleton_sets import from_clips, read_clips
from halpgraph.device import pick_device, threads
from halpgraph.engine import Trainer, embed
from halpgraph.errors import UserError
from halpgraph.recipe import Recipe, validate
from halpgraph.recipe_files import read_recipe


class GraphEmbedder(TransformerMixin, BaseEstimator):
    """Learn embeddings of graphs or of skeleton clips without labels, as a recipe says.

    Why: the same engine as ``halpgraph run``, where a pipeline of scikit-learn wants it. ``fit``
    never looks at ``y``. Fitted embedders pickle, and clone as scikit-learn's do.

    Args:
        recipe: file or name of a shipped recipe that everything not said here is taken from.
        overrides: ``{"encoder.hidden": 64}``: any keys of the recipe.
        head: False trains without the head of the recipe.
        epochs: None: the recipe's.
        features: node features to make (``labels``, ``attributes``, ``degree``, ``constant``);
            None: what the graphs have.
        seed: of the initial weights and of every draw.
        device: ``cpu``, ``cuda`` or ``auto``.
        layout: of skeleton clips, with a recipe for skeletons (``toy_stgcn``): the name of a layout
            or a layout file. Clips are arrays [T, V, C] or [M, T, V, C], or PyG ``Data`` with
            x [M * V, T, C].

    Attributes:
        trainer_state_: the fitted state, as tensors and plain values.
        history_: one dictionary an epoch: loss, terms, seconds, diagnostics of the head.
        n_features_: width of the node features; of clips, their channels.

    Reference:
        You et al., "Graph Contrastive Learning with Augmentations", NeurIPS 2020,
        https://arxiv.org/abs/2010.13902; Shah et al., "HaLP", CVPR 2023,
        https://arxiv.org/abs/2304.00387.
    """

    def __init__(
        self,
        recipe: str = "graphcl_mutag",
        *,
        overrides: dict[str, Any] | None = None,
        head: bool = True,
        epochs: int | None = None,
        features: list[str] | None = None,
        seed: int = 0,
        device: str = "cpu",
        layout: str | None = None,
    ) -> None:
        self.recipe = recipe
        self.overrides = overrides
        self.head = head
        self.epochs = epochs
        self.features = features
        self.seed = seed
        self.device = device
        self.layout = layout

    def fit(self, X: Iterable[Data], y: object = None) -> GraphEmbedder:
        """Pre-train on graphs, or on clips.

        Args:
            X: PyG ``Data`` objects with ``edge_index`` and perhaps ``x``; clips where there is a
                ``layout``.
            y: ignored.

        Raises:
            UserError: graphs that cannot be used; the message names them.
            RunError: the loss became NaN.
        """
        data = self._data(X, "fit", None)
        with threads(1):
            trainer = Trainer(data.store, self._recipe(), self.seed)
            self.history_ = []
            for _ in range(trainer.settings.epochs):
                report = trainer.train_epoch()
                self.history_.append(vars(report))
        self.trainer_state_ = trainer.state()
        self.schema_ = None if self.layout else data.graphs.schema
        self.n_features_ = data.info["num_features"]
        return self

    def transform(self, X: Iterable[Data]) -> NDArray[np.float32]:
        """Return embeddings. Shapes: n graphs -> [n, D].

        Raises:
            UserError: not fitted on such graphs (other node features).
        """
        check_is_fitted(self, "trainer_state_")
        data = self._data(X, "transform", self.schema_)
        recipe = self._recipe()
        device = pick_device(recipe.train.device)
        with threads(1):
            method = build_method(data.store, recipe, self.seed).to(device)
            method.load_state_dict(self.trainer_state_["method"])
            rows = embed(method, data.store.to(device))
        return np.asarray(rows.numpy())

    def _data(self, X: Iterable[Any], name: str, schema: Schema | None) -> DataSet:
        if self.layout is None:
            return from_list(_listed(X), self.features, name=name, schema=schema)
        own = self._recipe().data
        keys = ("frames", "centre", "align", "scale")
        return from_clips(
            read_clips(X), self.layout, name, split="none", **{k: getattr(own, k) for k in keys}
        )

    def _recipe(self) -> Recipe:
        content, lines = read_recipe(self.recipe)
        recipe = validate(content, lines)
        arm = recipe.arm(next(iter(recipe.arms)))
        changes: dict[str, Any] = {"train.device": self.device, **(self.overrides or {})}
        if self.epochs is not None:
            changes["train.epochs"] = self.epochs
        if not self.head:
            changes["head"] = None
        content = arm.model_dump()
        from halpgraph.recipe_files import assign

        for key, value in changes.items():
            assign(content, key, value, "overrides")
        if content["train"].get("init_from") is not None:
            raise UserError("train.init_from: embedders are trained from fresh weights; use a run")
        return validate(content)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        return tags


def _listed(graphs: Iterable[Data]) -> Sequence[Data]:
    listed = list(graphs)
    if not listed:
        raise UserError("X: no graphs")
    for i, graph in enumerate(listed):
        if not isinstance(graph, Data):
            kind = type(graph).__name__
            raise UserError(f"X[{i}]: must be a torch_geometric.data.Data, not {kind}")
    return listed
