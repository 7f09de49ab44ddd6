"""Contracts, over every registered name: a new file in a room is tested by being there."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import numpy as np
import pytest
import torch
from component_specs import spec
from small import small_data, small_graphs, small_recipe, small_skeletons
from toy import check_batch

from halpgraph import registry
from halpgraph.batch import node_features
from halpgraph.building import build_method
from halpgraph.contracts import Contrast, Encoder, Evaluator, Head, Method, Scores, View
from halpgraph.data.load import from_list
from halpgraph.engine import Trainer
from halpgraph.folds import stratified
from halpgraph.streams import derive

WIRED = {"num_codes": 3, "in_channels": 0}


def same(a: Any, b: Any) -> bool:
    return all(torch.equal(a[k], b[k]) for k in ("x", "codes", "edge_index", "ptr", "id"))


@pytest.mark.parametrize(
    ("room", "name"),
    [(room, name) for room, found in registry.ROOMS.items() for name in found.names()],
)
def test_text_and_schema(room: str, name: str) -> None:
    found = registry.ROOMS[room]
    assert found.get(name).__module__.endswith(name)
    assert len(found.summary(name)) > 20
    assert found.summary(name).endswith(".")
    if room in ("methods", "heads", "encoders"):
        assert "Reference" in found.doc(name)
    if room == "methods":
        assert re.search(r"^Cost: .*(encode|decode)", found.doc(name), re.MULTILINE)
    if room != "evaluators":
        known = found.settings(spec(name), room)
        assert known["name"] == name
    with pytest.raises(registry.UserError, match="no_such_setting"):
        found.settings({**spec(name), "no_such_setting": 1}, room)


def takes(name: str) -> str:
    return getattr(registry.views.get(name), "takes", "both")


@pytest.mark.parametrize("name", [n for n in registry.views.names() if takes(n) != "pose"])
class TestView:
    def view(self, name: str) -> View:
        view: View = registry.views.build(spec(name))
        return view

    def test_layout_graphs_and_order(self, name: str) -> None:
        batch = small_data().store.batch()
        before = copy.deepcopy({k: batch[k] for k in ("x", "codes", "edge_index", "ptr")})
        out = self.view(name)(batch, torch.Generator().manual_seed(0))
        check_batch(out)
        assert out.num_graphs == batch.num_graphs
        assert torch.equal(out.id, batch.id)
        assert torch.equal(out.y, batch.y)
        assert (out.ptr.diff() > 0).all()
        assert all(torch.equal(batch[k], v) for k, v in before.items())

    def test_same_generator_same_view(self, name: str) -> None:
        batch, view = small_data().store.batch(), self.view(name)
        a, b, c = (view(batch, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
        assert same(a, b)
        if name != "identity":
            assert not same(a, c)

    def test_one_graph_pickle_and_repr(self, name: str) -> None:
        view = self.view(name)
        out = view(small_data().store.batch(torch.tensor([3])), torch.Generator().manual_seed(0))
        assert out.num_graphs == 1
        again = pickle.loads(pickle.dumps(view))
        assert repr(again) == repr(view)
        assert type(view).__name__ in repr(view)
        if name != "identity":
            assert re.search(r"\w+=", repr(view))


GRAPHS = [n for n in registry.encoders.names() if registry.encoders.get(n).takes == "graph"]
POSES = [n for n in registry.encoders.names() if registry.encoders.get(n).takes == "pose"]
ENCODERS = [
    *((n, "molecules") for n in GRAPHS),
    *((n, "skeletons") for n in GRAPHS),
    *((n, "skeletons") for n in POSES),
]


@pytest.mark.parametrize(("name", "of"), ENCODERS)
class TestEncoder:
    def data(self, of: str) -> Any:
        return small_data().store if of == "molecules" else small_skeletons(persons=2).store

    def encoder(self, name: str, of: str) -> Encoder:
        torch.manual_seed(0)
        takes = registry.encoders.get(name).takes
        wired = WIRED if of == "molecules" else self.data(of).inputs(takes)
        encoder: Encoder = registry.encoders.build(spec(name), **wired)
        return encoder

    def test_shapes_and_gradients(self, name: str, of: str) -> None:
        encoder, batch = self.encoder(name, of), self.data(of).batch()
        out = encoder(batch)
        assert out.graph.shape == (batch.num_graphs, encoder.out_channels)
        if encoder.takes == "graph":
            assert len(out.local) == batch.num_nodes
        (out.graph * torch.randn_like(out.graph)).sum().backward()
        for key, parameter in encoder.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.abs().sum() > 0, key

    def test_features_written_out_mean_the_same(self, name: str, of: str) -> None:
        if of == "skeletons":
            pytest.skip("poses are no codes")
        encoder, batch = self.encoder(name, of).eval(), self.data(of).batch()
        dense = copy.copy(batch)
        dense.x, dense.codes, dense.num_codes = node_features(batch), batch.codes[:, :0], 0
        torch.testing.assert_close(encoder(batch).graph, encoder(dense).graph)

    def test_state_makes_a_twin(self, name: str, of: str) -> None:
        encoder, batch = self.encoder(name, of), self.data(of).batch()
        encoder(batch)
        torch.manual_seed(1)
        wired = WIRED if of == "molecules" else self.data(of).inputs(encoder.takes)
        twin = registry.encoders.build(spec(name), **wired)
        assert not torch.equal(encoder.eval()(batch).graph, twin.eval()(batch).graph)
        twin.load_state_dict(encoder.state_dict())
        assert torch.equal(encoder(batch).graph, twin(batch).graph)
        assert torch.equal(copy.deepcopy(encoder)(batch).graph, twin(batch).graph)
        assert torch.equal(pickle.loads(pickle.dumps(encoder))(batch).graph, twin(batch).graph)

    def test_training_goes_on_bit_equally(self, name: str, of: str) -> None:
        """State is all there is: not even dropout draws from anything that is not in it."""
        encoder, batch = self.encoder(name, of), self.data(of).batch()
        encoder(batch)
        twin = copy.deepcopy(encoder)
        before = torch.get_rng_state()
        assert torch.equal(encoder(batch).graph, twin(batch).graph)
        assert torch.equal(torch.get_rng_state(), before)

    def test_graphs_do_not_see_each_other(self, name: str, of: str) -> None:
        store, encoder = self.data(of), self.encoder(name, of)
        encoder(store.batch())  # running statistics that are not the initial ones
        encoder.eval()
        whole = encoder(store.batch()).graph
        for i in (0, 17, 35):
            alone = encoder(store.batch(torch.tensor([i]))).graph[0]
            torch.testing.assert_close(whole[i], alone, rtol=1e-4, atol=1e-5)

    def test_batches_are_not_changed(self, name: str, of: str) -> None:
        encoder, batch = self.encoder(name, of), self.data(of).batch()
        keys = ("x", "codes", "edge_index", "ptr", *(("pose", "person") if "pose" in batch else ()))
        before = {key: batch[key].clone() for key in keys}
        encoder(batch)
        assert all(torch.equal(batch[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", POSES)
def test_encoders_of_poses_refuse_what_they_cannot_read(name: str) -> None:
    store = small_skeletons(persons=2).store
    encoder = registry.encoders.build(spec(name), **store.inputs("pose"))
    with pytest.raises(registry.UserError, match=f"encoder {name}: needs skeletons.*use .*gin"):
        encoder(small_data().store.batch())
    with pytest.raises(registry.UserError, match=r"made for 3 channels of 20 .* has 3 of 25"):
        encoder(small_skeletons(layout="ntu25").store.batch())
    other = derive(store.batch(), "distances")
    with pytest.raises(registry.UserError, match=f"made for 3 .* has {other.pose.size(2)} of 20"):
        encoder(other)
    one = registry.encoders.build(spec(name), **{**store.inputs("pose"), "persons": 1})
    with pytest.raises(registry.UserError, match=r"made for 1 persons .* slot 2"):
        one(store.batch())
    recipe = small_recipe(encoder=spec(name)).arm("graphcl")
    with pytest.raises(registry.UserError, match=f"encoder {name}: needs skeletons"):
        Trainer(small_data().store, recipe, 0)


@pytest.mark.parametrize("name", registry.heads.names())
class TestHead:
    def head(self, name: str, random: torch.Generator | None = None) -> Head:
        random = random or torch.Generator().manual_seed(0)
        wired = {"dim": 8, "streams": ("graph",), "generator": random}
        head: Head = registry.heads.build({**spec(name), "bank": 32}, **wired)
        return head

    def contrasts(self, seed: int) -> list[Contrast]:
        random = torch.Generator().manual_seed(seed)
        draw = torch.randn(2, 32, 8, generator=random)
        query, key = torch.nn.functional.normalize(draw, dim=-1)
        return [Contrast(query.requires_grad_(), key, 0.2)]

    def test_terms_and_gradients(self, name: str) -> None:
        head = self.head(name)
        head(self.contrasts(0), 0)
        contrasts = self.contrasts(1)
        terms = head(contrasts, 1)
        total = torch.stack(list(terms.values())).sum()
        assert torch.isfinite(total)
        assert total != 0
        total.backward()
        gradient = contrasts[0].query.grad
        assert gradient is not None
        assert gradient.abs().sum() > 0

    def test_diagnostics_are_plain_and_start_anew(self, name: str) -> None:
        head = self.head(name)
        for i in range(3):
            head(self.contrasts(i), 1)
        found = head.pop_diagnostics()
        assert found
        assert all(v is None or isinstance(v, float) for v in found.values())
        assert head.pop_diagnostics() != found

    def test_state_goes_on_bit_equally(self, name: str) -> None:
        first, second = torch.Generator().manual_seed(0), torch.Generator().manual_seed(5)
        head, twin = self.head(name, first), self.head(name, second)
        for i in range(7):
            head(self.contrasts(i), 1)
        twin.load_state_dict(head.state_dict())
        second.set_state(first.get_state())
        for i in range(7, 14):
            a, b = head(self.contrasts(i), 1), twin(self.contrasts(i), 1)
            assert all(torch.equal(a[k], b[k]) for k in a)


TUNERS = [n for n in registry.evaluators.names() if registry.evaluators.get(n).needs_encoder]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [n for n in registry.evaluators.names() if n not in TUNERS])
class TestEvaluator:
    def test_scores_and_no_leak(self, name: str) -> None:
        random = np.random.default_rng(0)
        y = np.arange(60) % 2
        z = random.normal(size=(60, 5)) + 2.0 * y[:, None]
        folds = stratified(y, 3, 0)
        evaluator: Evaluator = registry.evaluators.build(name)
        scores = evaluator(z, y, folds, 0)
        assert set(scores.predicted) <= {0, 1}
        assert sorted(set(scores.fold)) == [0, 1, 2]
        assert np.mean(scores.metrics["accuracy"]) > 0.8
        for i, fold in enumerate(folds):
            flipped = y.copy()
            flipped[fold.test] = 1 - flipped[fold.test]
            again = evaluator(z, flipped, [fold], 0)
            np.testing.assert_array_equal(
                again.predicted[fold.test], scores.predicted[fold.test], err_msg=f"fold {i}"
            )

    def test_same_seed_same_answer(self, name: str) -> None:
        random = np.random.default_rng(1)
        y = np.arange(60) % 3
        z = random.normal(size=(60, 4)) + y[:, None]
        folds = stratified(y, 3, 0)
        evaluator: Evaluator = registry.evaluators.build(name)
        a, b = evaluator(z, y, folds, 7), evaluator(z, y, folds, 7)
        np.testing.assert_array_equal(a.predicted, b.predicted)
        assert a.chosen == b.chosen

    @pytest.mark.parametrize("classes", [2, 3])
    def test_certainties_sum_to_one_and_say_what_is_predicted(
        self, name: str, classes: int
    ) -> None:
        random = np.random.default_rng(2)
        y = np.arange(60) % classes
        z = random.normal(size=(60, 4)) + y[:, None]
        evaluator: Evaluator = registry.evaluators.build(name)
        scores = evaluator(z, 10 + 5 * y, stratified(y, 3, 0)[:2], 0)
        assert scores.probabilities is not None
        assert scores.probabilities.shape == (60, classes)
        judged = scores.fold >= 0
        assert np.isnan(scores.probabilities[~judged]).all()
        certain = scores.probabilities[judged]
        assert (certain >= 0).all()
        np.testing.assert_allclose(certain.sum(1), 1.0)
        same = (10 + 5 * certain.argmax(1)) == scores.predicted[judged]
        assert same.mean() > 0.95  # one-against-one votes of SVMs may tie


SHORT = {"epochs": 15, "lr": 0.01, "optimizer": "adam", "drops": [], "batch_size": 8}


@pytest.mark.parametrize("name", TUNERS)
class TestEvaluatorThatTunes:
    def tune(self, name: str, y: Any, folds: Any, seed: int = 0) -> Scores:
        data, recipe = small_data(), small_recipe().arm("graphcl")

        def build(trained: bool = True) -> Method:
            return build_method(data.store, recipe, 0 if trained else 1)

        evaluator: Evaluator = registry.evaluators.build({"name": name, **SHORT})
        return evaluator.tune(build, data.store, y, folds, seed)

    def test_scores_and_no_leak(self, name: str) -> None:
        y = np.arange(40) % 2
        folds = stratified(y, 2, 0)
        scores = self.tune(name, y, folds)
        assert set(scores.predicted) <= {0, 1}
        assert sorted(set(scores.fold)) == [0, 1]
        assert np.mean(scores.metrics["accuracy"]) > 0.8
        assert scores.probabilities is not None
        np.testing.assert_array_equal(scores.probabilities.argmax(1), scores.predicted)
        flipped = y.copy()
        flipped[folds[1].test] = 1 - flipped[folds[1].test]
        again = self.tune(name, flipped, [folds[1]])
        at = folds[1].test
        np.testing.assert_array_equal(again.probabilities[at], scores.probabilities[at])  # type: ignore[index]

    def test_same_seed_same_answer(self, name: str) -> None:
        y = np.arange(40) % 2
        folds = stratified(y, 2, 0)[:1]
        a, b, c = (self.tune(name, y, folds, seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(a.probabilities, b.probabilities)  # type: ignore[arg-type]
        assert a.chosen == b.chosen
        assert not np.array_equal(a.probabilities, c.probabilities, equal_nan=True)  # type: ignore[arg-type]

    def test_embeddings_alone_are_refused(self, name: str) -> None:
        y = np.arange(40) % 2
        with pytest.raises(registry.UserError, match="needs the encoder: name it in a recipe"):
            registry.evaluators.build(name)(np.zeros((40, 2)), y, stratified(y, 2, 0), 0)


def test_dense_features_go_through_the_corridor() -> None:
    graphs = small_graphs()
    random = torch.Generator().manual_seed(0)
    for graph in graphs:
        graph.x = torch.randn(graph.num_nodes, 4, generator=random)
    trainer = Trainer(from_list(graphs).store, small_recipe().arm("halp"), 0)
    assert np.isfinite(trainer.train_epoch().loss)
    assert trainer.store.num_features == 4
