"""Where sets are looked for and in which order; verification; downloads, whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tu_files import SMALL, write_folder, write_zip

from halpgraph.data import cards, catalogue, sources
from halpgraph.data.cards import Card, Statistics
from halpgraph.data.load import load
from halpgraph.errors import UserError

MIRRORS = ("https://first.example/OWN.zip", "https://second.example/OWN.zip")
SHA256 = {
    f"OWN_{part}.txt": hashlib.sha256(text.encode()).hexdigest() for part, text in SMALL.items()
}


@pytest.fixture
def own_card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """A card for the small set of the tests, beside the shipped ones."""
    card = Card(
        name="OWN",
        title="Own",
        source="tu",
        about="A set for tests.",
        citation="none",
        mirrors=MIRRORS,
        sha256=SHA256,
        statistics=Statistics(graphs=3, nodes=10, edges=9, class_counts=(1, 2)),
        features=("labels",),
        class_names=("less", "more"),
    )
    everything = cards.cards() | {"OWN": card}
    monkeypatch.setattr(cards, "_all", lambda: everything)
    return card


class Answer(io.BytesIO):
    """What urlopen returns; may promise more than it holds, or break off with an error."""

    def __init__(self, body: bytes, length: int | None = None, error: Exception | None = None):
        super().__init__(body)
        self.error = error
        self.headers = {"Content-Length": str(length)} if length is not None else {}

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if not chunk and self.error:
            raise self.error
        return chunk


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Answer downloads: one answer (or exception to raise) for each request, in order."""

    def start(*answers: Answer | Exception) -> list[str]:
        asked: list[str] = []

        def urlopen(url: str, timeout: float) -> Answer:
            asked.append(url)
            answer = answers[len(asked) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        return asked

    return start


def left_behind(folder: Path) -> list[str]:
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() or "." in p.name
    )


def zipped(tmp_path: Path, **parts: str | None) -> bytes:
    return write_zip(tmp_path / "server", **parts).read_bytes()


# -- looking ------------------------------------------------------------------------------------


def test_the_order_of_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_card: Card
) -> None:
    given, from_env, cache = tmp_path / "given", tmp_path / "env", tmp_path / "cache"
    write_zip(cache / "tu")
    assert catalogue.get("OWN") == cache / "tu" / "OWN.zip"
    monkeypatch.setenv("HALPGRAPH_DATA", str(from_env))
    assert catalogue.get("OWN") == cache / "tu" / "OWN.zip"  # a missing folder is passed over
    write_folder(from_env)
    assert catalogue.get("OWN") == from_env / "OWN"
    given.mkdir()
    assert catalogue.get("OWN", root=given) == from_env / "OWN"
    write_folder(given / "tu")
    assert catalogue.get("OWN", root=given) == given / "tu" / "OWN"
    write_zip(given)
    assert catalogue.get("OWN", root=given) == given / "OWN.zip"
    assert load("OWN", root=given).info["found_in"] == f"data folder: {given / 'OWN.zip'}"


def test_layouts_that_are_accepted(tmp_path: Path, own_card: Card) -> None:
    pyg = tmp_path / "pyg" / "OWN" / "raw"
    write_folder(tmp_path / "pyg" / "made").rename(tmp_path / "raw")
    pyg.parent.mkdir()
    (tmp_path / "raw").rename(pyg)
    assert load("OWN", root=tmp_path / "pyg").info["num_graphs"] == 3  # where PyG keeps its files
    inside = write_folder(tmp_path / "inside")
    assert load("OWN", root=inside).info["num_graphs"] == 3  # --data names the set's own folder


def test_mutag_is_found_in_grakel_without_importing_it() -> None:
    import sys

    found = sources.look("MUTAG")
    if found is None:
        pytest.skip("grakel is not installed")
    assert found.place == "grakel package"
    assert "grakel" not in sys.modules or "grakel.tests" not in sys.modules
    assert sources.look("NCI1") is None


def test_cache_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path / "own"))
    assert sources.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("HALPGRAPH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert sources.cache_dir() == tmp_path / "xdg" / "halpgraph"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sources.cache_dir() == tmp_path / ".cache" / "halpgraph"


def test_names_and_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.name: MUTAGG.*did you mean 'MUTAG'.*--data"):
        load("MUTAGG")
    with pytest.raises(UserError, match=r"--data .*nowhere: no such folder"):
        load("MUTAG", root=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no such archive or folder"):
        load(str(tmp_path / "OWN"))


def test_a_set_of_the_users_own(tmp_path: Path) -> None:
    write_folder(tmp_path)
    write_zip(tmp_path / "zips")
    by_name, by_path = load("OWN", root=tmp_path), load(str(tmp_path / "zips" / "OWN.zip"))
    assert by_name.info["fingerprint"] == by_path.info["fingerprint"]
    assert by_path.info["name"] == "OWN"
    assert by_name.info["class_names"] == ["-1", "1"]
    for data in (by_name, by_path):
        assert any("no card" in note for note in data.info["notes"])


# -- verification -------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_folder, write_zip])
def test_wrong_checksum(write: Callable[..., Path], tmp_path: Path, own_card: Card) -> None:
    write(tmp_path, graph_labels="1\n1\n-1\n")
    with pytest.raises(UserError) as caught:
        load("OWN", root=tmp_path)
    message = str(caught.value)
    assert "OWN_graph_labels.txt: wrong checksum" in message
    assert SHA256["OWN_graph_labels.txt"] in message
    assert "another name" in message


def test_wrong_statistics(tmp_path: Path, own_card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    unchecked = own_card.model_copy(update={"sha256": {}})
    monkeypatch.setattr(cards, "_all", lambda: {"OWN": unchecked})
    write_folder(tmp_path, A="1, 2\n2, 1\n", graph_labels="0\n0\n1\n")
    with pytest.raises(
        UserError, match=r"edges 9 \(found 1\), class_counts \(1, 2\) \(found \(2, 1\)\)"
    ):
        load("OWN", root=tmp_path)


def test_check_says_what_was_verified(tmp_path: Path, own_card: Card) -> None:
    write_zip(tmp_path)
    found = catalogue.check("OWN", tmp_path)
    assert found["files_verified"] == 5
    assert found["statistics_checked"] == ["class_counts", "edges", "graphs", "nodes"]
    assert found["statistics"]["node_labels"] == 4
    data = load("OWN", root=tmp_path)
    assert data.info["class_names"] == ["less", "more"]
    assert data.info["features"] == "node labels (4)"


def test_describe_all(tmp_path: Path, own_card: Card, no_grakel: None) -> None:
    write_zip(tmp_path)
    lines = {line["name"]: line for line in catalogue.describe_all(tmp_path)}
    assert set(lines) == set(cards.cards())
    assert lines["OWN"]["place"] == "data folder"
    assert lines["OWN"]["path"] == str(tmp_path / "OWN.zip")
    assert lines["MUTAG"] == {
        "name": "MUTAG",
        "title": cards.cards()["MUTAG"].title,
        "about": cards.cards()["MUTAG"].about,
        "source": "tu",
        "graphs": 188,
        "place": "not here",
        "path": None,
    }


# -- downloads ----------------------------------------------------------------------------------


def test_a_download_is_kept(tmp_path: Path, own_card: Card, serve: Any) -> None:
    body = zipped(tmp_path)
    asked = serve(Answer(body, len(body)))
    assert load("OWN").info["found_in"].startswith("download: ")
    assert load("OWN").info["found_in"].startswith("cache: ")
    assert asked == [MIRRORS[0]]
    assert left_behind(tmp_path / "cache") == ["tu/OWN.zip"]


BROKEN: dict[str, Callable[[bytes], Answer | Exception]] = {
    "offline": lambda body: urllib.error.URLError("Name or service not known"),
    "not found": lambda body: urllib.error.HTTPError("u", 404, "Not Found", None, None),  # type: ignore[arg-type]
    "timeout": lambda body: TimeoutError("timed out"),
    "refused": lambda body: ConnectionResetError("reset by peer"),
    "cut short": lambda body: Answer(body[: len(body) // 2], len(body)),
    "cut short without a length": lambda body: Answer(body[: len(body) // 2]),
    "broken off": lambda body: Answer(body[:50], len(body), http.client.IncompleteRead(b"", 9)),
    "reset while reading": lambda body: Answer(body[:50], len(body), ConnectionResetError("reset")),
    "a page of HTML": lambda body: Answer(b"<html>moved</html>"),
    "an empty answer": lambda body: Answer(b"", 0),
    "another archive": lambda body: Answer(body.replace(b"OWN_A", b"OWN_B")),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_next_mirror_is_tried(what: str, tmp_path: Path, own_card: Card, serve: Any) -> None:
    body = zipped(tmp_path)
    asked = serve(BROKEN[what](body), Answer(body, len(body)))
    assert load("OWN").info["num_graphs"] == 3
    assert asked == list(MIRRORS)
    assert left_behind(tmp_path / "cache") == ["tu/OWN.zip"]


@pytest.mark.parametrize("what", BROKEN)
def test_nothing_is_left_of_a_failed_download(
    what: str, tmp_path: Path, own_card: Card, serve: Any
) -> None:
    body = zipped(tmp_path)
    serve(BROKEN[what](body), BROKEN[what](body))
    with pytest.raises(UserError) as caught:
        load("OWN")
    message = str(caught.value)
    assert left_behind(tmp_path / "cache") == []
    place = str(tmp_path / "cache" / "tu" / "OWN.zip")
    for word in (*MIRRORS, place, "--data", "HALPGRAPH_DATA"):
        assert word in message


def test_a_download_with_a_wrong_checksum(tmp_path: Path, own_card: Card, serve: Any) -> None:
    body = zipped(tmp_path, node_labels="0\n" * 10)
    serve(Answer(body), Answer(body))
    with pytest.raises(UserError, match=r"OWN_node_labels\.txt: wrong checksum"):
        load("OWN")
    assert left_behind(tmp_path / "cache") == []


def test_a_failed_download_keeps_what_was_there(tmp_path: Path, own_card: Card, serve: Any) -> None:
    other = write_zip(tmp_path / "cache" / "tu", "OTHER").read_bytes()
    serve(Answer(b"no"), Answer(b"no"))
    with pytest.raises(UserError):
        load("OWN")
    assert left_behind(tmp_path / "cache") == ["tu/OTHER.zip"]
    assert (tmp_path / "cache" / "tu" / "OTHER.zip").read_bytes() == other


def test_interrupting_a_download_leaves_nothing(tmp_path: Path, own_card: Card, serve: Any) -> None:
    serve(Answer(b"PK", 100, KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        load("OWN")
    assert left_behind(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_made(
    tmp_path: Path, own_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match=r"cache cannot be written.*HALPGRAPH_CACHE.*--data"):
        load("OWN")


@pytest.mark.parametrize("name", ["write", "replace"])
def test_a_full_or_read_only_disk(
    name: str, tmp_path: Path, own_card: Card, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    body = zipped(tmp_path)
    serve(Answer(body, len(body)))
    if name == "write":
        monkeypatch.setattr("halpgraph.data.download._fetch", fail)
    else:
        monkeypatch.setattr(os, "replace", fail)
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError, match=r"cannot be written.*No space left"):
        load("OWN")
    assert left_behind(tmp_path / "cache") == []


def test_a_local_copy_needs_no_cache(
    tmp_path: Path, own_card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HALPGRAPH_CACHE", str(tmp_path / "file" / "cache"))
    write_zip(tmp_path / "data")
    assert load("OWN", root=tmp_path / "data").info["num_graphs"] == 3


def test_a_download_that_leads_out_of_its_folder(
    tmp_path: Path, own_card: Card, serve: Any
) -> None:
    path = write_zip(tmp_path / "server")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.txt", "x")
    serve(Answer(path.read_bytes()), Answer(path.read_bytes()))
    with pytest.raises(UserError, match="outside its own folder"):
        load("OWN")
    assert left_behind(tmp_path / "cache") == []
    assert not list(tmp_path.rglob("evil.txt"))
