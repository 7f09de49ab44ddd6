"""SkeletonCLR: momentum contrast of one stream on ST-GCN, CrosSCLR's single-stream baseline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from halpgraph.contracts import Encoder
from halpgraph.methods.moco import MoCo
from halpgraph.registry import methods
from halpgraph.streams import Stream


@methods.register
class SkeletonCLR(MoCo):
    """Momentum contrast of two views of one stream, as CrosSCLR and AimCLR build on.

    It is ``moco`` under the name and with the settings that it has in CrosSCLR's paper: an ST-GCN
    encoder (the recipe's), a bank of 32768 keys that starts with random directions, and the loss
    ``-log( exp(q.k / t) / ( exp(q.k / t) + sum_j exp(q.n_j / t) ) )`` over the bank's keys n_j.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        stream: what the encoder is shown.
        temperature: t, of the softmax over keys.
        momentum: share of the key encoder that stays in one step.
        bank: how many past keys are kept.
        projection: D of queries and keys.
        hidden: width of the projection's hidden layer; the encoder's own where left out.
        start: what the bank holds before the first keys.

    Cost: a step encodes each clip twice, once with gradient.

    Reference: Li et al., "3D Human Action Representation Learning via Cross-View Consistency
    Pursuit", CVPR 2021, section 3.2, https://arxiv.org/abs/2104.14466
    """

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        stream: Stream = "joint",
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        bank: Annotated[int, Field(ge=1)] = 32768,
        projection: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[int, Field(ge=1)] | None = None,
        start: Literal["empty", "random"] = "random",
    ) -> None:
        super().__init__(
            make_encoder,
            stream=stream,
            temperature=temperature,
            momentum=momentum,
            bank=bank,
            projection=projection,
            hidden=hidden,
            start=start,
        )
