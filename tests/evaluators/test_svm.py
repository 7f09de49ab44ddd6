"""The nested SVM against plain scikit-learn nesting, and its rules."""

from __future__ import annotations

import numpy as np
import pytest
from plain import GRID, blobs, plain_nesting
from sklearn.svm import SVC, LinearSVC

from halpgraph import registry
from halpgraph.contracts import Fold
from halpgraph.data.load import load
from halpgraph.errors import UserError
from halpgraph.evaluators import _native
from halpgraph.evaluators._search import Trial, choose
from halpgraph.evaluators._svc import Prediction, duals
from halpgraph.evaluators.svm import svm
from halpgraph.floors import histogram, structure
from halpgraph.folds import stratified
from halpgraph.wl import colours


@pytest.fixture(scope="module")
def mutag():
    """Embeddings as an untrained encoder makes them: sums of projected neighbourhoods."""
    data = load("MUTAG")
    graphs = structure(data)
    rounds = colours(graphs.colours, graphs.rowptr, graphs.target, 2)
    counts = np.concatenate([histogram(graphs, colour) for colour in rounds], axis=1)
    mix = np.random.default_rng(0).normal(size=(counts.shape[1], 48))
    return np.tanh(counts @ mix / 10), np.asarray(data.y)


@pytest.fixture(params=["compiled", "libsvm"])
def solver(request, monkeypatch):
    """Run with the compiled loop and without it."""
    if request.param == "libsvm":
        monkeypatch.setattr(_native, "library", lambda: None)
    elif _native.library() is None:
        pytest.skip("no C compiler here")


def same_as_plain(found, plain):
    predicted, chosen = plain
    assert [c["C"] for c in found.chosen] == chosen
    np.testing.assert_array_equal(found.predicted, predicted)


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize("seed", [0, 1])
def test_rbf_on_mutag_is_plain_grid_search(mutag, seed):
    z, y = mutag
    folds = stratified(y, 10, seed)[:3]
    same_as_plain(svm()(z, y, folds, seed), plain_nesting(SVC(), z, y, folds, seed))


@pytest.mark.usefixtures("solver")
@pytest.mark.parametrize(("classes", "scale"), [(2, True), (2, False), (4, True)])
def test_rbf_on_clouds_is_plain_grid_search(classes, scale):
    z, y = blobs(classes=classes, n=120)
    z[:, 0] *= 5.0
    folds = stratified(y, 3, 7)
    plain = plain_nesting(SVC(), z, y, folds, 7, scale=scale)
    same_as_plain(svm(scale=scale)(z, y, folds, 7), plain)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [5, 60])
def test_linear_is_plain_grid_search(classes, width):
    z, y = blobs(n=60, classes=classes, d=width, noise=3.0)
    folds, grid = stratified(y, 3, 1), GRID[:5]
    model = LinearSVC(dual=False, tol=1e-9, max_iter=100_000)
    same_as_plain(
        svm(kernel="linear", grid=grid)(z, y, folds, 1),
        plain_nesting(model, z, y, folds, 1, grid=grid),
    )


def test_linear_reaches_the_optimum_at_large_c_where_liblinear_gives_up():
    z, y = blobs(n=200, d=20)
    from halpgraph.evaluators._squared_hinge import squared_hinge, with_ones

    rows, signs = with_ones(z)[0], np.where(y == 1, 1.0, -1.0)
    for C, w in zip(GRID, squared_hinge(rows, signs, GRID), strict=True):
        slack = np.maximum(1 - signs * (rows @ w), 0)
        slope = w - 2 * C * (signs * slack) @ rows
        assert np.abs(slope).max() < 1e-7 * max(1.0, C)


def test_both_takes_the_better_kernel_of_each_fold_and_rbf_on_a_tie(mutag):
    z, y = mutag
    folds = stratified(y, 10, 0)[:4]
    both = svm(kernel="both")(z, y, folds, 0)
    alone = {kernel: svm(kernel=kernel)(z, y, folds, 0) for kernel in ("rbf", "linear")}
    assert {c["kernel"] for c in both.chosen} <= set(alone)
    for fold, choice in zip(folds, both.chosen, strict=True):
        single = alone[choice["kernel"]]
        assert choice in single.chosen
        np.testing.assert_array_equal(both.predicted[fold.test], single.predicted[fold.test])


@pytest.mark.usefixtures("solver")
def test_duals_agree_with_libsvm_within_its_tolerance(mutag):
    z, y = mutag
    kernel = np.exp(-((z[:, None] - z) ** 2).mean(-1))
    signs = np.where(y == 1, 1.0, -1.0)
    b, intercept = duals(kernel, signs, GRID[::-1], tol=1e-5)  # any order of the grid
    for row, C in enumerate(GRID[::-1]):
        model = SVC(C=C, kernel="precomputed", tol=1e-5).fit(kernel, y)
        ours = kernel @ b[row] + intercept[row]
        np.testing.assert_allclose(ours, model.decision_function(kernel), atol=5e-3)
        assert abs(b[row].sum()) < 1e-9 * C
        assert (signs * b[row] >= 0).all()
        assert (np.abs(b[row]) <= C).all()


def test_a_bound_that_nobody_reaches_changes_nothing_more():
    z, y = blobs(n=60, noise=0.1)
    kernel = np.exp(-0.1 * ((z[:, None] - z) ** 2).sum(-1))
    b, _ = duals(kernel, np.where(y == 1, 1.0, -1.0), [10.0, 1e4, 1e6])
    np.testing.assert_array_equal(b[1], b[2])


@pytest.mark.parametrize("name", ["svm", "linear", "knn"])
class TestEveryEvaluator:
    """Rules of the protocol, whatever judges."""

    def build(self, name):
        return registry.evaluators.build(name)

    def test_labels_of_a_test_fold_are_never_seen(self, name):
        z, y = blobs()
        folds = stratified(y, 5, 0)
        before = self.build(name)(z, y, folds, 0)
        for number, fold in enumerate(folds):
            other = y.copy()
            other[fold.test] = 1 - other[fold.test]
            after = self.build(name)(z, other, [fold], 0)
            np.testing.assert_array_equal(after.predicted[fold.test], before.predicted[fold.test])
            assert after.chosen[0] == before.chosen[number]

    def test_embeddings_of_a_test_fold_do_not_change_the_choice(self, name):
        z, y = blobs()
        fold = stratified(y, 5, 0)[0]
        moved = z.copy()
        moved[fold.test] *= 1000.0
        choices = [self.build(name)(some, y, [fold], 0).chosen for some in (z, moved)]
        assert choices[0] == choices[1]

    def test_shuffled_labels_give_chance(self, name):
        rng = np.random.default_rng(0)
        z, y = rng.normal(size=(200, 8)), rng.permutation(np.arange(200) % 2)
        scores = self.build(name)(z, y, stratified(y, 10, 0), 0)
        assert 0.38 < np.mean(scores.metrics["accuracy"]) < 0.62
        assert 0.36 < np.mean(scores.metrics["roc_auc"]) < 0.64

    def test_real_structure_is_found_and_metrics_fit_the_predictions(self, name):
        z, y = blobs(noise=0.5, classes=3)
        labels = np.array([7, 9, 12])[y]
        folds = stratified(labels, 5, 0)
        scores = self.build(name)(z, labels, folds, 0)
        assert np.mean(scores.metrics["accuracy"]) > 0.9
        assert set(np.unique(scores.predicted)) <= {7, 9, 12}
        for number, fold in enumerate(folds):
            right = (scores.predicted[fold.test] == labels[fold.test]).mean()
            assert scores.metrics["accuracy"][number] == pytest.approx(right)
            assert (scores.fold[fold.test] == number).all()
        assert "roc_auc" not in scores.metrics

    def test_same_seed_same_answer(self, name):
        z, y = blobs()
        folds = stratified(y, 5, 0)
        first, second = (self.build(name)(z, y, folds, 3) for _ in range(2))
        np.testing.assert_array_equal(first.predicted, second.predicted)
        assert first.chosen == second.chosen

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_embeddings_that_are_not_finite_are_refused(self, name, bad):
        z, y = blobs()
        z[17, 2] = bad
        with pytest.raises(UserError, match="row 17"):
            self.build(name)(z, y, stratified(y, 5, 0), 0)

    def test_constant_embeddings_give_the_majority_at_best(self, name):
        y = (np.arange(60) % 3 == 0).astype(int)
        scores = self.build(name)(np.ones((60, 4)), y, stratified(y, 5, 0), 0)
        assert np.mean(scores.metrics["accuracy"]) == pytest.approx(2 / 3)
        assert np.mean(scores.metrics["roc_auc"]) == pytest.approx(0.5)

    def test_identical_rows_with_opposite_labels_are_no_trouble(self, name):
        z, y = blobs(n=40)
        z, y = np.concatenate([z, z, z]), np.concatenate([y, y, 1 - y])
        scores = self.build(name)(z, y, stratified(y, 5, 0), 0)
        assert np.isfinite(scores.metrics["roc_auc"]).all()

    def test_one_class_to_learn_from_is_predicted_throughout(self, name):
        z, y = blobs(n=40)
        train, test = np.flatnonzero(y == 1)[:15], np.arange(0, 10)
        scores = self.build(name)(z, y, [Fold(train, test)], 0)
        assert (scores.predicted[test] == 1).all()
        assert scores.metrics["balanced_accuracy"] == [0.5]

    def test_a_class_smaller_than_the_inner_folds_is_no_trouble(self, name):
        z, y = blobs(n=60, classes=2)
        y[:2] = 2
        fold = Fold(np.arange(0, 50), np.arange(50, 60))
        scores = self.build(name)(z, y, [fold], 0)
        assert len(scores.chosen) == 1

    def test_an_official_validation_split_chooses(self, name):
        z, y = blobs(n=90)
        train, valid, test = np.arange(0, 50), np.arange(50, 70), np.arange(70, 90)
        scores = self.build(name)(z, y, [Fold(train, test, valid)], 0)
        assert (scores.predicted[:70] == -1).all()
        assert (scores.fold[70:] == 0).all()
        other = z.copy()
        other[valid] = 0.0  # chooses, but is never learned from: only the choice may change
        again = self.build(name)(other, y, [Fold(train, test, valid)], 0)
        if again.chosen == scores.chosen:
            np.testing.assert_array_equal(again.predicted, scores.predicted)

    def test_one_class_in_all_is_refused(self, name):
        with pytest.raises(UserError, match="two classes"):
            self.build(name)(np.ones((10, 2)), np.zeros(10, int), [], 0)


def test_settings_are_validated():
    for spec in ({"kernel": "poly"}, {"grid": []}, {"grid": [0.0]}, {"inner": 1}, {"tol": 0}):
        with pytest.raises(UserError):
            registry.evaluators.build({"name": "svm", **spec}, "evaluators")


def trials(*rows):
    """Make candidates of (predicted, unsure, settled) triples against a truth of ones."""
    asked = []

    def one(predicted, unsure, settled):
        def settle():
            asked.append(settled)
            return Prediction(np.array(settled), None)

        found = Prediction(np.array(predicted), None, np.array(unsure, dtype=bool), settle)
        return [Trial(found, np.ones(4, dtype=int))]

    return [one(*row) for row in rows], asked


def test_only_what_could_change_the_choice_is_settled():
    loser = ([1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0])
    winner = ([1, 1, 1, 0], [0, 0, 0, 0], None)
    some, asked = trials(loser, winner)
    assert choose(some) == 1
    assert asked == []


def test_a_contested_choice_is_made_by_the_settled_predictions():
    first = ([1, 1, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0])  # loses what was unsure
    second = ([1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 0])  # wins it
    some, asked = trials(first, second)
    assert choose(some) == 1
    assert len(asked) == 2
    tied, _ = trials(second, first, second)
    assert choose(tied) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_rbf_on_all_of_mutag_for_many_seeds(mutag, seed):
    z, y = mutag
    folds = stratified(y, 10, seed)
    same_as_plain(svm()(z, y, folds, seed), plain_nesting(SVC(), z, y, folds, seed))
