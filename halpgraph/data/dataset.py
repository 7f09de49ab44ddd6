"""What a data set is to the rest of the package, whether of graphs or of skeletons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.data.clips import Prepared
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.data.store import GraphStore
from halpgraph.errors import UserError

Store = GraphStore | SkeletonStore


@dataclass
class DataSet:
    """A data set and all that is known of it.

    ``y`` is class numbers (int64), targets (float32), or None; ``info`` is what ``data.json`` of
    a run folder holds; ``splits`` and ``metric`` are official ones, where there are any.
    ``groups`` [n] (subjects, views) are kept together in folds and inner folds. ``fit`` are the
    positions that encoders are trained on, None for all. ``names``, ``fields`` and
    the ``prepared`` set itself are those of skeleton clips.
    """

    store: Store
    y: NDArray[Any] | None
    info: dict[str, Any]
    splits: Mapping[str, Any] | None = None
    metric: str | None = None
    groups: NDArray[np.int64] | None = None
    fit: NDArray[np.int64] | None = None
    names: Sequence[str] = ()
    fields: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    prepared: Prepared | None = None

    @property
    def graphs(self) -> GraphStore:
        """Return the store of a set of graphs.

        Raises:
            UserError: it is one of skeletons.
        """
        if not isinstance(self.store, GraphStore):
            raise UserError(f"{self.info['name']}: skeletons, where graphs are needed")
        return self.store

    @property
    def fit_store(self) -> Store:
        """Return the part that encoders are trained on.

        Where that is the training part of a split, methods may learn from its labels too.
        """
        if self.fit is None:
            return self.store
        part = self.store.subset(self.fit.tolist())
        return replace(part, teaches=True) if isinstance(part, SkeletonStore) else part
