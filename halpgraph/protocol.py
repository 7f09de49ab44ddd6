"""The protocol of a run in sentences: what was trained, what was chosen where, what spreads are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halpgraph.recipe import Recipe


def protocol(recipe: Recipe, infos: Sequence[dict[str, Any]]) -> list[str]:
    """Return the sentences a report prints."""
    train, seeds = recipe.train, len(recipe.seeds)
    kinds = {info.get("kind", "graphs") for info in infos}
    graphs = kinds == {"graphs"}
    seen = "every graph of a set without its label" if graphs else f"{_seen(infos)} without labels"
    lines = [
        f"Encoders see {seen}{_way(infos)} and are trained for "
        f"{train.epochs} epoch{'' if train.epochs == 1 else 's'}; the last epoch is evaluated. "
        "Nothing is stopped early and no epoch is chosen by a score.",
        f"{seeds} seed{'s' if seeds > 1 else ''} ({', '.join(map(str, recipe.seeds))}). A seed "
        "draws the initial weights, the batches, the views and the folds; all rows share both.",
    ]
    mute = [info["name"] for info in infos if info.get("num_classes") == 0]
    if len(mute) < len(infos):
        lines += _evaluation(recipe, infos)
    if mute:
        lines.append(f"{', '.join(mute)}: no class labels, so nothing was evaluated.")
    return lines + [_features(info) for info in infos]


def _seen(infos: Sequence[dict[str, Any]]) -> str:
    return " and ".join(dict.fromkeys(str(info.get("fit", "every graph")) for info in infos))


def _way(infos: Sequence[dict[str, Any]]) -> str:
    """Say that encoders see what they are judged on, where they do."""
    whole = [str(info.get("fit", "all")).startswith("all") for info in infos]
    return " (transductive)" if all(whole) else " and never those they are judged on"


def _features(info: dict[str, Any]) -> str:
    if info.get("kind") != "skeletons":
        return f"{info['name']}: node features are {info['features']}."
    return (
        f"{info['name']}: clips are {info['features']}; convention of the prepared set: "
        f"{info.get('convention')}. Embeddings, and the features of the floors, are made of the "
        "middle 95 % of each clip. Floors of hand-made features are the principal components of "
        "20 frames, found on what encoders are trained on."
    )


def _evaluation(recipe: Recipe, infos: Sequence[dict[str, Any]]) -> list[str]:
    official = [info for info in infos if info.get("metric")]
    return [
        *([_folds(recipe)] if len(official) < len(infos) else []),
        *[_official(recipe, info) for info in official],
        "sd over seeds: deviation of the seeds' means over all folds. sd over folds: deviation "
        "between the folds of one seed, averaged over seeds. The two must not be mixed up.",
        "Differences are paired over seeds and folds; intervals (95 %) and p-values use the "
        "variance correction of Nadeau and Bengio (2003) for overlapping training folds. Each "
        "interval is for one comparison; none is corrected for the number of comparisons.",
    ]


def _folds(recipe: Recipe) -> str:
    return (
        f"{recipe.folds} outer folds, stratified and shuffled by the seed. Scaler and settings are "
        f"chosen inside the training folds by an inner search ({_search(recipe)}); test folds are "
        "used once."
    )


def _official(recipe: Recipe, info: dict[str, Any]) -> str:
    if info.get("kind") == "skeletons":
        return (
            f"{info['name']}: the split {info.get('split')} instead of folds, one test set, read "
            f"once after all choices. Settings are chosen inside the training part, {_kept(info)} "
            f"({_search(recipe)}). Intervals speak of the training's chance over seeds; all seeds "
            "share the one test set, whose own chance they do not show."
        )
    return (
        f"{info['name']}: the official split instead of folds, one test set, official metric "
        f"{info['metric']}. Settings are chosen on the validation part, the scaler is fitted on "
        f"the training part ({_search(recipe)})."
    )


def _kept(info: dict[str, Any]) -> str:
    inner = info.get("inner")
    return f"leaving one {inner} out at a time" if inner else "by stratified inner folds"


def _search(recipe: Recipe) -> str:
    texts = []
    for spec in recipe.evaluators:
        settings = dict(spec) if isinstance(spec, dict) else {"name": spec}
        name = settings.pop("name")
        told = [f"{key} {_said(value)}" for key, value in settings.items() if value is not None]
        texts.append(f"{name}: {', '.join(told)}")
    return "; ".join(texts)


def _said(value: Any) -> str:
    """Return a setting in words; of a component, its name and what it sets."""
    if not isinstance(value, dict):
        return str(value)
    return "(" + ", ".join(f"{k} {_said(v)}" for k, v in value.items() if v is not None) + ")"
