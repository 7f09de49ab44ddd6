"""Pickles that hold numbers, texts and containers; nothing in them is ever executed.

A pickle is a program. Here every name that it asks for is looked up in a short table of this
file's own functions, and NumPy's arrays are built from their bytes by this file, not by the state
that the pickle would set in them.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from halpgraph.errors import UserError

SIMPLE = re.compile(r"[<>=|]?(?:[?]|b1|[iu][1248]|f[248]|[SU]\d{0,9}|O8?)")
WRONG = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    ValueError,
    TypeError,
    MemoryError,
    OverflowError,
    RecursionError,
    AssertionError,
)


class RefusedError(Exception):
    """The pickle asks for something that is no data."""


def read_pickle(path: Path) -> Any:
    """Return the content of a pickle of NumPy arrays, numbers, texts and plain containers.

    Args:
        path: the file; written by Python 2 or 3, NumPy 1 or 2.

    Raises:
        UserError: it cannot be read, is damaged, or asks for anything else.
    """
    try:
        with open(path, "rb") as content:
            return _settle(_Reader(content).load(), {})
    except RefusedError as error:
        raise UserError(
            f"{path}: refused: it asks for {error}, and only arrays, numbers, texts, lists and "
            "dicts are read; nothing was executed. Write it again with plain content"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except WRONG as error:
        raise UserError(
            f"{path}: truncated or damaged, or not a pickle ({error or type(error).__name__}); "
            "get a fresh copy"
        ) from None


class _Reader(pickle.Unpickler):
    def __init__(self, content: IO[bytes]) -> None:
        super().__init__(content, encoding="latin1")  # arrays of Python 2
        self.known = _known()

    def find_class(self, module: str, name: str) -> Any:
        place = module.replace("numpy._core", "numpy.core").replace("__builtin__", "builtins")
        if (place, name) not in self.known:
            raise RefusedError(f"{module}.{name}")
        return self.known[place, name]


class _DType:
    """A dtype to be; its byte order comes with its state."""

    __slots__ = ("dtype",)

    def __init__(self, text: Any) -> None:
        if not isinstance(text, str) or not SIMPLE.fullmatch(text):
            raise RefusedError(f"an array of type {str(text)[:40]!r}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array to be; its bytes come with its state."""

    __slots__ = ("array",)

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if _dtype(dtype).hasobject:
            flat = np.empty(len(content), object)
            flat[:] = content
            self.array = flat.reshape(shape, order="F" if fortran else "C")
        else:
            self.array = _array(shape, dtype, content, "F" if fortran else "C")


def _dtype(given: Any) -> np.dtype[Any]:
    return given.dtype if isinstance(given, _DType) else _DType(given).dtype


def _array(shape: Any, dtype: Any, content: Any, order: Any = "C") -> NDArray[Any]:
    kind = _dtype(dtype)
    if kind.hasobject:
        raise RefusedError("an array of objects made from bytes")
    if isinstance(content, str):
        content = content.encode("latin1")
    if prod(shape) * kind.itemsize != len(content):
        raise ValueError("an array is shorter than it says")
    return np.frombuffer(bytearray(content), kind).reshape(shape, order=order)


def _known() -> dict[tuple[str, str], Callable[..., Any]]:
    """Return what stands for each name; made anew, so that no pickle can change it for another."""

    def encode(text: str, coding: str = "latin1") -> bytes:
        if coding not in ("latin1", "latin-1"):
            raise RefusedError(f"the coding {coding!r}")
        return text.encode("latin1")

    return {
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
        ("numpy.core.multiarray", "scalar"): lambda dtype, content: _array((), dtype, content)[()],
        ("numpy.core.numeric", "_frombuffer"): lambda content, dtype, shape, order: _array(
            shape, dtype, content, order
        ),
        ("numpy", "ndarray"): lambda shape, dtype, content: _array(shape, dtype, content),
        ("numpy", "dtype"): lambda text, *_: _DType(text),
        ("_codecs", "encode"): encode,
        ("collections", "OrderedDict"): lambda *given: OrderedDict(*given),
        ("builtins", "set"): lambda given=(): set(given),
        ("builtins", "frozenset"): lambda given=(): frozenset(given),
        ("builtins", "bytes"): lambda: b"",  # how old protocols write it
        ("builtins", "bytearray"): lambda given=b"": bytearray(memoryview(given)),
    }


def _settle(value: Any, done: dict[int, Any]) -> Any:
    """Put the finished arrays in the place of those to be; each container is visited once."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        value.array = value.array if value.array.dtype != object else _objects(value.array, done)
        return value.array
    if isinstance(value, _DType):
        return value.dtype
    if isinstance(value, dict):
        done[id(value)] = value
        for key, item in list(value.items()):
            value[key] = _settle(item, done)
    elif isinstance(value, list):
        done[id(value)] = value
        value[:] = [_settle(item, done) for item in value]
    elif isinstance(value, tuple):
        done[id(value)] = (out := tuple(_settle(item, done) for item in value))
        return out
    return value


def _objects(array: NDArray[Any], done: dict[int, Any]) -> NDArray[Any]:
    flat = np.empty(array.size, object)
    for i, item in enumerate(array.ravel()):
        flat[i] = _settle(item, done)
    return flat.reshape(array.shape)
