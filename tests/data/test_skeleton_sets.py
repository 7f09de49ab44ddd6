"""Skeleton sets: splits, groups, settings, toy motions, floors, and clips of one's own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from small import small_data, small_skeletons

from halpgraph import GraphEmbedder
from halpgraph.data.load import load
from halpgraph.data.skeleton_sets import read_clips
from halpgraph.data.toy import CLASSES, LAYOUT, NOISE, toy_clips
from halpgraph.errors import UserError
from halpgraph.folds import grouped, make_folds
from halpgraph.layout import get_layout
from halpgraph.pose_floors import all_distances, floor_features, principal


def test_a_named_split_keeps_its_groups_for_choices() -> None:
    data = small_skeletons()
    (fold,) = make_folds(data, 10, 0)
    assert fold.groups is not None
    assert set(fold.groups[fold.train]) & set(fold.groups[fold.test]) == set()
    assert len(data.fit_store) == len(fold.train)
    assert small_skeletons(fit="all").fit is None


def test_folds_over_subjects_test_everybody_once() -> None:
    data = small_skeletons(split="folds:subject")
    assert data.fit is None
    folds = make_folds(data, 3, 0)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(36))
    subjects = data.fields["subject"]
    for fold in folds:
        assert not set(subjects[fold.train]) & set(subjects[fold.test])
    with pytest.raises(UserError, match="6 groups for 7 folds"):
        grouped(subjects, 7, 0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"split": "xsubb"}, "did you mean 'xsub'"),
        ({"split": "folds:subjct"}, "did you mean 'subject'"),
        ({"split": "none", "fit": "train"}, "needs a named split"),
        ({"frames": 1}, "too few"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        small_skeletons(**settings)


def test_settings_of_the_other_kind_are_refused() -> None:
    with pytest.raises(UserError, match=r"data\.frames: only for skeletons"):
        load("MUTAG", frames=3)
    with pytest.raises(UserError, match=r"data\.features: toy is a set of skeletons"):
        load("toy", features=["degree"])


def test_samples_are_read_back() -> None:
    store = small_skeletons(persons=2, centre="none").store
    for i in (0, 1):
        clip = read_clips([store[i]])[0]
        start = int(store.start[int(store.body_ptr[i])])
        first = store.frames[start].T.numpy()
        np.testing.assert_allclose(clip.pose[0, 0], first, rtol=1e-6)
    with pytest.raises(UserError, match=r"X\[0\]: a clip is"):
        read_clips([np.zeros(3)])


def test_toy_motions() -> None:
    clips = list(toy_clips(16, seed=3))
    again = list(toy_clips(16, seed=3))
    assert [clip.label for clip in clips] == [*range(8), *range(8)]
    assert len(CLASSES) == 8
    for clip, twin in zip(clips, again, strict=True):
        assert np.array_equal(clip.pose, twin.pose)
        joints = clip.pose[0]
        for child, parent in get_layout(LAYOUT).bones:
            length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)
            assert length.std() < 3 * NOISE


def test_floors_learn_their_components_on_the_training_part() -> None:
    data, other = small_skeletons(), small_skeletons()
    assert data.splits is not None
    for clip in data.splits["test"]:
        start = int(other.store.start[clip])
        other.store.frames[start : start + int(other.store.num_frames[clip])] *= 2
    a, b = (floor_features("pose", d) for d in (data, other))
    train = data.splits["train"]
    torch.testing.assert_close(a[train], b[train])
    assert not torch.allclose(a, b)
    with pytest.raises(UserError, match="is of skeletons"):
        floor_features("pose", small_data())


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_principal_components_are_those_of_svd(shape: tuple[int, int]) -> None:
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    found = principal(z, z, 5)
    u, s, _ = torch.linalg.svd((z - z.mean(0)).double(), full_matrices=False)
    torch.testing.assert_close(found.double().abs(), (u * s)[:, :5].abs(), rtol=1e-4, atol=1e-4)


def test_distances_do_not_see_a_turn() -> None:
    batch = small_skeletons().store.batch()
    before = all_distances(batch)
    cos, sin = np.cos(1.1), np.sin(1.1)
    turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float32)
    batch.pose = torch.einsum("rtcv,cd->rtdv", batch.pose, turn)
    torch.testing.assert_close(all_distances(batch), before, rtol=1e-4, atol=1e-5)


def test_the_estimator_takes_clips() -> None:
    clips = [clip.pose[0] for clip in toy_clips(16)]
    small = {
        "encoder": {"name": "bigru", "hidden": 8, "layers": 1, "pool": "mean"},
        "train.batch_size": 8,
        "method.bank": 16,
    }
    embedder = clone(GraphEmbedder("toy_stgcn", layout=LAYOUT, epochs=1, overrides=small))
    z = embedder.fit(clips).transform(clips)
    assert z.shape == (16, 16)
    again = pickle.loads(pickle.dumps(embedder)).transform(clips[:3])
    np.testing.assert_allclose(again, z[:3], rtol=1e-4, atol=1e-5)
