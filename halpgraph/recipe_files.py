"""Reading recipe files: safe YAML, ``extends``, ``--set``, and the line of every key."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from halpgraph.errors import UserError, did_you_mean
from halpgraph.shipped import shipped


def find_recipe(name: str | Path) -> Path:
    """Return the file of a recipe: a path, or the name of one that is shipped.

    Raises:
        UserError: there is no such file; the message names the closest shipped recipe.
    """
    path = Path(name)
    if path.is_file():
        return path
    folder = shipped("recipes")
    stem = path.name.removesuffix(".yaml").removesuffix(".yml")
    if (folder / f"{stem}.yaml").is_file() and path.parent.name in ("", "recipes"):
        return folder / f"{stem}.yaml"
    known = [p.stem for p in folder.glob("*.yaml")]
    raise UserError(f"{name}: no such recipe{did_you_mean(stem, known)}")


def read_recipe(
    name: str | Path, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return a recipe's merged content, and the line of each dotted key of the named file.

    Args:
        name: file, or name of a shipped recipe.
        overrides: ``KEY=VALUE`` strings, VALUE in YAML; applied last, in order.

    Raises:
        UserError: unreadable or unsafe YAML, a circle of ``extends``, a malformed override.
    """
    path = find_recipe(name)
    content, lines = _load(path, ())
    before = copy.deepcopy(content)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {text}: write KEY=VALUE, as in --set encoder.hidden=64")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"--set {key}: not valid YAML: {_short(error)}") from None
        key = key.strip()
        assign(content, key, parsed, "--set")
        lines = {k: n for k, n in lines.items() if not f"{k}.".startswith(f"{key}.")}
    _retitle(content, before)
    if isinstance(content.get("arms"), dict):
        content["arms"] = {name: arm for name, arm in content["arms"].items() if arm is not None}
    content.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip(".-_") or "recipe")
    return content, lines


def _load(path: Path, seen: tuple[Path, ...]) -> tuple[dict[str, Any], dict[str, int]]:
    path = path.resolve()
    if path in seen:
        chain = " -> ".join(p.name for p in (*seen, path))
        raise UserError(f"{path.name}: extends goes round in a circle: {chain}")
    content, lines = parse(path)
    parent = content.pop("extends", None)
    if parent is None:
        return content, lines
    if not isinstance(parent, str):
        raise UserError(f"{path.name}: extends: must be the path of one recipe (got {parent!r})")
    beside = path.parent / parent
    base, _ = _load(beside if beside.is_file() else find_recipe(parent), (*seen, path))
    merged = merge(base, content)
    _retitle(merged, base)
    return merged, lines


def _retitle(content: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Let a title that was taken over name the data set that took the place of its own."""
    old, new = _data_name(before), _data_name(content)
    title = content.get("title")
    if isinstance(title, str) and title == before.get("title") and old and new:
        content["title"] = re.sub(rf"\b{re.escape(old)}\b", lambda _: new, title)


def _data_name(content: Mapping[str, Any]) -> str:
    data = content.get("data")
    name = data.get("name") if isinstance(data, Mapping) else None
    return name if isinstance(name, str) else ""


def parse(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Parse one YAML file without running anything it says.

    Raises:
        UserError: not YAML, not a mapping, a tag, an alias, or the same key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: cannot be read: {error}") from None
    try:
        _refuse_aliases(text, path)
        lines: dict[str, int] = {}
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _collect_lines(root, "", lines, path)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path.name}: not a valid recipe: {_short(error)}") from None
    except RecursionError:
        raise UserError(f"{path.name}: not a valid recipe: nested too deeply") from None
    if not isinstance(content, dict):
        raise UserError(f"{path.name}: a recipe is a mapping of keys to values, see recipes/")
    return content, lines


def _refuse_aliases(text: str, path: Path) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            mark = event.start_mark
            line = mark.line + 1 if mark else "?"
            raise UserError(f"{path.name}: line {line}: aliases (*name) are refused; use 'extends'")


def _collect_lines(node: yaml.Node, prefix: str, lines: dict[str, int], path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = f"{prefix}.{key.value}" if prefix else str(key.value)
            if name in lines:
                raise UserError(
                    f"{path.name}: line {key.start_mark.line + 1}: {name} stands there twice"
                )
            lines[name] = key.start_mark.line + 1
            _collect_lines(value, name, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            lines[f"{prefix}.{i}"] = value.start_mark.line + 1
            _collect_lines(value, f"{prefix}.{i}", lines, path)


def _short(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).split("\n")[0]
    return f"line {mark.line + 1}: {problem}" if mark else problem


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``over`` laid on top; neither is changed."""
    out = copy.deepcopy(dict(base))
    for key, value in over.items():
        old = out.get(key)
        if isinstance(old, dict) and isinstance(value, Mapping) and _same_component(old, value):
            out[key] = merge(old, value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def _same_component(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "name" not in new or "name" not in old or new["name"] == old["name"]


def assign(content: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key; numbers address list entries (``views.0.ratio``).

    Raises:
        UserError: the path runs through something that has no such entry.
    """
    *path, last = key.split(".")
    target: Any = content
    for i, part in enumerate(path):
        here = f"{where} {'.'.join(path[: i + 1])}"
        target = _descend(target, part) if isinstance(target, dict) else _entry(target, part, here)
    if isinstance(target, dict):
        if last == "name" and target.get("name") not in (None, value) and path:
            others = [k for k in target if k != "name"]
            for name in others if path != ["data"] else []:
                del target[name]
        target[last] = value
    elif isinstance(target, list) and last.isdigit() and int(last) < len(target):
        target[int(last)] = value
    else:
        raise UserError(f"{where} {key}: {'.'.join(path)} is {target!r}, which has no {last!r}")


def _descend(target: dict[str, Any], part: str) -> Any:
    if target.get(part) is None:
        target[part] = {}
    elif isinstance(target[part], str):
        target[part] = {"name": target[part]}
    return target[part]


def _entry(target: Any, part: str, here: str) -> Any:
    if not isinstance(target, list) or not part.isdigit() or int(part) >= len(target):
        size = f"a list of {len(target)}" if isinstance(target, list) else repr(target)
        raise UserError(f"{here}: there is no such entry in {size}")
    if isinstance(target[int(part)], str):
        target[int(part)] = {"name": target[int(part)]}
    return target[int(part)]
