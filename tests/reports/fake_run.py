"""Makes run folders with made-up numbers, in the layout that the runner writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

HEAD = {
    "kept": 0.4,
    "sim_query_key": 0.8,
    "sim_query_positive": 0.6,
    "sim_query_negative": 0.1,
    "sim_positive_negative": 0.05,
    "sim_key_prototype_own": 0.85,
    "sim_key_prototype_other": 0.15,
    "sim_kept_prototype_own": 0.7,
    "sim_kept_prototype_other": 0.1,
    "sim_rejected_prototype_own": 0.4,
    "sim_rejected_prototype_other": 0.2,
    "prototypes": 20,
}
LABELS = {"halp": "GraphCL + HaLP", "control": "GraphCL"}
KINDS = {"halp": "treatment", "control": "control"}
FLOORS = {
    "majority": ("Majority class", 0.66),
    "label_degree_histogram": ("label + degree histogram", 0.89),
    "wl": ("WL subtree kernel", 0.87),
}
EVALUATORS = {"svm": "SVM (rbf), nested 10-fold", "knn": "k nearest, cosine"}


class FakeRun:
    """What to make; every number follows from ``seed``."""

    def __init__(
        self,
        cells: Sequence[str] = ("MUTAG",),
        arms: Sequence[str] = ("halp", "control"),
        floors: Sequence[str] = tuple(FLOORS),
        evaluators: Sequence[str] = ("svm", "knn"),
        seeds: int = 3,
        folds: int = 10,
        graphs: int = 60,
        classes: int = 2,
        epochs: int = 8,
        head: bool = True,
        seed: int = 0,
        name: str = "graphcl_fake",
        title: str = "GraphCL with a HaLP head",
    ) -> None:
        self.cells, self.arms, self.floors, self.evaluators = cells, arms, floors, evaluators
        self.seeds, self.folds, self.graphs, self.classes = seeds, folds, graphs, classes
        self.epochs, self.head, self.name, self.title = epochs, head, name, title
        self.rng = np.random.default_rng(seed)

    def write(self, folder: Path) -> Path:
        """Write the whole run."""
        cells = [self._cell(folder / name, name) for name in self.cells]
        scores = {
            "name": self.name,
            "title": self.title,
            "fingerprint": "3f9c2a51",
            "finished": "2026-05-04T12:30:00",
            "protocol": [
                "The last epoch is evaluated; nothing was chosen on test folds.",
                "Spread over seeds is that of the seeds' means; over folds, that of all folds.",
            ],
            "cells": cells,
        }
        dump(folder / "scores.json", scores)
        dump(folder / "environment.json", environment())
        (folder / "recipe.yaml").write_text(f"name: {self.name}\nseeds: [0, 1, 2]\n")
        return folder

    def _cell(self, folder: Path, name: str) -> dict[str, Any]:
        y = self.rng.integers(0, self.classes, self.graphs)
        data = self._data(name, y)
        dump(folder / "data.json", data)
        rows, folds = [], {}
        for floor in self.floors:
            label, level = FLOORS[floor]
            place = folder / "floors" / floor
            rows.append(self._row(place, floor, label, "floor", "svm", y, level, 1, folds))
        for arm in self.arms:
            for seed in range(self.seeds):
                self._train(folder / arm / f"seed-{seed}", arm, y)
            for evaluator in self.evaluators:
                label, kind = LABELS.get(arm, arm), KINDS.get(arm, "arm")
                level = 0.885 if arm == "halp" else 0.88
                key = (arm, label, kind, evaluator)
                rows.append(self._row(folder / arm, *key, y, level, self.seeds, folds))
        return {"name": name, "data": data, "rows": rows, "differences": self._compare(rows, folds)}

    def _data(self, name: str, y: np.ndarray) -> dict[str, Any]:
        return {
            "name": name,
            "title": name,
            "source": "TUDataset",
            "found_in": "grakel wheel",
            "licence": "not stated by the authors",
            "citation": "Debnath et al., J. Med. Chem. 1991",
            "num_graphs": len(y),
            "num_nodes": 18 * len(y),
            "num_edges": 20 * len(y),
            "num_classes": self.classes,
            "class_counts": np.bincount(y, minlength=self.classes).tolist(),
            "class_names": [f"class {k}" for k in range(self.classes)],
            "features": "node labels (7)",
            "num_features": 7,
            "fingerprint": f"sha256-{name}",
            "notes": [],
        }

    def _train(self, folder: Path, arm: str, y: np.ndarray) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for epoch in range(1, self.epochs + 1):
            noise = self.rng.normal(0, 0.03)
            base = 3 + 2 * np.exp(-epoch / 3) + noise
            entry: dict[str, Any] = {"epoch": epoch, "loss": base, "terms": {"nt_xent": base}}
            entry |= {"seconds": 0.05, "cpu_seconds": 0.04, "steps": 2, "head": {}}
            if arm == "halp":
                entry["terms"]["halp"] = -1 - 0.3 * epoch / self.epochs + noise
                entry["loss"] += entry["terms"]["halp"]
                entry["head"] = self._head(epoch) if self.head else {}
            lines.append(json.dumps(entry))
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        centres = self.rng.normal(0, 1, (self.classes, 16))
        z = centres[y] + self.rng.normal(0, 0.8, (len(y), 16))
        np.savez(folder / "embeddings.npz", z=z.astype(np.float32), y=y, id=np.arange(len(y)))

    def _head(self, epoch: int) -> dict[str, Any]:
        if epoch == 1:  # the head was not yet active
            return dict.fromkeys([*HEAD, "seconds_prototypes", "seconds_head"])
        moved = {k: v + self.rng.normal(0, 0.01) + 0.01 * epoch for k, v in HEAD.items()}
        return {**moved, "prototypes": 20, "seconds_prototypes": 0.004, "seconds_head": 0.009}

    def _row(
        self,
        folder: Path,
        row: str,
        label: str,
        kind: str,
        evaluator: str,
        y: np.ndarray,
        level: float,
        seeds: int,
        folds: dict[tuple[str, str], np.ndarray],
    ) -> dict[str, Any]:
        values: dict[str, list[list[float]]] = {m: [] for m in ("accuracy", "balanced_accuracy")}
        for seed in range(seeds):
            fold = np.random.default_rng(100 + seed).permutation(len(y)) % self.folds
            found = self._evaluation(y, fold, level)
            for metric, many in values.items():
                many.append(found["metrics"][metric])
            dump(folder / f"seed-{seed}" / f"{evaluator}.json", found)
        folds[row, evaluator] = np.array(values["accuracy"])
        return {
            "row": row,
            "label": label,
            "kind": kind,
            "evaluator": evaluator,
            "evaluator_label": EVALUATORS[evaluator],
            "metrics": {metric: summary(np.array(many)) for metric, many in values.items()},
            "train_cpu_seconds": None if kind == "floor" else 1.9,
            "eval_cpu_seconds": 0.7,
            "notes": [],
        }

    def _evaluation(self, y: np.ndarray, fold: np.ndarray, level: float) -> dict[str, Any]:
        wrong = self.rng.random(len(y)) > level
        predicted = np.where(wrong, (y + 1) % self.classes, y)
        accuracy = [float((predicted == y)[fold == k].mean()) for k in range(self.folds)]
        return {
            "metrics": {"accuracy": accuracy, "balanced_accuracy": [a - 0.02 for a in accuracy]},
            "predicted": predicted.tolist(),
            "fold": fold.tolist(),
            "id": list(range(len(y))),
            "y": y.tolist(),
            "chosen": [{"C": 1.0}] * self.folds,
            "seconds": 0.7,
            "notes": [],
        }

    def _compare(self, rows: list[dict[str, Any]], folds: dict[Any, Any]) -> list[dict[str, Any]]:
        found = []
        for evaluator in self.evaluators if "halp" in self.arms else ():
            for row in rows:
                if row["row"] == "halp" or (row["kind"] == "control") > (
                    row["evaluator"] == evaluator
                ):
                    continue
                gap = folds["halp", evaluator] - folds[row["row"], row["evaluator"]]
                found.append(self._difference(row, evaluator, gap))
        return found

    def _difference(self, row: dict[str, Any], evaluator: str, gap: np.ndarray) -> dict[str, Any]:
        mean, half = float(gap.mean()), float(gap.std() / 2)
        means = gap.mean(axis=1)
        quiet = abs(mean) <= half
        return {
            "treatment": "halp",
            "reference": row["row"],
            "reference_label": row["label"],
            "evaluator": evaluator,
            "metric": "accuracy",
            "mean": mean,
            "ci": [mean - half, mean + half],
            "p": 0.74 if quiet else 0.01,
            "df": gap.size - 1,
            "wins": int((means > 0).sum()),
            "ties": int((means == 0).sum()),
            "n_seeds": len(gap),
            "verdict": "no evidence of a difference" if quiet else "a difference",
        }


def summary(values: np.ndarray) -> dict[str, Any]:
    """Summarise a metric [S, K] the way scores.json does."""
    mean, seeds = float(values.mean()), values.mean(axis=1)
    spread = float(seeds.std(ddof=1)) if len(seeds) > 1 else None
    return {
        "mean": mean,
        "per_seed": seeds.tolist(),
        "sd_seeds": spread,
        "sd_folds": float(values.std(axis=1, ddof=1).mean()) if values.shape[1] > 1 else None,
        "ci": [mean - 0.02, mean + 0.02],
        "n_seeds": len(seeds),
        "n_folds": values.shape[1],
    }


def environment() -> dict[str, Any]:
    """Return a made-up environment."""
    return {
        "command": "halpgraph run recipes/graphcl_mutag.yaml --set seeds=[0,1,2]",
        "versions": {"halpgraph": "0.1.0", "torch": "2.13.0", "torch-geometric": "2.8.1"},
        "python": "3.11.9",
        "platform": "Linux x86_64",
        "cpu": "A processor",
        "cores": 2,
        "device": "cpu",
        "git": {"commit": "d12f937", "dirty": False},
        "started": "2026-05-04T12:29:00",
        "finished": "2026-05-04T12:30:00",
        "wall_seconds": 48.2,
        "cpu_seconds": 80.4,
        "peak_memory_mb": 612.0,
    }


def dump(file: Path, content: Any) -> None:
    """Write JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
