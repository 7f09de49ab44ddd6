"""Support vector machine, the field's usual probe of an embedding, nested and seeded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from halpgraph.contracts import Evaluator, FloatArray, Fold, IntArray, Scores
from halpgraph.evaluators._kernel_svm import KernelMachines
from halpgraph.evaluators._kernels import rbf
from halpgraph.evaluators._nested import checked
from halpgraph.evaluators._search import Family, nested, scalings
from halpgraph.evaluators._squared_hinge import LinearMachines
from halpgraph.registry import evaluators

Positive = Annotated[float, Field(gt=0)]


@evaluators.register
class svm(Evaluator):  # noqa: N801 - the name of the file
    """Support vector machine with C (and the kernel) chosen inside each training fold.

    The answers are those of scikit-learn's plain ``GridSearchCV`` over C around a pipeline of
    ``StandardScaler`` and ``SVC(gamma="scale")`` - for the linear kernel ``LinearSVC`` with squared
    hinge loss, as the field's linear rows are made - on the same splits, in a fraction of the time.

    Args:
        kernel: ``rbf``, ``linear``, or ``both``: the kernel is chosen inside the fold as well.
        grid: values of C to choose from.
        inner: inner folds.
        scale: standardise the embedding, fitted on the training part of every split; ``both``:
            whether to is chosen inside the fold as well.
        tol: LIBSVM's tolerance for the rbf kernel; the linear machine is solved exactly.
    """

    def __init__(
        self,
        kernel: Literal["rbf", "linear", "both"] = "rbf",
        grid: Annotated[list[Positive], Field(min_length=1)] = [  # noqa: B006 - never changed
            *(1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
        ],
        inner: Annotated[int, Field(ge=2)] = 5,
        scale: bool | Literal["both"] = True,
        tol: Annotated[float, Field(gt=0, lt=1)] = 1e-3,
    ) -> None:
        self.kernel, self.grid, self.inner = kernel, list(grid), inner
        self.scale, self.tol = scale, tol
        self.label = f"SVM ({'rbf or linear' if kernel == 'both' else kernel})"

    def __call__(self, z: FloatArray, y: IntArray, folds: Sequence[Fold], seed: int) -> Scores:
        """Evaluate embeddings. Shapes: z [n, D], y [n]."""
        z, y, names = checked(z, y)
        families: list[Family] = []
        for scale, said in scalings(self.scale):
            if self.kernel != "linear":
                kernel = rbf(z, scale)
                name = {"kernel": "rbf", **said}
                families.append(KernelMachines(name, kernel, len(names), self.tol))
            if self.kernel != "rbf":
                families.append(LinearMachines(z, len(names), scale))
                families[-1].name = {**families[-1].name, **said}
        return nested(families, self.grid, y, names, folds, seed, self.inner)
