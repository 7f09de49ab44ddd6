"""What every format hands on: clips one by one, and what the file says of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from halpgraph.data.clips import Clip


@dataclass
class RawClip(Clip):
    """A clip as a file has it, before it is scaled and brought to the layout's channels.

    ``score`` says whether the last channel is a confidence (None: as the layout says); ``image``
    is (height, width) in pixels, for poses found in images.
    """

    score: bool | None = None
    image: tuple[int, int] | None = None


@dataclass(frozen=True)
class Skipped:
    """A clip that could not be used, and why; perhaps because its joints are not the layout's."""

    name: str
    reason: str
    other_layout: bool = False


@dataclass
class Source:
    """An opened file or folder.

    ``clips`` reads as it goes. ``classes`` are names in the order of the labels, empty where the
    file has none; ``num_classes`` how many there are, where only that is known. ``splits`` are
    names of clips by split and part. ``values`` are the texts that the numbers of a field stand
    for; ``missing`` names that the file speaks of without having them.
    """

    clips: Iterator[Clip | Skipped]
    classes: Sequence[str] = ()
    num_classes: int | None = None
    splits: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
