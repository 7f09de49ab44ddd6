"""From a recipe's settings to the parts of a training: method, views, head, optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Generator, nn

from halpgraph import registry
from halpgraph.contracts import About, Encoder, Head, Method, View
from halpgraph.data.dataset import Store
from halpgraph.data.skeletons import SkeletonStore
from halpgraph.device import seeded
from halpgraph.errors import UserError
from halpgraph.recipe import Recipe


def about(store: Store, seed: int) -> About:
    """Return what methods are told of the graphs they are trained on."""
    if not isinstance(store, SkeletonStore):
        plain = store.num_codes <= 1 and bool((store.x == 1).all())
        return About("graph", seed, plain=plain, width=store.num_features, id=store.id.cpu())
    y = store.y.cpu() if store.teaches and store.y is not None else None
    return About("pose", seed, frames=store.out_frames, id=store.id.cpu(), y=y)


def build_method(store: Store, recipe: Recipe, seed: int) -> Method:
    """Build the method with fresh weights drawn from ``seed``; the caller's generators stay."""

    def make_encoder(stream: str = "joint", spec: Mapping[str, Any] | None = None) -> nn.Module:
        where = "encoder" if spec is None else "method"
        spec = registry.encoders.settings(recipe.encoder if spec is None else spec, where)
        kind: type[Encoder] = registry.encoders.get(spec["name"])
        try:
            wired = store.inputs(kind.takes, stream)
        except UserError as error:
            raise UserError(f"encoder {spec['name']}: {error}") from None
        encoder: nn.Module = registry.encoders.build(spec, where, **wired)
        return encoder

    settings = registry.encoders.settings(recipe.encoder, "encoder")
    views = [registry.views.settings(spec, f"views.{i}") for i, spec in enumerate(recipe.views)]
    told = replace(about(store, seed), encoder=settings, views=views)
    wired = {"make_encoder": make_encoder, "about": told}
    with seeded(seed):
        method: Method = registry.methods.build(recipe.method, "method", **wired)
    return method


def build_views(recipe: Recipe, wanted: int) -> list[View]:
    """Build a method's views; a single one in the recipe serves for all of them.

    Raises:
        UserError: neither one view nor as many as the method takes.
    """
    specs = recipe.views * wanted if len(recipe.views) == 1 else recipe.views
    if len(specs) != wanted:
        raise UserError(
            f"views: the method takes {wanted} views, the recipe has {len(specs)} - "
            "give one (it serves for all) or one for each"
        )
    return [registry.views.build(spec, f"views.{i}") for i, spec in enumerate(specs)]


def build_head(recipe: Recipe, method: Method, generator: Generator) -> Head | None:
    """Build the head, if the recipe has one.

    Raises:
        UserError: the method publishes no contrasts for it.
    """
    if recipe.head is None:
        return None
    if not hasattr(method, "dim"):
        raise UserError("head: this method publishes no contrasts; use 'head: null'")
    wired = {"dim": method.dim, "streams": method.streams, "generator": generator}
    head: Head = registry.heads.build(recipe.head, "head", **wired)
    return head
