"""ISC: what one representation of a clip says is found among the keys of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch_geometric.data import Batch

from halpgraph.contracts import About, Contrast, Encoder, Method, Step
from halpgraph.errors import RunError, UserError
from halpgraph.methods._branch import Branch
from halpgraph.registry import encoders, methods
from halpgraph.streams import Stream

_WHERE = "methods.isc.partners"
_ALONE = "isc contrasts several - list one or more others, as [{name: stgcn}]; for one use moco"


def _checked(partners: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Return the specs of the partners with all their settings.

    Raises:
        UserError: none, a wrong one, or the same one twice.
    """
    if not partners:
        raise UserError(f"{_WHERE}: empty; {_ALONE}")
    found: list[dict[str, Any]] = []
    for i, spec in enumerate(partners):
        if not isinstance(spec, str | Mapping):
            raise UserError(
                f"{_WHERE}.{i}: {spec!r} is no encoder - write a name, or 'name: ...' and settings"
            )
        settings = encoders.settings(spec, f"{_WHERE}.{i}")
        if settings in found:
            raise UserError(f"{_WHERE}.{i}: stands there twice; give it other settings or leave it")
        found.append(settings)
    return found


Partners = Annotated[list[Any] | None, AfterValidator(_checked), Field(validate_default=True)]


@methods.register
class ISC(Method):
    """Inter-skeleton contrast: encoders that read a clip differently find each other's keys.

    Each representation (the recipe's ``encoder``, and every partner) is a branch of momentum
    contrast: encoder, projection, their momentum twins, and a bank of the twin's past keys. All
    read the same two views. With q_r the query of representation r for the first view, k_s the key
    of representation s for the second, and N_s the bank of s, all of length one, the loss is::

        sum over r != s of mean over clips of
            -q_r . k_s / t + log( exp(q_r . k_s / t) + sum over n in N_s of exp(q_r . n / t) )

    Both directions of a pair, all pairs of three or more; no query meets a key of its own encoder.
    As published: sequence (``bigru``) with graph (``stgcn``, ``adaptive: true``), or either of them
    with image (``hcn``). The paper pairs two; three at once is this package's.

    Keys enter their banks after the optimiser's step; before the first keys the others of the batch
    take the place of a bank. ``start: random`` fills the banks with random directions instead, as
    the released code does. The released code stores keys before the step, which changes nothing in
    the loss. Its evaluation takes one encoder of the pair; ``embed`` has them all side by side, and
    ``parts`` says which columns are whose.

    Streams are named after the encoders (``stgcn``, ``stgcn-2``). For heads, the contrasts of
    stream r are q_r with the key of each partner: its positives are made of its partners' keys. No
    HaLP on ISC was published.

    Args:
        make_encoder: makes a fresh encoder of a stream, the recipe's or another one.
        about: what is known of the data.
        partners: the other representations' encoders, each a name or a mapping of its name and
            settings; one or more, none of them the recipe's own ``encoder``.
        stream: what all encoders are shown of skeletons.
        temperature: t, of the softmax over keys.
        momentum: share of the key encoders that stays in one step.
        bank: how many past keys each representation keeps.
        projection: D of queries and keys.
        hidden: width of the projections' hidden layers; each encoder's own where left out.
        start: what the banks hold before the first keys.

    Raises:
        UserError: no partner, or one that is the same encoder; graphs that are no skeletons.

    Cost: one pass with and one without gradient of each encoder; of n encoders n (n - 1) contrasts.

    Reference: Thoker, Doughty and Snoek, "Skeleton-Contrastive 3D Action Representation Learning",
    ACM MM 2021, https://arxiv.org/abs/2108.03656; released code
    https://github.com/fmthoker/skeleton-contrast
    """

    n_views = 2

    def __init__(
        self,
        make_encoder: Callable[..., Encoder],
        about: About | None = None,
        partners: Partners = None,
        stream: Stream = "joint",
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        bank: Annotated[int, Field(ge=1)] = 16384,
        projection: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[int, Field(ge=1)] | None = None,
        start: Literal["empty", "random"] = "empty",
    ) -> None:
        super().__init__()
        about = about or About("pose")
        what = "contrasts representations of skeletons (sequence, graph, image)"
        self.need_poses(about, what, "graphcl")
        partners = _checked(partners)
        for i, spec in enumerate(partners):
            if spec == about.encoder:
                raise UserError(f"method.partners.{i}: is the recipe's encoder itself; {_ALONE}")
        self.stream, self.temperature, self.dim = stream, temperature, projection
        self.branches = nn.ModuleList(
            Branch(
                make_encoder if spec is None else partial(make_encoder, spec=spec),
                stream,
                temperature=temperature,
                momentum=momentum,
                bank=bank,
                projection=projection,
                hidden=hidden,
                start=start,
            )
            for spec in (None, *partners)
        )
        self.streams = _names(self._branches)

    @property
    def _branches(self) -> list[Branch]:
        return list(self.branches)  # type: ignore[arg-type]

    @property
    def parts(self) -> dict[str, int]:
        """Width of each representation's embedding."""
        widths = [branch.out_channels for branch in self._branches]
        return dict(zip(self.streams, widths, strict=True))

    def forward(self, views: Sequence[Batch]) -> Step:
        """Return the contrastive loss and the contrasts of two views of one batch."""
        self.need_views(views)
        branches = self._branches
        first, second = (branches[0].shown(view) for view in views)  # all see the same stream
        queries = [branch.query(first) for branch in branches]
        for branch in branches:
            branch.follow()
        keys = [branch.key(second) for branch in branches]
        pairs = list(permutations(range(len(branches)), 2))
        with torch.autocast(queries[0].device.type, enabled=False):
            loss = torch.stack([branches[s].contrast(queries[r], keys[s]) for r, s in pairs]).sum()
        contrasts = [
            Contrast(queries[r], keys[s], self.temperature, self.streams[r]) for r, s in pairs
        ]
        return Step({"isc": loss}, contrasts)

    def after_step(self) -> None:
        """Store the step's keys: only now has the gradient no more need of those they replace."""
        for branch in self._branches:
            branch.remember()

    def embed(self, batch: Batch) -> Tensor:
        """Return the encoders' features side by side, before projections. Shapes: [B, sum D]."""
        shown = self._branches[0].shown(batch)
        return torch.cat([branch.encoder(shown).graph for branch in self._branches], dim=1)

    def get_extra_state(self) -> dict[str, str]:
        """Return what the encoders were shown: their own names do not tell it."""
        return {"stream": self.stream}

    def set_extra_state(self, state: dict[str, str]) -> None:
        """Refuse weights that were trained on another stream."""
        if state["stream"] != self.stream:
            raise RunError(
                f"the checkpoint was trained on stream {state['stream']}, "
                f"the recipe says {self.stream}"
            )


def _names(branches: Sequence[Branch]) -> tuple[str, ...]:
    """Return the names of the encoders; a second one of a name is counted."""
    names: list[str] = []
    for branch in branches:
        name = type(branch.encoder).__module__.rsplit(".", 1)[-1]
        count = sum(type(b.encoder) is type(branch.encoder) for b in branches[: len(names)])
        names.append(f"{name}-{count + 1}" if count else name)
    return tuple(names)
