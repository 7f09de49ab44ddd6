from __future__ import annotations

import numpy as np
import pytest

from halpgraph.data.readers._base import DamagedError
from halpgraph.data.readers._skeleton_text import parse
from tests.data.readers.raw_files import ID, frames_of, moving, skeleton_text

BODY = 27  # lines of a body: head, number of joints, 25 joints


def text(count: int = 4) -> str:
    return skeleton_text(frames_of((ID, range(count), moving(count)), count=count))


def broken(line: int, new: str) -> bytes:
    lines = text().split("\r\n")
    lines[line - 1] = new
    return "\r\n".join(lines).encode()


def test_reads_what_was_written() -> None:
    a, b = moving(5, 1), moving(5, 2)
    frames = frames_of((ID, [1, 2, 4], a), (ID + 1, [2, 3, 4], b), count=6)
    got = parse(skeleton_text(frames).encode(), "x")
    assert got.frames == 6
    assert got.frame.tolist() == [1, 2, 2, 3, 4, 4]
    assert got.slot.tolist() == [0, 0, 1, 0, 0, 1]
    assert got.body == [ID, ID, ID + 1, ID + 1, ID, ID + 1]
    np.testing.assert_array_equal(got.xyz, [a[0], a[1], b[0], b[1], a[2], b[2]])


def test_ids_of_64_bits_are_kept_apart() -> None:
    assert float(ID) == float(ID + 1)  # why they must not pass through floats
    frames = frames_of((ID, [0], moving(1)), (ID + 1, [0], moving(1, 1)), count=1)
    assert len(set(parse(skeleton_text(frames).encode(), "x").body)) == 2


def test_a_file_without_any_body() -> None:
    got = parse(b"3\r\n0\r\n0\r\n0\r\n", "x")
    assert got.frames == 3
    assert got.xyz.shape == (0, 25, 3)


def test_not_a_number_is_read_as_such() -> None:
    lines = text().split("\r\n")
    lines[4] = "nan nan nan " + lines[4].split(" ", 3)[3]
    got = parse("\r\n".join(lines).encode(), "x")
    assert np.isnan(got.xyz[0, 0]).all()
    assert np.isfinite(got.xyz[0, 1:]).all()


@pytest.mark.parametrize(
    ("line", "new", "says"),
    [
        (1, "many", "number of frames"),
        (1, "", "number of frames"),
        (2, "-1", "number of bodies in frame 1 of 4"),
        (2, "1.5", "number of bodies in frame 1 of 4"),
        (3, "12 0 1", "a body"),
        (3, "x 0 1 1 0 0 0 0 0 2", "a body"),
        (3, "1.5 0 1 1 0 0 0 0 0 2", "a body"),
        (4, "24", "number of joints, 25"),
        (4, "26", "number of joints, 25"),
        (9, "1 2 3", "a joint: 12 numbers"),
        (9, "1 2 3 4 5 6 7 8 9 10 11 12 2", "a joint: 12 numbers"),
        (9, "1 two 3 4 5 6 7 8 9 10 11 2", "a joint"),
        (2 + BODY + 1, "1 1", "number of bodies in frame 2 of 4"),
        (9, "\x00\x01\x7f", "a joint"),
    ],
)
def test_a_wrong_line_is_named(line: int, new: str, says: str) -> None:
    with pytest.raises(DamagedError, match=says) as caught:
        parse(broken(line, new), "S001.skeleton")
    assert caught.value.line == line
    assert f"S001.skeleton, line {line}:" in str(caught.value)


@pytest.mark.parametrize("keep", [1, 2, 3, 4, 10, 1 + BODY + 1, 1 + 2 * (BODY + 1) + 20])
def test_a_truncated_file_says_where_it_ends(keep: int) -> None:
    content = "\r\n".join(text().split("\r\n")[:keep]).encode()
    with pytest.raises(DamagedError, match="the file ends before") as caught:
        parse(content, "x")
    assert caught.value.line == keep


def test_a_file_cut_in_the_middle_of_a_number() -> None:
    with pytest.raises(DamagedError, match="line"):
        parse(text().encode()[:2000], "x")


def test_garbage_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8).tobytes()
    for content in (noise, b"", b"\x00" * 100, b"PK\x03\x04" + noise):
        with pytest.raises(DamagedError):
            parse(content, "x")
