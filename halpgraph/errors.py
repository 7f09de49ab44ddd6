"""The two ways to fail: the user can mend it (exit code 2), or the run went wrong (exit code 1)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HalpgraphError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class UserError(HalpgraphError):
    """Something the user provided is wrong: the message says where, what, and what instead."""

    exit_code = 2


class RunError(HalpgraphError):
    """A run could not go on (NaN in a loss, a full disk): the message says what was kept."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` - did you mean 'x'?`` or, where nothing is close, the list of what is known."""
    choices = sorted(known)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f" - did you mean '{close[0]}'?"
    return f" - known: {', '.join(choices)}" if choices else ""
