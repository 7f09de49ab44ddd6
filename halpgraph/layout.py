"""Skeleton layouts: one small file each says which joints there are and how they hang together.

Bones, neighbours, mirror images, alignment and drawing all follow from it; nothing else in the
package knows a joint by its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from halpgraph.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent / "layouts"
KEYS = ("title", "joints", "centre", "origin", "torso", "pairs", "shoulders", "up", "channels")
AXES = {"x": (0, 1), "y": (1, 1), "z": (2, 1), "-x": (0, -1), "-y": (1, -1), "-z": (2, -1)}


@dataclass(frozen=True)
class Layout:
    """A skeleton: names of the joints, who hangs on whom, what is left and what is right.

    Joints are counted from 0 in the order of the data. The root of the tree is its own parent, so
    that its bone is zero. ``pairs`` are (left, right). ``torso`` (low, high) gives the size of a
    body, ``shoulders`` (left, right) the way it faces; either is None where a layout has none.
    ``channels`` is C: x, y, z; or x, y and a confidence, for poses found in images (``score``).
    ``up`` is the axis that points upwards, with its sign ("-y" in images).
    """

    name: str
    title: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    centre: int
    origin: int
    pairs: tuple[tuple[int, int], ...] = ()
    torso: tuple[int, int] | None = None
    shoulders: tuple[int, int] | None = None
    up: str = "y"
    channels: tuple[str, ...] = ("x", "y", "z")

    @property
    def num_joints(self) -> int:
        """Return V."""
        return len(self.joints)

    @property
    def score(self) -> bool:
        """Whether the last channel is a confidence."""
        return self.channels[-1] == "score"

    @property
    def space(self) -> int:
        """Return how many of the channels are coordinates: 3, or 2."""
        return len(self.channels) - self.score

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Return (child, parent) of every joint but the root."""
        return tuple((i, p) for i, p in enumerate(self.parents) if i != p)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Return, for every joint, the one on the other side of the body (itself, if none)."""
        order = list(range(self.num_joints))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return tuple(order)

    @cached_property
    def leaves(self) -> tuple[int, ...]:
        """Return the joints that nothing hangs on: head, hands, feet."""
        inner = {p for _, p in self.bones}
        return tuple(i for i in range(self.num_joints) if i not in inner)

    def index(self, joint: str) -> int:
        """Return the number of a joint.

        Raises:
            UserError: no joint of that name.
        """
        if joint not in self.joints:
            raise UserError(
                f"layout {self.name}: no joint {joint}{did_you_mean(joint, self.joints)}"
            )
        return self.joints.index(joint)

    def content(self) -> dict[str, Any]:
        """Return the layout as a layout file has it; ``make_layout`` reads it back."""
        names = self.joints
        out: dict[str, Any] = {
            "title": self.title,
            "joints": {
                n: None if i == p else names[p]
                for i, (n, p) in enumerate(zip(names, self.parents, strict=True))
            },
            "centre": names[self.centre],
            "origin": names[self.origin],
            "pairs": [[names[i], names[j]] for i, j in self.pairs],
            "up": self.up,
            "channels": list(self.channels),
        }
        for key in ("torso", "shoulders"):
            ends = getattr(self, key)
            out[key] = None if ends is None else [names[i] for i in ends]
        return out


def make_layout(name: str, content: Any, where: str = "") -> Layout:
    """Check the content of a layout file and make a layout of it.

    Args:
        name: what to call it.
        content: a mapping with ``joints`` (name: parent, the root's is null); optional ``title``,
            ``centre``, ``origin`` (the root by default), ``pairs`` (told from names beginning with
            left_ and right_ where left out), ``torso``, ``shoulders``, ``up``, ``channels``.
        where: the file, for messages.

    Raises:
        UserError: which key is wrong, and what it should be.
    """
    where = where or f"layout {name}"
    if not isinstance(content, Mapping) or not isinstance(content.get("joints"), Mapping):
        raise UserError(f"{where}: needs 'joints', a mapping from each joint to its parent")
    for key in content:
        if key not in KEYS:
            raise UserError(f"{where}: {key}: unknown key{did_you_mean(str(key), KEYS)}")
    joints = tuple(str(joint) for joint in content["joints"])

    def number(joint: Any, key: str) -> int:
        if str(joint) not in joints:
            raise UserError(f"{where}: {key}: no joint {joint}{did_you_mean(str(joint), joints)}")
        return joints.index(str(joint))

    parents = tuple(
        i if parent is None else number(parent, f"joints.{joint}")
        for i, (joint, parent) in enumerate(content["joints"].items())
    )
    root = _root(joints, parents, where)
    ends: dict[str, tuple[int, int] | None] = {}
    for key in ("torso", "shoulders"):
        ends[key] = _two(content.get(key), key, number, where)
    known = {"left_shoulder", "right_shoulder"} <= set(joints)
    if ends["shoulders"] is None and known:
        ends["shoulders"] = (joints.index("left_shoulder"), joints.index("right_shoulder"))
    pairs = content.get("pairs")
    if pairs is None:
        lefts = [j for j in joints if j.startswith("left_") and f"right_{j[5:]}" in joints]
        pairs = [[j, f"right_{j[5:]}"] for j in lefts]
    up, channels = _axes(content, where)
    found = [_two(pair, "pairs", number, where) for pair in pairs]
    return Layout(
        name=name,
        title=str(content.get("title", name)),
        joints=joints,
        parents=parents,
        centre=number(content["centre"], "centre") if content.get("centre") else root,
        origin=number(content["origin"], "origin") if content.get("origin") else root,
        pairs=tuple(pair for pair in found if pair is not None),
        torso=ends["torso"],
        shoulders=ends["shoulders"],
        up=up,
        channels=channels,
    )


def _axes(content: Mapping[str, Any], where: str) -> tuple[str, tuple[str, ...]]:
    up, channels = str(content.get("up", "y")), tuple(content.get("channels", ("x", "y", "z")))
    if up not in AXES:
        raise UserError(f"{where}: up: must be one of {', '.join(AXES)} (got {up!r})")
    if channels not in (("x", "y", "z"), ("x", "y"), ("x", "y", "score"), ("x", "y", "z", "score")):
        raise UserError(f"{where}: channels: [x, y] or [x, y, z], perhaps with score at the end")
    if AXES[up][0] >= len(channels) - (channels[-1] == "score"):
        raise UserError(f"{where}: up: there is no {up} axis among {list(channels)}")
    return up, channels


def _two(value: Any, key: str, number: Any, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise UserError(f"{where}: {key}: two joints are needed (got {value!r})")
    return number(value[0], key), number(value[1], key)


def _root(joints: tuple[str, ...], parents: tuple[int, ...], where: str) -> int:
    """Return the root of a tree; anything that is no tree is refused."""
    roots = [i for i, p in enumerate(parents) if i == p]
    if len(roots) != 1:
        named = ", ".join(joints[i] for i in roots) or "none"
        raise UserError(f"{where}: joints: exactly one must have no parent (null); found {named}")
    for i in range(len(parents)):
        at, steps = i, 0
        while parents[at] != at and steps <= len(parents):
            at, steps = parents[at], steps + 1
        if at != roots[0]:
            raise UserError(f"{where}: joints.{joints[i]}: its parents go round in a circle")
    return roots[0]


def layouts() -> list[str]:
    """Return the names of the layouts that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@lru_cache(maxsize=64)
def _shipped(name: str) -> Layout:
    path = FOLDER / f"{name}.yaml"
    return make_layout(name, yaml.safe_load(path.read_text(encoding="utf-8")))


def get_layout(name: str | Path) -> Layout:
    """Return a layout by name, or from a layout file of one's own.

    Raises:
        UserError: unknown, or not a layout.
    """
    if str(name) in layouts():
        return _shipped(str(name))
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        raise UserError(
            f"layout {name}: unknown{did_you_mean(str(name), layouts())}; known: "
            f"{', '.join(layouts())}; or the path of a layout file (.yaml) of your own"
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a YAML file: {error}") from None
    return make_layout(path.stem, content, str(path))
