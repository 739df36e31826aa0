"""Runs side by side."""

from __future__ import annotations

from mlops_operator.cli.compare import compare
from tests.unit.cli.entries import entry


def test_what_differs_is_marked_and_what_one_lacks_too() -> None:
    first = entry("wine", 1, parameters={"lr": 0.1, "epochs": 3}, metrics={"accuracy": 0.8})
    second = entry("wine-r2", 2, parameters={"lr": 0.2, "epochs": 3}, metrics={"accuracy": 0.9, "f1": 0.7})
    rows = {f"{row.group}.{row.name}": row for row in compare([first, second])}
    assert rows["parameters.lr"].values == (0.1, 0.2)
    assert rows["parameters.lr"].differs
    assert not rows["parameters.epochs"].differs
    assert rows["metrics.f1"].values == (None, 0.7)
    assert rows["metrics.f1"].differs
    assert not rows["run.image"].differs
    assert "run.model" not in rows, "nobody has one"
