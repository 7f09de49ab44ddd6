"""Curves of training: the losses of every arm, and what the HaLP head saw while it worked.

Reference: the diagnostics are those of Figures 1 to 3 of the supplement of Shah et al., HaLP:
Hallucinating Latent Positives for Skeleton-based Self-Supervised Learning of Actions, CVPR 2023,
https://arxiv.org/abs/2304.00387
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from halpgraph.reports.plots import Figure, Series, line_chart, series
from halpgraph.reports.source import Cell
from halpgraph.reports.svg import DASHES
from halpgraph.reports.words import is_number

History = list[dict[str, Any]]
Parts = Sequence[tuple[str, str, int, str]]  # key, label, colour, dash
TERM_NAMES = {"nt_xent": "NT-Xent", "halp": "HaLP", "graphcl": "GraphCL"}

AGREEMENT = (
    ("sim_query_key", "query and key", 0, DASHES[0]),
    ("sim_query_positive", "query and hallucinated positive", 1, DASHES[0]),
    ("sim_query_negative", "query and negatives", 0, DASHES[2]),
    ("sim_positive_negative", "hallucinated positive and negatives", 1, DASHES[2]),
)
PROTOTYPES = tuple(
    (f"sim_{who}_prototype_{whose}", f"{words}, {told}", index, dash)
    for index, (who, words) in enumerate(
        (("key", "key"), ("kept", "kept positive"), ("rejected", "rejected positive"))
    )
    for whose, told, dash in (("own", "own prototype", DASHES[0]), ("other", "others", DASHES[2]))
)


KEPT = (("kept", "share kept", 0, DASHES[0]),)
USED = (("prototypes", "prototypes", 2, DASHES[0]),)


def colours(cell: Cell) -> dict[str, int]:
    """Return each arm's colour: the treatment the first, the control the second."""
    kinds = {str(row.get("row")): row.get("kind") for row in cell.rows}
    fixed = {"treatment": 0, "control": 1}
    spare = iter(range(2, 100))
    found: dict[str, int] = {}
    for arm in cell.arms:
        wished = fixed.get(str(kinds.get(arm)))
        taken = wished is None or wished in found.values()
        found[arm] = next(spare) if taken or wished is None else wished
    return found


def losses(cell: Cell) -> list[Figure]:
    """Draw the whole loss and, where there are several, each of its terms; arms by colour."""
    histories = _histories(cell)
    names = _terms(histories)
    shared = [n for n in names if all(n in _terms({a: h}) for a, h in histories.items() if any(h))]
    figures = [_term(cell, histories, "Loss", None)]
    if len(names) > 1 or names != shared:
        figures += [_term(cell, histories, f"Term {TERM_NAMES.get(n, n)}", n) for n in names]
    figures.append(_looks(cell, histories))
    return [figure for figure in figures if figure is not None]


def _looks(cell: Cell, histories: dict[str, list[History]]) -> Figure | None:
    """Draw what ``train.monitor`` saw, in the epochs in which it looked."""
    shade, many = colours(cell), []
    for arm, runs in histories.items():
        seen = [[entry for entry in history if "inside" in entry] for history in runs]
        many.append(series(cell.label(arm), seen, lambda entry: 100 * entry["inside"], shade[arm]))
    note = "Labels of the training part alone, each clip judged by other groups; chooses nothing."
    return line_chart("1-NN accuracy inside the training part", many, "%", note=note, seeds=True)


def _histories(cell: Cell) -> dict[str, list[History]]:
    return {arm: [seed.epochs() for seed in seeds] for arm, seeds in cell.arms.items()}


def _terms(histories: dict[str, list[History]]) -> list[str]:
    entries = (e for seeds in histories.values() for history in seeds for e in history)
    return list(dict.fromkeys(name for entry in entries for name in entry.get("terms") or {}))


def _term(
    cell: Cell, histories: dict[str, list[History]], title: str, term: str | None
) -> Figure | None:
    def value(entry: dict[str, Any]) -> Any:
        return entry.get("loss") if term is None else (entry.get("terms") or {}).get(term)

    shade = colours(cell)
    many = [series(cell.label(arm), runs, value, shade[arm]) for arm, runs in histories.items()]
    return line_chart(title, many, seeds=True)


def head(cell: Cell) -> list[tuple[str, list[Figure]]]:
    """Draw the head's diagnostics of every arm that has them."""
    found = []
    for arm, histories in _histories(cell).items():
        figures = _head(histories)
        if figures:
            found.append((cell.label(arm), figures))
    return found


def _head(histories: Sequence[History]) -> list[Figure]:
    def curves(parts: Parts) -> list[Series]:
        return [series(label, histories, _said(key), c, dash) for key, label, c, dash in parts]

    means = "Means over seeds."
    figures = [
        line_chart("Share of positives kept", curves(KEPT), "share", (0.0, 1.0), seeds=True),
        line_chart("Similarity to query and negatives", curves(AGREEMENT), "cosine", note=means),
        line_chart("Similarity to prototypes", curves(PROTOTYPES), "cosine", note=means),
        line_chart(
            "Head's share of the time", _times(histories), "share", (0.0, None), note="Wall time."
        ),
        line_chart("Prototypes that have keys", curves(USED), "number", (0.0, None), seeds=True),
    ]
    return [figure for figure in figures if figure is not None]


def _times(histories: Sequence[History]) -> list[Series]:
    whole = series("head in all", histories, _share("seconds_head"), 0)
    part = series("of which prototypes", histories, _share("seconds_prototypes"), 1)
    return [whole, part]


def _said(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda entry: (entry.get("head") or {}).get(key)


def _share(key: str) -> Callable[[dict[str, Any]], Any]:
    """Return the part of an epoch that the head took (its backward pass left out)."""

    def value(entry: dict[str, Any]) -> float | None:
        seconds, whole = (entry.get("head") or {}).get(key), entry.get("seconds")
        if seconds is None or not is_number(seconds) or not is_number(whole) or not whole:
            return None
        return float(seconds) * int(entry.get("steps", 1)) / float(whole)

    return value
