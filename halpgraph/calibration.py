"""Batch norms of an encoder that was not trained, brought to the scale of the data."""

from __future__ import annotations

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from halpgraph.building import build_method
from halpgraph.contracts import Encoder, Method
from halpgraph.data.dataset import Store
from halpgraph.encoders._input_norm import ChannelNorm
from halpgraph.errors import UserError
from halpgraph.recipe import Recipe

BATCHES = 50  # of a running mean at momentum 0.1, 0.5 % is then left of where it began


def calibrate(method: Method, store: Store, batch_size: int, seed: int) -> None:
    """Show a method graphs, so that its batch norms know their means and variances; no step.

    Fresh batch norms have mean 0 and variance 1, whatever the data are; only training tells them
    better. What an encoder gains by training is therefore the weights' gain and this one together:
    an encoder with fresh weights and calibrated batch norms tells them apart.

    Args:
        method: changed in place; its weights stay.
        store: of the graphs that a training would see, as they are, without views.
        batch_size: graphs in a batch; a rest is left out.
        seed: of their order.
    """
    method.eval()
    for module in method.modules():
        if isinstance(module, (_BatchNorm, ChannelNorm)):
            module.train()
    size, draws = min(batch_size, len(store)), torch.Generator().manual_seed(seed)
    starts = range(0, len(store) - size + 1, size)
    left = BATCHES
    with torch.no_grad():
        while left > 0:
            order = torch.randperm(len(store), generator=draws).to(store.ptr.device)
            for low in starts[:left]:
                method.embed(store.batch(order[low : low + size]))
            left -= len(starts)
    method.eval()


def refuse(recipe: Recipe, store: Store) -> None:
    """Make sure that a recipe with the floor ``calibrated`` has something to calibrate.

    Raises:
        UserError: the encoder of its control has no batch norm.
    """
    if "calibrated" not in recipe.floors:
        return
    control = recipe.control or next(iter(recipe.arms))
    method = build_method(store, recipe.arm(control), 0)
    encoders = [module for module in method.modules() if isinstance(module, Encoder)]
    if not any(isinstance(part, _BatchNorm) for encoder in encoders for part in encoder.modules()):
        raise UserError(
            f"floors: calibrated: the encoder of {control} has no batch norm to calibrate, "
            "so it would be the same as untrained; leave it out"
        )
