"""Patterns for metrics in the command's output: what is wrong with one is told before anything runs."""

from __future__ import annotations

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
STEP = "step"


def problem(pattern: str) -> str | None:
    """Say what is wrong with a pattern; None: it can be used.

    RE2 is the engine of the entrypoint, too: it takes time in proportion to the line, so that no pattern can hold a
    training up, and knows neither look-ahead nor back-references.
    """
    try:
        names = set(re2.compile(pattern, _OPTIONS).groupindex)
    except re2.error as error:
        said = error.args[0]
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if {"name", "value"} <= names:
        return None
    if ("name" in names) != ("value" in names):
        return "name its groups both name and value, or as the metrics"
    return None if names - {STEP} else "it has no group that is called as a metric, such as (?P<loss>…)"
