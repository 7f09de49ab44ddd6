"""What every encoder of poses asks of a batch, and what a clip is made of its bodies."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import Batch

from halpgraph.errors import UserError
from halpgraph.layout import Layout
from halpgraph.pose import clip_of_body, sampled


def checked(batch: Batch, name: str, channels: int, layout: Layout, persons: int) -> Batch:
    """Return the batch, cut and resampled, if it is what the encoder was made for.

    Args:
        batch: of skeletons.
        name: the encoder's, for messages.
        channels: C it was made for; so are ``layout`` and ``persons``.
        layout: V.
        persons: M.

    Raises:
        UserError: no poses, or another C, V or M; the message names both numbers.
    """
    if "pose" not in batch:
        raise UserError(
            f"encoder {name}: needs skeletons, these graphs have no poses; use encoder gin"
        )
    batch = sampled(batch)
    found, wanted = tuple(batch.pose.shape[2:]), (channels, layout.num_joints)
    if found != wanted:
        raise UserError(
            f"encoder {name}: made for {wanted[0]} channels of {wanted[1]} joints "
            f"({layout.name}), but the batch has {found[0]} of {found[1]} "
            f"({batch.layout.name}); build the encoder for this stream and layout"
        )
    person = batch.person
    if person.device.type == "cpu" and person.numel() and int(person.max()) >= persons:
        raise UserError(
            f"encoder {name}: made for {persons} persons a clip, but the batch has a person in "
            f"slot {int(person.max()) + 1}; build the encoder for this data set"
        )
    return batch


def mean_over_bodies(rows: Tensor, batch: Batch) -> Tensor:
    """Return the mean of each clip's bodies, zeros for a clip without any.

    Shapes: rows [R, D] -> [B, D].
    """
    counts = batch.body_ptr.diff()  # [B]
    total = rows.new_zeros(counts.numel(), rows.size(1))
    total = total.index_add(0, clip_of_body(batch), rows)
    out: Tensor = total / counts.clamp(min=1)[:, None].to(rows.dtype)
    return out
