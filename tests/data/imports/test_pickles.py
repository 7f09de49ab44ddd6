"""Pickles are read as data; whatever else they ask for is refused and never done."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halpgraph.data.imports._pickles import read_pickle
from halpgraph.errors import UserError


def write(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
def test_plain_content_is_read_as_it_was_written(protocol: int, tmp_path: Path) -> None:
    shared = np.arange(6, dtype=np.float16).reshape(2, 3)
    content = {
        "arrays": [shared, shared, np.asfortranarray(shared.astype(">f4")), np.ones(3, bool)],
        "texts": np.array(["ab", "c"]),
        "empty": np.empty((0, 4), np.int32),
        "scalars": (np.float32(1.5), np.int64(7), 3, 2.5, None, True, b"bytes", "\u00e9"),
        "objects": np.array(["x", np.arange(2), None], object),
        "ordered": OrderedDict(a=1),
        "set": {1, 2},
    }
    found = read_pickle(write(tmp_path / "p", content, protocol))
    for one, other in zip(found["arrays"], content["arrays"], strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype
    assert found["texts"].tolist() == ["ab", "c"]
    assert found["empty"].shape == (0, 4)
    assert found["scalars"] == content["scalars"]
    assert found["objects"][0] == "x"
    assert found["objects"][1].tolist() == [0, 1]
    assert found["ordered"] == {"a": 1}
    assert found["set"] == {1, 2}


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_does_nothing(protocol: int, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    calls = [
        Call(os.system, f"touch {victim}"),
        Call(open, str(victim), "w"),
        Call(eval, f"open({str(victim)!r}, 'w')"),
        Call(os.mkdir, str(victim)),
        Call(getattr, "x", "upper"),
        Call(np.load, "x"),
        Call(np.memmap, str(victim), "u1", "w+", 0, 4),
        Call(Path, "x"),
    ]
    for i, call in enumerate(calls):
        path = write(tmp_path / f"p{i}", {"annotations": [call]}, protocol)
        with pytest.raises(UserError, match=r"refused: it asks for .*nothing was executed"):
            read_pickle(path)
    assert not victim.exists()
    pickle.loads((tmp_path / "p1").read_bytes())  # the test's own: it really would
    assert victim.exists()


@pytest.mark.parametrize(
    "dtype", ["O", "f4,O", "V8", "M8[s]", ("f4", 3), "O8"], ids=lambda d: str(d)
)
def test_bytes_never_become_objects(dtype: Any, tmp_path: Path) -> None:
    forged = Call(np.ndarray, (1,), np.dtype(dtype), bytearray(64))
    with pytest.raises(UserError, match="refused"):
        read_pickle(write(tmp_path / "p", forged))


def test_nothing_stays_changed_after_a_pickle_that_tries(tmp_path: Path) -> None:
    # sets an attribute of what it is given for numpy.dtype, then asks for an array
    forged = (
        b"\x80\x04cnumpy\ndtype\nN}\x8c\x0c__defaults__K\x01s\x86b."  # BUILD with a state of slots
    )
    (tmp_path / "p").write_bytes(forged)
    with pytest.raises(UserError):
        read_pickle(tmp_path / "p")
    found = read_pickle(write(tmp_path / "q", np.arange(3)))
    assert found.tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04.", b"PK\x03\x04", b"\x80\xff"])
def test_garbage_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(UserError, match=r"p: truncated or damaged, or not a pickle"):
        read_pickle(tmp_path / "p")


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": [np.arange(4.0)], "b": np.int64(3)}, 4)
    for size in range(len(whole)):
        (tmp_path / "p").write_bytes(whole[:size])
        with pytest.raises(UserError):
            read_pickle(tmp_path / "p")


def is_plain(content: object) -> bool:
    """Tell whether content is made of nothing but containers, arrays, numbers and text."""
    if isinstance(content, dict):
        return all(is_plain(part) for pair in content.items() for part in pair)
    if isinstance(content, list | tuple | set | frozenset):
        return all(is_plain(part) for part in content)
    if isinstance(content, np.ndarray):
        return content.dtype != object
    return content is None or isinstance(content, np.generic | bool | int | float | str | bytes)


def test_random_damage_is_an_error_or_plain_content(tmp_path: Path) -> None:
    whole = bytearray(pickle.dumps({"a": [np.arange(4.0)], "b": np.int64(3)}, 4))
    random = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(whole)
        broken[random.integers(len(whole))] = random.integers(256)
        (tmp_path / "p").write_bytes(broken)
        try:
            found = read_pickle(tmp_path / "p")
        except UserError:
            continue
        assert is_plain(found), type(found)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_pickle(tmp_path / "none")
