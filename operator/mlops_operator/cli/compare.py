"""Runs side by side: what was the same, what differed, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlops_operator.api.history import RunEntry
from mlops_operator.cli.filters import duration_seconds


@dataclass(frozen=True)
class Row:
    """One fact of each run, in their order; None where a run has none."""

    group: str  # run, parameters, metrics
    name: str
    values: tuple[Any, ...]

    @property
    def differs(self) -> bool:
        return any(value != self.values[0] for value in self.values[1:])


def compare(entries: Sequence[RunEntry]) -> list[Row]:
    """Give the rows, facts first, then parameters and metrics by name."""
    rows = [
        Row("run", "phase", tuple(e.phase for e in entries)),
        Row("run", "reason", tuple(e.reason for e in entries)),
        Row("run", "experiment", tuple(e.experiment for e in entries)),
        Row("run", "image", tuple(e.image for e in entries)),
        Row("run", "commit", tuple(e.commit for e in entries)),
        Row("run", "model", tuple(e.model for e in entries)),
        Row("run", "duration in s", tuple(duration_seconds(e) for e in entries)),
    ]
    data = [{d.name: f"{d.version} ({d.digest[:19]})" for d in e.datasets} for e in entries]
    rows += _by_name("datasets", data)
    rows += _by_name("parameters", [e.parameters for e in entries])
    rows += _by_name("metrics", [e.metrics for e in entries])
    return [row for row in rows if any(value is not None for value in row.values)]


def _by_name(group: str, values: Sequence[dict[str, Any]]) -> list[Row]:
    names = sorted({name for of_run in values for name in of_run})
    return [Row(group, name, tuple(of_run.get(name) for of_run in values)) for name in names]
