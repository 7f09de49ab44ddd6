"""Skeleton sets: splits, groups, settings, toy motions, floors, and clips of one's own."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from small import small_data, small_skeletons

from halpgraph import GraphEmbedder
from halpgraph.data.clips import Split
from halpgraph.data.load import load
from halpgraph.data.skeleton_sets import from_prepared, read_clips
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


def test_inside_a_split_the_test_part_is_never_touched() -> None:
    whole = small_skeletons()
    assert whole.splits is not None
    subjects, training = whole.fields["subject"], set(whole.splits["train"].tolist())
    tested: list[int] = []
    for out in sorted({int(subjects[i]) for i in training}):
        data = small_skeletons(split=f"inside:xsub:{out}")
        (fold,) = make_folds(data, 10, 0)
        assert set(subjects[fold.test]) == {out}
        assert out not in set(subjects[fold.train])
        assert set(fold.train) | set(fold.test) == training
        assert len(data.fit_store) == len(fold.train)
        tested += fold.test.tolist()
    assert sorted(tested) == sorted(training)


def test_inside_two_groups_choices_have_none_to_leave_out() -> None:
    whole = small_skeletons()
    assert whole.prepared is not None
    view = np.arange(len(whole.prepared)) % 2
    whole.prepared.fields["view"] = view
    part = whole.prepared.splits["xsub"].part
    found = replace(whole.prepared, splits={"xview": Split(part, "view")})
    data = from_prepared(found, "inside:xview:1")
    assert data.groups is None
    assert data.info["inner"] is None
    assert data.splits is not None
    assert set(view[data.splits["test"]]) == {1}
    found.splits["xview"] = Split(np.where(view == 1, 0, 1), "view")
    with pytest.raises(UserError, match="there are: none, for there is only one"):
        from_prepared(found, "inside:xview:1")
    found.splits["xview"] = Split(part)
    with pytest.raises(UserError, match="has no groups to leave out"):
        from_prepared(found, "inside:xview:1")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"split": "inside:xsubb:1"}, "did you mean 'xsub'"),
        ({"split": "inside:xsub:99"}, "as in inside:xsub:"),
        ({"split": "inside:xsub"}, "inside:xsub: give one subject of xsub"),
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
