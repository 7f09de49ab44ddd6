"""What is hidden, told and judged: exact counts, absent persons, and plain sums."""

from __future__ import annotations

import pytest
import torch
from small import small_skeletons

from halpgraph.methods._regenerate import Decoder, error, hide_cells, truth
from halpgraph.pose import clip_of_body


@pytest.mark.parametrize("share", [0.1, 0.3, 0.999])
def test_cells_are_hidden_by_exact_counts_and_alike_for_the_bodies_of_a_clip(share: float) -> None:
    batch = small_skeletons(persons=2).store.batch()
    pose = batch.pose.abs() + 1  # nothing is zero by itself
    clip = clip_of_body(batch)
    found = hide_cells(pose, clip, share, torch.Generator().manual_seed(0))
    gone = (found == 0).all(2)  # [R, T, V]
    assert torch.equal(found, pose * ~gone[:, :, None])
    frames, joints = pose.size(1), pose.size(3)
    assert (gone.sum((1, 2)) == round(share * frames * joints)).all()
    both = [(clip == c).nonzero().view(-1) for c in range(36) if (clip == c).sum() == 2]
    assert len(both) == 12
    assert all(torch.equal(gone[a], gone[b]) for a, b in both)
    assert not torch.equal(gone[both[0][0]], gone[both[1][0]]) or share > 0.9


def test_the_error_counts_only_persons_who_are_there() -> None:
    batch = small_skeletons(persons=2).store.batch()
    wanted, mask = truth(batch, 2)
    told = wanted + torch.randn(wanted.shape, generator=torch.Generator().manual_seed(0))
    total, count = 0.0, 0
    width = batch.pose.size(2) * batch.pose.size(3)
    for body, (clip, person) in enumerate(
        zip(clip_of_body(batch).tolist(), batch.person.tolist(), strict=True)
    ):
        for t in range(wanted.size(0)):
            row = told[t, clip, person * width : (person + 1) * width]
            gap = row - batch.pose[body, t].reshape(-1)
            total, count = total + float((gap**2).sum()), count + width
    assert float(error(told * mask, wanted, mask)) == pytest.approx(total / count, rel=1e-4)
    assert 0 < float(mask.mean()) < 1  # one clip lacks a person


def test_a_decoder_tells_each_clip_by_itself() -> None:
    decoder = Decoder(6, 9, 4)
    feature = torch.randn(5, 6)
    whole = decoder(feature, 7)
    assert whole.shape == (7, 5, 9)
    torch.testing.assert_close(decoder(feature[2:3], 7)[:, 0], whole[:, 2])


def test_a_decoder_may_read_a_clip_frame_by_frame() -> None:
    """What it is given at a frame changes that frame and later ones only."""
    decoder = Decoder(6, 9, 4, layers=2, given=True)
    feature, given = torch.randn(5, 6), torch.randn(7, 5, 9)
    other = given.clone()
    other[3] += 1
    told, changed = decoder(feature, 7, given), decoder(feature, 7, other)
    assert told.shape == (7, 5, 9)
    torch.testing.assert_close(told[:3], changed[:3])
    assert (told[3:] != changed[3:]).any(2).all()
