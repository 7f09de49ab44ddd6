"""Splits of imported clips: named ones of the source, and those by the values of a field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from halpgraph.data.clips import Ints, Split
from halpgraph.errors import UserError, did_you_mean

Parts = Mapping[str, Sequence[str]]
PART = {"train": 0, "training": 0, "test": 1, "testing": 1, "valid": 2, "validation": 2}
WORD = re.compile(r"(?:^|[_\-. ]|(?<=[a-z]))(training|train|testing|test|validation|valid|val)"
                  r"(?=$|[_\-. ]|\d)", re.IGNORECASE)  # fmt: skip
OFFICIAL = "official"


def pair_lists(
    lists: Mapping[str, Sequence[str]],
) -> tuple[dict[str, dict[str, list[str]]], list[str]]:
    """Make splits of lists named like ``xsub_train``, ``xsub_val``, ``train1``, ``test1``.

    ``val`` is the test part, as in pyskl, unless the same split has a ``test`` list too.

    Returns:
        splits by name and part, and the names of lists that are part of no split.
    """
    found: dict[str, dict[str, list[str]]] = {}
    left = []
    for key, names in lists.items():
        word = WORD.search(key)
        if word is None:
            left.append(key)
            continue
        rest = (key[: word.start()] + key[word.end() :]).strip("_-. ") or OFFICIAL
        found.setdefault(rest, {})[word.group(1).lower()] = [str(name) for name in names]
    for parts in found.values():
        if "val" in parts:
            parts["valid" if {"test", "testing"} & set(parts) else "test"] = parts.pop("val")
    for name in [name for name, parts in found.items() if not {"train", "training"} & set(parts)]:
        left += [f"{name} {part}" for part in found.pop(name)]
    return found, left


def named_split(
    name: str, parts: Parts, names: Sequence[str], skipped: set[str]
) -> tuple[Split | None, list[str]]:
    """Return a split by lists of clips' names, and the listed names that are not there.

    Names of clips that were skipped are not counted again. Where no clip is left for training or
    for testing there is no split.

    Raises:
        UserError: a clip is in two parts.
    """
    at = {clip: i for i, clip in enumerate(names)}
    part = np.full(len(names), -1, np.int64)
    missing = []
    for key, listed in parts.items():
        ids = [at[clip] for clip in listed if clip in at]
        missing += [clip for clip in listed if clip not in at and clip not in skipped]
        both = [names[i] for i in ids if part[i] not in (-1, PART[key])]
        if both:
            raise UserError(f"split {name}: {both[0]} is in two parts; each clip may be in one")
        part[ids] = PART[key]
    whole = (part == 0).any() and (part == 1).any()
    return Split(part) if whole else None, missing


def field_split(
    text: str, fields: Sequence[Mapping[str, int]], values: Mapping[str, Sequence[str]]
) -> tuple[str, Split]:
    """Return the split that ``subject=1,2,5-8`` asks for: those are for training, others for test.

    Args:
        text: what was asked for.
        fields: of every clip.
        values: the texts that numbers of a field stand for.

    Raises:
        UserError: not of that form, no such field or value, or nothing left for a part.
    """
    field, equals, wanted = text.partition("=")
    if not equals or not wanted.strip():
        raise UserError(f"--split {text}: must be FIELD=VALUES, such as subject=1,2,5-8")
    known = list(fields[0]) if fields else []
    if field not in known:
        raise UserError(f"--split {text}: clips have no field {field}{did_you_mean(field, known)}")
    column = np.array([row[field] for row in fields], np.int64)
    there = set(column.tolist())
    chosen: set[int] = set()
    for word in wanted.split(","):
        numbers = _numbers(word.strip(), values.get(field, ()), text)
        meant = {value for value in there if value in numbers}
        if not meant:
            words = [values[field][i] for i in there] if field in values else map(str, there)
            raise UserError(
                f"--split {text}: no clip has {field} {word}{did_you_mean(word, words)}"
            )
        chosen |= meant
    part = np.where(np.isin(column, sorted(chosen)), 0, 1).astype(np.int64)
    return field, Split(_two_parts(f"--split {text}", part), inner=field)


def _numbers(word: str, texts: Sequence[str], where: str) -> Sequence[int]:
    if word in texts:
        return [list(texts).index(word)]
    if texts:
        return []
    found = re.fullmatch(r"(-?\d+)(?:-(\d+))?", word)
    if found is None:
        raise UserError(f"--split {where}: {word!r} is neither a number nor a range such as 1-5")
    first = int(found.group(1))
    return range(first, int(found.group(2) or first) + 1)


def _two_parts(where: str, part: Ints) -> Ints:
    for code, word in enumerate(("training", "testing")):
        if not (part == code).any():
            raise UserError(f"{where}: no clip is left for {word}; both parts need some")
    return part
