"""Sequences of the report: chosen by a fixed rule; neighbours against a slow oracle."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from small import small_clips

from halpgraph.data.clip_writer import ClipWriter
from halpgraph.data.clips import Prepared
from halpgraph.layout import get_layout
from halpgraph.reports.sequences import examples, figure, neighbours

N, K = 30, 5  # clips, classes


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    path = tmp_path_factory.mktemp("sets") / "sway"
    with ClipWriter(path, "sway", get_layout("kinect20"), list("abcde")) as writer:
        for i, clip in enumerate(small_clips(N, persons=2)):
            clip.label = (3 * i + 1) % K
            writer.add(clip)
        return writer.finish()


def unlabelled(found: Prepared) -> Prepared:
    return Prepared(**{**vars(found), "y": None})


def test_one_example_of_each_class_the_first_there_is(found: Prepared) -> None:
    shown = examples(found, classes=9)
    assert [one.title for one in shown] == list("abcde")
    y = np.asarray(found.y)
    for label, one in enumerate(shown):
        first = int(np.flatnonzero(y == label)[0])
        assert one.caption == f"clip{first}, {found.num_frames[first]} frames"
        ElementTree.fromstring(str(one.picture))
    assert [">left<" in one.picture for one in shown] == [True] + [False] * 4  # one legend


def test_a_few_classes_are_spread_over_all(found: Prepared) -> None:
    assert [one.title for one in examples(found, classes=3)] == ["a", "c", "e"]
    assert [one.title for one in examples(found, among=[7, 2, 12], classes=3)] == ["c"]
    assert examples(found, among=[7, 2])[0].caption.startswith("clip7,")
    assert examples(found, among=[]) == []


def test_without_labels_clips_are_spread(found: Prepared) -> None:
    shown = examples(unlabelled(found), classes=3)
    assert [one.title for one in shown] == ["no label"] * 3
    assert [one.caption.split(",")[0] for one in shown] == ["clip0", "clip14", "clip29"]


def parts() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(0, N, 2), np.arange(1, N, 2)


def test_neighbours_are_the_nearest_of_the_training_part(found: Prepared) -> None:
    random = np.random.default_rng(0)
    ids = random.permutation(N)
    z = random.normal(size=(N, 4))
    y = np.asarray(found.y)
    train, test = parts()
    shown = neighbours(found, z, ids, y[ids], train, test, queries=4, k=3)
    row = {int(i): r for r, i in enumerate(ids)}
    assert len(shown) == 4
    for one in shown:
        query = int(one.query.caption.split(",")[0].removeprefix("clip"))
        assert query in test
        assert query == test[y[test] == y[query]][0]  # the first of its class
        assert one.query.title == f"Query: {'abcde'[y[query]]}"

        def cosine(i: int, query: int = query) -> float:
            a, b = z[row[i]], z[row[query]]
            return float(a @ b / np.sqrt((a @ a) * (b @ b)))

        best = sorted((int(i) for i in train), key=cosine, reverse=True)[:3]
        assert [f.caption.split(",")[0] for f in one.found] == [f"clip{i}" for i in best]
        for place, (i, f) in enumerate(zip(best, one.found, strict=True), start=1):
            assert f.title == f"Neighbour {place}: {'abcde'[y[i]]}"
            same = "same class" if y[i] == y[query] else "another class"
            assert f.caption.endswith(f"{same}, cosine {cosine(i):.3f}")
        hits = sum(y[i] == y[query] for i in best)
        assert one.said == f"{hits} of 3 neighbours are of the query's class."


def test_queries_do_not_depend_on_the_embeddings(found: Prepared) -> None:
    train, test = parts()
    y = np.asarray(found.y)
    asked = [
        [
            one.query.caption
            for one in neighbours(
                found, np.random.default_rng(seed).normal(size=(N, 3)), np.arange(N), y, train, test
            )
        ]
        for seed in (0, 1)
    ]
    assert asked[0] == asked[1]
    assert len(asked[0]) == 3


def test_missing_parts_labels_and_numbers(found: Prepared) -> None:
    train, test = parts()
    z = np.random.default_rng(0).normal(size=(N, 3))
    plain = neighbours(unlabelled(found), z, np.arange(N), None, train, test, k=2)
    assert plain[0].said == ""
    assert plain[0].found[0].title == "Neighbour 1: no label"
    assert "class" not in plain[0].found[0].caption
    assert neighbours(found, z[::2], train, None, train, test) == []
    assert neighbours(found, z, np.arange(N), None, [], test) == []
    z[0] = np.nan
    z[2] = 0
    shown = neighbours(found, z, np.arange(N), None, [0, 2], test, k=3)
    assert [f.caption.split(",")[0] for f in shown[0].found] == ["clip2"]


def test_titles_are_safe_in_a_page(found: Prepared) -> None:
    odd = Prepared(**{**vars(found), "classes": ["<i>a</i>", *"bcde"]})
    index = int(np.flatnonzero(np.asarray(found.y) == 0)[0])
    drawn = figure(odd, index)
    assert drawn.title == "<i>a</i>"  # the template escapes it
    assert "<i>" not in drawn.picture
