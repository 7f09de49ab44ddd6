"""The labels that a semi-supervised method is shown, and nothing of the others."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from halpgraph import few_labels
from halpgraph.contracts import About
from halpgraph.errors import UserError


class ShownLabels(nn.Module):
    """A share of the training labels, looked up by ``id``; all others are as if there were none.

    The draw is the first of the ``semi`` and ``finetune`` evaluators with the same seed, share and
    ``balanced``. Positions and classes are buffers, so that a checkpoint tells what was shown.
    Classes are counted among the labels shown.

    Args:
        about: of the data; ``y`` are the labels to choose from.
        share: of the labels.
        balanced: the same share of every class, see ``few_labels.labelled``.
        method: the method's name, for messages.

    Shapes: positions [L] (sorted), classes [L].

    Raises:
        UserError: there are no labels that may be learnt from.
    """

    positions: Tensor
    classes: Tensor

    def __init__(self, about: About, share: float, balanced: bool, method: str) -> None:
        super().__init__()
        if about.y is None or about.id is None:
            raise UserError(
                f"method {method}: needs labels, and only those of the training part of a split of "
                "skeletons may be learnt from; use data.split with data.fit: train, or a method "
                "that needs no labels"
            )
        train, y = about.id.numpy(), about.y.numpy()
        known = np.zeros(int(train.max()) + 1, y.dtype)
        known[train] = y
        shown = few_labels.labelled(train, known, share, balanced, about.seed, 0)
        names, classes = np.unique(known[shown], return_inverse=True)
        self.count = len(names)
        self.register_buffer("positions", torch.from_numpy(shown).long())
        self.register_buffer("classes", torch.from_numpy(classes).long())

    def of(self, ids: Tensor) -> Tensor:
        """Return the classes of clips, -1 where the label is not shown. Shapes: ids [B] -> [B]."""
        at = torch.searchsorted(self.positions, ids).clamp_(max=len(self.positions) - 1)
        return torch.where(self.positions[at] == ids, self.classes[at], -1)
