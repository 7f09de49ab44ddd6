"""One registry a room: the file's name is the component's name, its constructor is its schema."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from halpgraph.errors import UserError, did_you_mean

# Arguments the engine supplies, by room; recipes cannot set them.
WIRED: dict[str, frozenset[str]] = {
    "views": frozenset({"self"}),
    "encoders": frozenset({"self", "in_channels", "num_codes", "layout", "persons"}),
    "methods": frozenset({"self", "make_encoder", "about"}),
    "heads": frozenset({"self", "dim", "streams", "generator"}),
    "evaluators": frozenset({"self"}),
}


class Registry:
    """The components of one room, found by looking at its files.

    A file ``halpgraph/<room>/<name>.py`` holds one class under ``@register``; outsiders add theirs
    through the entry-point group ``halpgraph.<room>``. Nothing is imported until it is asked for.
    """

    def __init__(self, room: str) -> None:
        self.room = room
        self._classes: dict[str, type] = {}
        self._schemas: dict[str, type[BaseModel]] = {}

    def register(self, cls: type) -> type:
        """Class decorator: register under the name of the file."""
        name = cls.__module__.rsplit(".", 1)[-1]
        self._classes[name] = cls
        return cls

    def _folder(self) -> Path:
        return Path(__file__).parent / self.room

    def _outsiders(self) -> dict[str, importlib.metadata.EntryPoint]:
        found = importlib.metadata.entry_points(group=f"halpgraph.{self.room}")
        return {point.name: point for point in found}

    def names(self) -> list[str]:
        """Return every registered name, sorted, without importing anything heavy."""
        files = [m.name for m in pkgutil.iter_modules([str(self._folder())])]
        own = [f for f in files if not f.startswith("_") and self._decorated(f) is not None]
        return sorted({*own, *self._outsiders(), *self._classes})

    def _decorated(self, name: str) -> ast.ClassDef | None:
        path = self._folder() / f"{name}.py"
        if not path.is_file():
            return None
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                marks = [d.attr for d in node.decorator_list if isinstance(d, ast.Attribute)]
                if "register" in marks:
                    return node
        return None

    def doc(self, name: str) -> str:
        """Return a component's docstring, read from its file without importing it if possible."""
        node = self._decorated(name)
        if node is not None:
            return ast.get_docstring(node) or ""
        return inspect.getdoc(self.get(name)) or ""

    def constructor(self, name: str) -> ast.FunctionDef | None:
        """Return the parsed ``__init__`` of a component of this package; None for outsiders'."""
        node = self._decorated(name)
        for item in node.body if node is not None else []:
            if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                return item
        return None

    def summary(self, name: str) -> str:
        """Return the first line of a component's docstring."""
        return self.doc(name).split("\n", 1)[0]

    def get(self, name: str) -> type:
        """Return the class registered as ``name``.

        Raises:
            UserError: nothing of that name; the message names the closest.
        """
        if name not in self._classes:
            if name in self._outsiders():
                self._classes[name] = self._outsiders()[name].load()
            elif name in self.names():
                importlib.import_module(f"halpgraph.{self.room}.{name}")
            else:
                kind = self.room.rstrip("s")
                raise UserError(f"{name}: unknown {kind}{did_you_mean(name, self.names())}")
        return self._classes[name]

    def schema(self, name: str) -> type[BaseModel]:
        """Return the pydantic model of a component's settings, made from its constructor."""
        if name not in self._schemas:
            self._schemas[name] = self._make_schema(name)
        return self._schemas[name]

    def _make_schema(self, name: str) -> type[BaseModel]:
        cls = self.get(name)
        hints = get_type_hints(_init(cls), include_extras=True)
        fields: dict[str, Any] = {}
        for arg, par in inspect.signature(_init(cls)).parameters.items():
            if arg in WIRED[self.room] or par.kind in (par.VAR_POSITIONAL, par.VAR_KEYWORD):
                continue
            default = ... if par.default is par.empty else par.default
            fields[arg] = (hints.get(arg, Any), default)
        config = ConfigDict(
            extra="forbid",
            allow_inf_nan=False,
            arbitrary_types_allowed=True,
            protected_namespaces=(),
        )
        return create_model(f"{self.room}.{name}", __config__=config, **fields)

    def settings(self, spec: str | Mapping[str, Any], where: str) -> dict[str, Any]:
        """Validate ``{name: ..., setting: ...}`` (or a bare name) and fill in the defaults.

        Args:
            spec: what the recipe says.
            where: the recipe's key, for messages.

        Raises:
            UserError: unknown name or setting, wrong type or value.
        """
        spec = {"name": spec} if isinstance(spec, str) else dict(spec)
        if not isinstance(spec.get("name"), str):
            raise UserError(f"{where}.name: missing - known: {', '.join(self.names())}")
        name = spec.pop("name")
        try:
            schema = self.schema(name)
        except UserError as error:
            raise UserError(f"{where}.name: {error}") from None
        try:
            model = schema.model_validate(spec)
        except ValidationError as error:
            raise UserError("\n".join(explain(error, where, schema, name))) from None
        except UserError as error:  # of a component inside, which does not know its place
            inside, outside = f"{self.room}.{name}.", f"{where}."
            place = str(error) if where == self.room else str(error).replace(inside, outside)
            raise UserError(place) from None
        values = {key: getattr(model, key) for key in schema.model_fields}
        return {"name": name, **values}

    def build(self, spec: str | Mapping[str, Any], where: str = "", **wired: Any) -> Any:
        """Build a component from its spec; ``wired`` arguments go to those that ask for them."""
        settings = self.settings(spec, where or self.room)
        cls = self.get(settings.pop("name"))
        asked = inspect.signature(_init(cls)).parameters
        return cls(**settings, **{k: v for k, v in wired.items() if k in asked})


def _init(cls: type) -> Any:
    return cls.__init__  # type: ignore[misc]


def explain(error: ValidationError, where: str, schema: type[BaseModel], owner: str) -> list[str]:
    """Turn pydantic's findings into lines that say where, what, and what instead."""
    lines = []
    for item in error.errors():
        path = ".".join(str(part) for part in item["loc"])
        key = f"{where}.{path}" if where else path
        last = str(item["loc"][-1]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            known = _fields(schema, item["loc"][:-1])
            hint = did_you_mean(last, known) if known else ""
            lines.append(f"{key}: unknown setting for {owner}{hint} (got {item['input']!r})")
        elif item["type"] == "missing":
            lines.append(f"{key}: missing; {owner} needs it")
        else:
            said = item["msg"].removeprefix("Value error, ")
            lines.append(f"{key}: {said} (got {item['input']!r})")
    return lines


def _fields(schema: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Return the settings of a section inside a schema; nothing where the path is no section."""
    for part in path:
        found = schema.model_fields.get(str(part))
        inner = found.annotation if found is not None else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        schema = inner
    return list(schema.model_fields)


views = Registry("views")
encoders = Registry("encoders")
methods = Registry("methods")
heads = Registry("heads")
evaluators = Registry("evaluators")

ROOMS: dict[str, Registry] = {
    "views": views,
    "encoders": encoders,
    "methods": methods,
    "heads": heads,
    "evaluators": evaluators,
}
