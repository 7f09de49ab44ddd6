"""Loading saved states strictly: what does not fit is named, and nothing is loaded in part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from halpgraph.errors import RunError


def fits(state: Mapping[str, Any], streams: Sequence[str], optimizer: str) -> None:
    """Check that a checkpoint is of the streams and the optimiser that a recipe names.

    Raises:
        RunError: it is of others.
    """
    for what, found, wanted in (
        ("stream", state.get("streams", streams), streams),
        ("optimizer", [state.get("kind", optimizer)], [optimizer]),
    ):
        if list(found) != list(wanted):
            raise RunError(
                f"the checkpoint was trained on {what} {', '.join(found)}, "
                f"the recipe says {', '.join(wanted)}"
            )


def load(module: nn.Module, state: Mapping[str, Any], what: str) -> None:
    """Load a module's state, all of it or nothing.

    Args:
        module: what is loaded into.
        state: its ``state_dict``, as it was saved.
        what: how the module is called in messages.

    Raises:
        RunError: keys are missing or unknown, or shapes differ; the message names the first ones.
    """
    own = module.state_dict()
    shapes = [
        f"{key} {list(state[key].shape)}, the recipe makes it {list(value.shape)}"
        for key, value in own.items()
        if key in state and hasattr(value, "shape") and value.shape != state[key].shape
    ]
    problems = [
        f"{kind}: {_first(keys)}"
        for kind, keys in (
            ("missing", [key for key in own if key not in state]),
            ("not of this recipe", [key for key in state if key not in own]),
            ("of another shape", shapes),
        )
        if keys
    ]
    if problems:
        raise RunError(f"the checkpoint's {what} does not fit the recipe - {'; '.join(problems)}")
    module.load_state_dict(dict(state))


def _first(keys: Iterable[str]) -> str:
    first, *rest = keys
    return f"{first} (and {len(rest)} more)" if rest else first


def load_optimizer(optimizer: Optimizer, state: Mapping[str, Any], method: nn.Module) -> None:
    """Load what an optimiser remembers of the method's weights; its settings stay its own.

    The method's weights come first in ``state``; those of a head that followed are passed over.
    """
    count = sum(p.requires_grad for p in method.parameters())
    own = optimizer.state_dict()
    own["state"] = {i: kept for i, kept in state["state"].items() if i < count}
    optimizer.load_state_dict(own)
