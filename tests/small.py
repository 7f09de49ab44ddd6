"""Small recipes and data sets made on the spot, for tests that run the whole corridor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from halpgraph.data.clips import Clip, Split
from halpgraph.data.dataset import DataSet
from halpgraph.data.load import from_list
from halpgraph.data.skeleton_sets import from_clips
from halpgraph.layout import get_layout
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


def small_clips(
    n: int = 36, seed: int = 0, persons: int = 1, layout: str = "kinect20"
) -> list[Clip]:
    """Return clips of 12 to 40 frames of a body that sways slowly (class 0) or quickly (class 1).

    Of every third clip the second person, if there is one, is there too.
    """
    random = np.random.default_rng(seed)
    joints = get_layout(layout).num_joints
    still = random.normal(size=(joints, 3)) * 0.3
    clips = []
    for i in range(n):
        count = int(random.integers(12, 41))
        phase = np.arange(count)[:, None, None] * (0.2 + 0.5 * (i % 2)) + random.normal(
            size=(joints, 3)
        )
        pose = still + 0.2 * np.sin(phase) + random.normal(size=3) + [0, 0, 3]  # [T, V, C]
        both = np.zeros((persons, count, joints, 3), np.float32)
        both[: 2 if i % 3 == 0 else 1] = pose
        clips.append(Clip(f"clip{i}", both, i % 2, {"subject": i // 6, "view": i % 3}))
    return clips


def small_skeletons(n: int = 36, seed: int = 0, persons: int = 1, **settings: Any) -> DataSet:
    """Return ``small_clips`` as a data set of 16 frames, two thirds for training."""
    clips = small_clips(n, seed, persons, settings.pop("layout", "kinect20"))
    part = np.array([int(clip.fields["subject"] % 3 == 2) for clip in clips])
    layout = "kinect20" if clips[0].pose.shape[2] == 20 else "ntu25"
    splits = {"xsub": Split(part, "subject")}
    return from_clips(
        clips, layout, "sway", ["slow", "quick"], splits, **{"frames": 16, **settings}
    )
