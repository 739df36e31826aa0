"""Curves from what the bucket has of a run."""

from __future__ import annotations

import json

from mlops_operator.cli.curves import draw, read_curves
from tests.unit.storage.memory import MemoryBucket

PREFIX = "mlops/runs/wine-00000001/"


def lines(*points: tuple[str, int, float | str], run: str = "ours") -> bytes:
    return b"".join(
        json.dumps({"run": run, "name": name, "step": step, "value": value}).encode() + b"\n"
        for name, step, value in points
    )


def test_of_a_run_that_trains_the_parts_are_read() -> None:
    bucket = MemoryBucket()
    bucket.put_bytes(
        f"{PREFIX}attempts/1/metrics/part-000.jsonl", lines(("loss", 1, 0.5), ("loss", 2, "NaN"))
    )
    bucket.put_bytes(f"{PREFIX}attempts/1/metrics/part-100.jsonl", lines(("loss", 3, 0.25)))
    assert read_curves(bucket, PREFIX) == {"loss": [(1, 0.5), (3, 0.25)]}


def test_a_later_attempt_goes_on_where_the_first_stopped() -> None:
    bucket = MemoryBucket()
    bucket.put_bytes(f"{PREFIX}attempts/1/metrics.jsonl", lines(("loss", 1, 0.5), ("loss", 2, 0.4)))
    bucket.put_bytes(f"{PREFIX}attempts/2/metrics.jsonl", lines(("loss", 2, 0.3), ("loss", 3, 0.2)))
    bucket.put_bytes(f"{PREFIX}attempts/2/metrics/part-000.jsonl", lines(("loss", 2, 9)))
    assert read_curves(bucket, PREFIX) == {"loss": [(1, 0.5), (2, 0.3), (3, 0.2)]}


def test_points_of_nested_runs_are_left_out() -> None:
    bucket = MemoryBucket()
    content = lines(("loss", 1, 0.5)) + lines(("loss", 1, 9.0), run="nested")
    bucket.put_bytes(f"{PREFIX}attempts/1/metrics.jsonl", content)
    assert read_curves(bucket, PREFIX, "ours") == {"loss": [(1, 0.5)]}
    assert read_curves(bucket, PREFIX, "somebody else's") == {"loss": [(1, 9.0)]}


def test_a_run_without_metrics_has_no_curves() -> None:
    assert read_curves(MemoryBucket(), PREFIX) == {}


def test_a_plot_has_title_and_names() -> None:
    drawn = draw({"loss": [(1, 0.5), (2, 0.25)]}, "wine")
    assert "wine" in drawn
    assert "loss" in drawn
