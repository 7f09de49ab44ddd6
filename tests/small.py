"""Small recipes and data sets made on the spot, for tests that run the whole corridor."""

from __future__ import annotations

from typing import Any

import torch
from torch_geometric.data import Data

from halpgraph.data.load import DataSet, from_list
from halpgraph.recipe import Recipe, validate
from halpgraph.recipe_files import assign, read_recipe


def small_recipe(**changes: Any) -> Recipe:
    """Return the MUTAG recipe with 3 epochs, 2 seeds, batches of 16, 3 folds, and no floors.

    Dotted keys are written with two underscores: ``train__epochs=1``.
    """
    content, _ = read_recipe("graphcl_mutag")
    content |= {"seeds": [0, 1], "folds": 3, "floors": [], "evaluators": ["knn"]}
    assign(content, "train.batch_size", 16, "test")
    assign(content, "train.epochs", 3, "test")
    for key, value in changes.items():
        assign(content, key.replace("__", "."), value, "test")
    return validate(content)


def small_graphs(n: int = 40, seed: int = 0) -> list[Data]:
    """Return rings (class 0) and stars (class 1) of 5 to 9 nodes with random node labels."""
    random = torch.Generator().manual_seed(seed)
    graphs = []
    for i in range(n):
        size = int(torch.randint(5, 10, (1,), generator=random))
        nodes = torch.arange(size)
        ring = torch.stack([nodes, (nodes + 1) % size])  # [2, size]
        star = torch.stack([torch.zeros(size - 1, dtype=torch.long), nodes[1:]])  # [2, size - 1]
        edges = ring if i % 2 == 0 else star
        labels = torch.randint(0, 3, (size,), generator=random)
        x = torch.nn.functional.one_hot(labels, 3).float()  # [size, 3]
        graphs.append(
            Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], 1), y=torch.tensor([i % 2]))
        )
    return graphs


def small_data(n: int = 40, seed: int = 0) -> DataSet:
    """Return ``small_graphs`` as a data set."""
    return from_list(small_graphs(n, seed), name="small")
