"""The persons of a clip side by side: each in its place, zeros for those who are not there."""

from __future__ import annotations

import pytest
import torch
from small import small_skeletons

from halpgraph.persons import beside, there
from halpgraph.pose import clip_of_body


@pytest.mark.parametrize(("persons", "places"), [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_every_body_has_its_place(persons: int, places: int) -> None:
    batch = small_skeletons(persons=persons).store.batch()
    clips, width = len(batch.y), batch.pose.size(2) * batch.pose.size(3)
    wanted = torch.zeros(batch.pose.size(1), clips, places * width)
    seen = torch.zeros(clips, places * width)
    bodies = zip(clip_of_body(batch).tolist(), batch.person.tolist(), batch.pose, strict=True)
    for clip, person, pose in bodies:
        at = slice(person * width, (person + 1) * width)
        wanted[:, clip, at] = pose.flatten(1)
        seen[clip, at] = 1
    assert torch.equal(beside(batch, places), wanted)
    assert torch.equal(there(batch, places), seen)
