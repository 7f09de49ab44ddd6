"""Cards: every shipped one is valid and whole; a broken one is named; nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from halpgraph import shipped as shipped_module
from halpgraph.data.cards import Card, cards, read_card
from halpgraph.errors import RunError
from halpgraph.layout import get_layout
from halpgraph.shipped import shipped

NAMES = ["MUTAG", "PROTEINS", "NCI1", "DD", "PTC_MR", "ENZYMES", "IMDB-BINARY", "ogbg-molhiv"]


def test_the_sets_of_the_paper_and_more_have_cards() -> None:
    assert set(NAMES) <= set(cards())


@pytest.mark.parametrize("path", sorted(shipped("datasets").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_shipped_card_is_whole(path: Path) -> None:
    card = read_card(path)
    assert card.name == path.stem
    assert card.about.endswith(".")
    assert card.licence
    assert card.citation
    if card.source in ("skeletons", "toy"):
        assert get_layout(str(card.layout)).num_joints
        assert card.how or card.source == "toy"
        assert all(
            sum(parts) == card.statistics.graphs for parts in card.statistics.splits.values()
        )
        return
    assert card.mirrors
    assert card.features
    assert card.statistics.graphs
    counts = card.statistics.class_counts
    if card.source == "tu":
        assert counts is not None
        assert sum(counts) == card.statistics.graphs
        for part in ("A", "graph_indicator", "graph_labels") if card.sha256 else ():
            assert f"{card.name}_{part}.txt" in card.sha256
    if card.class_names and counts:
        assert len(card.class_names) == len(counts)


def _mutag() -> dict[str, object]:
    content = yaml.safe_load((shipped("datasets") / "MUTAG.yaml").read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"licens": "x"}, "licens"),
        ({"source": "web"}, "source"),
        ({"features": ["label"]}, "features"),
        ({"sha256": {"a": "123"}}, "sha256"),
        ({"statistics": {"graph": 1}}, "statistics.graph"),
    ],
)
def test_a_broken_card_is_named(change: dict[str, object], word: str, tmp_path: Path) -> None:
    path = tmp_path / "X.yaml"
    path.write_text(yaml.safe_dump(_mutag() | change))
    with pytest.raises(RunError) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    assert word in str(caught.value)


def test_a_card_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "X.yaml"
    path.write_text(f"name: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']\n")
    with pytest.raises(RunError, match="not a valid data set card"):
        read_card(path)
    assert not (tmp_path / "made").exists()


def test_cards_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        cards()["MUTAG"].name = "other"
    cards().clear()
    assert isinstance(cards()["MUTAG"], Card)


def test_in_a_wheel_and_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "halpgraph"
    package.mkdir(parents=True)
    monkeypatch.setattr(shipped_module, "_PACKAGE", package)
    (package.parent / "datasets").mkdir()  # a foreign package of that name is not ours
    with pytest.raises(RunError, match="install halpgraph again"):
        shipped("datasets")
    (package.parent / "pyproject.toml").touch()
    assert shipped("datasets") == package.parent / "datasets"
    (package / "_shipped" / "datasets").mkdir(parents=True)
    assert shipped("datasets") == package / "_shipped" / "datasets"


def test_listing_needs_neither_torch_nor_ogb_nor_grakel() -> None:
    code = (
        "import sys; from halpgraph.data.catalogue import describe_all, check; describe_all();"
        "print([m for m in ('torch', 'ogb', 'grakel', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
