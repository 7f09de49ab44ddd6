"""Downloads: whole and verified, or not there at all."""

from __future__ import annotations

import http.client
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import IO

from halpgraph.data._files import DAMAGED, Files, check_member, verify
from halpgraph.data.cards import Card
from halpgraph.data.sources import target
from halpgraph.errors import UserError

_CHUNK = 1 << 20
_TIMEOUT = 30  # seconds without an answer


class _FetchError(Exception):
    """One mirror failed; the next may do better."""


def download(card: Card, cache: Path) -> Path:
    """Fetch a data set into the cache, trying its mirrors in turn.

    Args:
        card: says where from, and with what checksums.
        cache: the folder of all downloads.

    Raises:
        UserError: no mirror gave the right file, or the cache cannot be written; in either case
            nothing is left behind.
    """
    folder = cache / card.source
    failures = []
    with _scratch(folder) as scratch:
        for url in card.mirrors:
            try:
                return _fetch_and_place(card, url, Path(scratch), folder / target(card))
            except (_FetchError, UserError) as error:
                failures.append(f"  {url}: {error}")
            except OSError as error:
                raise _unwritable(folder, error) from None
    raise UserError(_advice(card, cache, failures))


def _scratch(folder: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=folder, prefix=".download-")
    except OSError as error:
        raise _unwritable(folder, error) from None


def _fetch_and_place(card: Card, url: str, scratch: Path, place: Path) -> Path:
    archive = scratch / "archive.zip"
    with open(archive, "wb") as out:
        _fetch(url, out)
    if card.source == "ogb":
        made = _unpack(archive, scratch / "unpacked")
    else:
        files = Files(archive)
        for name in files.names():
            files.read(name)  # checks the archive's own checksums
        verify(files, card.sha256)
        made = archive
    made.replace(place)
    return place


def _fetch(url: str, out: IO[bytes]) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            length = answer.headers.get("Content-Length")
            while chunk := _read(answer):
                out.write(chunk)
    except urllib.error.URLError as error:
        raise _FetchError(f"not reached ({error.reason})") from None
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _FetchError(f"broke off ({error})") from None
    if length is not None and out.tell() != int(length):
        raise _FetchError(f"broke off after {out.tell()} of {length} bytes")


def _read(answer: IO[bytes]) -> bytes:
    return answer.read(_CHUNK)


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive with one folder at its top, and return that folder."""
    try:
        with zipfile.ZipFile(archive) as content:
            for member in content.namelist():
                check_member(archive, member)
            content.extractall(folder)
    except DAMAGED as error:
        raise _FetchError(f"damaged ({error})") from None
    tops = [entry for entry in folder.iterdir() if entry.is_dir()]
    if len(tops) != 1 or not (tops[0] / "raw" / "edge.csv.gz").is_file():
        raise _FetchError("not an archive in OGB's layout")
    return tops[0]


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"{folder}: the cache cannot be written ({error.strerror or error}); set HALPGRAPH_CACHE "
        "to a folder that can, or pass a folder that has the data set with --data"
    )


def _advice(card: Card, cache: Path, failures: list[str]) -> str:
    if card.source == "tu":
        what, how = f"{card.name}.zip", "(as it is, not unpacked)"
    else:
        what, how = target(card), "(unpacked and renamed, with raw/ and split/ inside)"
    return "\n".join(
        [
            f"{card.name}: not on this machine, and could not be downloaded:",
            *(failures or ["  the card names no address"]),
            "On a machine with a network fetch",
            *(f"  {url}" for url in card.mirrors),
            f"and put it here as {cache / card.source / what} {how},",
            f"or put {what} into any folder and pass that with --data (or HALPGRAPH_DATA).",
        ]
    )
