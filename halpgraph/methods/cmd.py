"""CMD: three streams teach each other whom a clip resembles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Annotated

from pydantic import AfterValidator, Field
from torch import Tensor

from halpgraph.contracts import About, Encoder
from halpgraph.methods._streams import SeveralStreams, distinct
from halpgraph.neighbours import divergence
from halpgraph.registry import methods
from halpgraph.streams import Stream


@methods.register
class CMD(SeveralStreams):
    """Cross-modal mutual distillation: momentum contrast of several streams that teach each other.

    Every stream is a MoCo of its own on the same augmented clip (encoder, projection, momentum
    twins, bank; motion and bone are derived after the views). Beside its own InfoNCE, each stream a
    is a teacher of each other stream b. Its key finds the n nearest keys of its bank; how it
    spreads its likeness over them is what b's query should say of the same places of b's bank,
    which hold the same clips::

        s = k_a . bank_a                            [K], of each clip
        I = places of the n largest of s
        p = softmax(s[I] / t_teacher)               no gradient
        r = softmax((q_b . bank_b)[I] / t_student)
        distil = weight * sum over pairs a != b of mean over clips of KL(p || r)
        loss = sum over streams of InfoNCE + distil

    Of three streams there are six ordered pairs. A clip's own key is no neighbour of it. A term a
    stream is reported under the stream's name, beside ``distil``.

    Where the released code fills the banks with random directions at first and distils over them
    too, these banks start empty: negatives and neighbours are the keys there are (all of them while
    they are fewer than ``neighbours``), and before the first keys the others of the batch are the
    negatives and nothing is distilled. The released code evaluates the joint encoder alone; here an
    embedding has all streams side by side, and ``parts`` tells them apart. The default of 8192
    neighbours (half the bank) is that of the released scripts; the code's own is 1024. Published:
    batches of 64, SGD with a rate of 0.01, 450 epochs and a drop at 350 (PKU-MMD: 1000 and 800),
    three-layer BiGRU of 1024.

    Args:
        make_encoder: makes a fresh encoder of a stream.
        about: what is known of the data.
        streams: two or more of joint, motion, bone, bone-motion and distances.
        neighbours: n; at most as many as the bank holds.
        teacher_temperature: of the teacher's softmax, lower than the student's: its opinion counts
            where it is sure.
        student_temperature: of the student's softmax.
        weight: of the distillation; 0 leaves streams that know nothing of each other.
        temperature: of the softmax over keys in InfoNCE.
        momentum: share of the key encoders that stays in one step.
        bank: K, how many past keys are kept of each stream.
        projection: D of queries and keys.
        hidden: width of the projections' hidden layer; the encoder's own where left out.

    Cost: of S streams, S encoder passes with gradient and S without; three products of the batch
    with the bank a stream, a search for the n largest of K a teacher, S (S - 1) gathers.

    Reference: Mao et al., "CMD: Self-supervised 3D Action Representation Learning with Cross-modal
    Mutual Distillation", ECCV 2022, https://arxiv.org/abs/2208.12448; released code
    https://github.com/maoyunyao/CMD; with HaLP: Shah et al., CVPR 2023, supplements A and C,
    https://arxiv.org/abs/2304.00387
    """

    def __init__(
        self,
        make_encoder: Callable[[str], Encoder],
        about: About | None = None,
        streams: Annotated[tuple[Stream, ...], Field(min_length=2), AfterValidator(distinct)] = (
            "joint",
            "motion",
            "bone",
        ),
        neighbours: Annotated[int, Field(ge=1)] = 8192,
        teacher_temperature: Annotated[float, Field(gt=0)] = 0.05,
        student_temperature: Annotated[float, Field(gt=0)] = 0.1,
        weight: Annotated[float, Field(ge=0)] = 1.0,
        temperature: Annotated[float, Field(gt=0)] = 0.07,
        momentum: Annotated[float, Field(ge=0, lt=1)] = 0.999,
        bank: Annotated[int, Field(ge=1)] = 16384,
        projection: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        super().__init__(
            make_encoder,
            about,
            streams,
            temperature=temperature,
            momentum=momentum,
            bank=bank,
            projection=projection,
            hidden=hidden,
        )
        self.neighbours, self.weight = neighbours, weight
        self.teacher_temperature = teacher_temperature
        self.student_temperature = student_temperature

    def terms(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return InfoNCE of each stream under its name, and ``distil``."""
        terms = {
            branch.stream: branch.contrast(query, key)
            for branch, query, key in zip(self.each, queries, keys, strict=True)
        }
        return terms | {"distil": self.weight * self.distil(queries, keys)}

    def distil(self, queries: Sequence[Tensor], keys: Sequence[Tensor]) -> Tensor:
        """Return the sum of divergences of students from teachers, 0 while the banks are empty."""
        banks = [branch.bank.stored for branch in self.each]
        total = queries[0].new_zeros(())
        if len(banks[0]) == 0 or self.weight == 0:
            return total
        count = min(self.neighbours, len(banks[0]))
        found = [  # values and places of each teacher's neighbours, [B, count], in no order
            (key @ bank.t()).topk(count, dim=1, sorted=False)
            for key, bank in zip(keys, banks, strict=True)
        ]
        said = [query @ bank.t() for query, bank in zip(queries, banks, strict=True)]  # [B, K]
        for teacher, student in permutations(range(len(queries)), 2):
            values, places = found[teacher]
            answer = said[student].gather(1, places)  # [B, count]
            total = total + divergence(
                values / self.teacher_temperature, answer / self.student_temperature
            )
        return total
