"""Data set cards: one YAML file a set, saying where it comes from and what must be found in it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from halpgraph.errors import RunError
from halpgraph.shipped import shipped

FeatureName = Literal["labels", "attributes", "degree", "constant"]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Statistics(BaseModel):
    """What must be counted after loading; whatever is left out is not checked."""

    model_config = _STRICT

    graphs: int | None = None
    nodes: int | None = None
    edges: int | None = None  # undirected
    class_counts: tuple[int, ...] | None = None
    node_labels: int | None = None
    attributes: int | None = None
    edge_labels: int | None = None
    frames: int | None = None  # of skeletons: all frames of all clips
    splits: dict[str, tuple[int, int]] = Field(default_factory=dict)  # clips to train, to test


class Card(BaseModel):
    """One data set: source, citation, licence, mirrors, checksums, statistics, features.

    ``sha256`` maps the names of the text files to their checksums: it holds for a folder, and for
    an archive however it was packed.
    """

    model_config = _STRICT

    name: str
    title: str
    source: Literal["tu", "ogb", "skeletons", "toy"]
    about: str
    citation: str
    licence: str = "not stated by the source"
    mirrors: tuple[str, ...] = ()
    sha256: dict[str, Hash] = Field(default_factory=dict)
    statistics: Statistics = Statistics()
    features: tuple[FeatureName, ...] = ()
    class_names: tuple[str, ...] = ()
    layout: str | None = None  # of skeletons
    persons: int = 1  # most bodies of a clip
    how: str = ""  # where skeletons are to be had, in a sentence


def read_card(path: Path) -> Card:
    """Read and validate one card.

    Raises:
        RunError: the file is no card; the message says which key is wrong.
    """
    try:
        return Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise RunError(f"{path}: not a valid data set card: {error}") from None


@lru_cache(maxsize=1)
def _all() -> dict[str, Card]:
    found = [read_card(path) for path in sorted(shipped("datasets").glob("*.yaml"))]
    return {card.name: card for card in found}


def cards() -> dict[str, Card]:
    """Return every shipped card by name."""
    return dict(_all())


def card_of(name: str) -> Card | None:
    """Return the card of a data set, or None for a set of the user's own."""
    return _all().get(name)
