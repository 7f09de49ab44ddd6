"""Choice and compose: how often each view is drawn, what each graph gets, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from toy import check_batch, pack, undirected

from halpgraph.batch import node_features
from halpgraph.errors import UserError
from halpgraph.registry import views
from halpgraph.views.choice import Choice
from halpgraph.views.compose import Compose
from halpgraph.views.drop_nodes import DropNodes
from halpgraph.views.identity import Identity

PATH = (20, {(i, i + 1) for i in range(19)})
COPIES = 2000


def happened(batch: Any, out: Any) -> torch.Tensor:
    """Tell what was done to each graph: 0 nothing, 1 nodes dropped, 2 edges changed, 3 masked."""
    sizes = out.ptr.diff()
    zero = (node_features(out) == 0).all(1).double()
    masked = torch.zeros(COPIES, dtype=torch.float64).index_add_(0, out.batch, zero) > 0
    edges = [undirected(out, i) != undirected(batch, 0) for i in range(COPIES)]
    kind = torch.where(torch.tensor(edges), 2, 0)
    return torch.where(sizes < 20, 1, torch.where(masked, 3, kind))


@pytest.mark.parametrize("weights", [None, [1, 2, 3, 2], [0.5, 0, 0.25, 0.25]])
def test_views_are_drawn_as_often_as_told(weights: list[float] | None) -> None:
    batch = pack([PATH] * COPIES)
    of = ["identity", "drop_nodes", "perturb_edges", "mask_features"]
    out = Choice(of, weights)(batch, torch.Generator().manual_seed(0))
    check_batch(out)
    counts = torch.bincount(happened(batch, out), minlength=4).double()
    wanted = torch.tensor(weights or [1.0] * 4, dtype=torch.float64)
    wanted = wanted / wanted.sum() * COPIES
    assert bool((counts[wanted == 0] == 0).all())
    assert chisquare(counts[wanted > 0], wanted[wanted > 0]).pvalue > 1e-3


def test_nested_choices_and_compositions_keep_to_their_graphs() -> None:
    """Half of the graphs lose 2 of 20 nodes, then 1 of 18; the other half is left or masked."""
    batch = pack([PATH] * COPIES)
    twice = Compose([DropNodes(0.1), DropNodes(0.1)])
    view = Choice([twice, Choice([Identity(), "mask_features"])])
    out = view(batch, torch.Generator().manual_seed(1))
    check_batch(out)
    sizes, counts = out.ptr.diff().unique(return_counts=True)
    assert sizes.tolist() == [17, 20]
    assert chisquare(counts.numpy()).pvalue > 1e-3
    kinds = torch.bincount(happened(batch, out), minlength=4)
    assert kinds[2] == 0
    assert chisquare(kinds[[0, 3]].numpy()).pvalue > 1e-3


def test_compose_goes_in_order() -> None:
    batch = pack([PATH] * 5)
    first = Compose(["mask_features", {"name": "subgraph", "keep": 0.5}])
    out = first(batch, torch.Generator().manual_seed(0))
    assert out.ptr.diff().tolist() == [10] * 5
    masked = Compose([{"name": "subgraph", "keep": 0.5}, "mask_features"])(batch)
    zero = (node_features(masked) == 0).all(1)
    assert zero.view(5, 10).sum(1).tolist() == [1] * 5  # [5]


@pytest.mark.parametrize("name", ["choice", "compose"])
@pytest.mark.parametrize(
    ("of", "words"),
    [
        ([], ["{}.of", "empty", "drop_nodes"]),
        (["drop_nodes", "drop_nods"], ["{}.of.1", "did you mean 'drop_nodes'"]),
        (
            ["identity", {"name": "drop_nodes", "ratoi": 0.2}],
            ["{}.of.1.ratoi", "did you mean 'ratio'"],
        ),
        ([{"name": "drop_nodes", "ratio": 1.5}], ["{}.of.0.ratio", "1.5"]),
        ([{"ratio": 0.1}], ["{}.of.0.name", "missing"]),
        ([3], ["{}.of.0", "no view"]),
    ],
)
def test_wrong_parts_are_refused(name: str, of: list[Any], words: list[str]) -> None:
    for attempt, place in (
        (lambda: views.settings({"name": name, "of": of}, "views.1"), "views.1"),
        (lambda: views.get(name)(of), f"views.{name}"),
    ):
        with pytest.raises(UserError) as error:
            attempt()
        assert all(word.format(place) in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize("weights", [[1.0], [1, -1], [0, 0], [float("nan"), 1], [float("inf"), 1]])
def test_weights_that_do_not_fit_are_refused(weights: list[float]) -> None:
    with pytest.raises(UserError, match=r"views\.choice\.weights"):
        Choice(["identity", "drop_nodes"], weights)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "drop_nodes", "ratio": 1.0},
        {"name": "drop_nodes", "ratio": -0.1},
        {"name": "subgraph", "keep": 0},
        {"name": "subgraph", "grow": "bsf"},
        {"name": "perturb_edges", "add": 7},
        {"name": "mask_features", "fill": "one"},
        {"name": "identity", "ratio": 0.1},
        {"name": "choice"},
    ],
)
def test_impossible_settings_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^views\.0\."):
        views.build(spec, "views.0")
