"""The history of the metrics as JSON lines: in parts while the code trains, whole at its end."""

from __future__ import annotations

import json
from pathlib import Path

from mlops_operator.agent.tracking import Point, Tracking

_PART_BYTES = 4 << 20


def render(run_id: str, point: Point) -> bytes:
    """Give a point as a line; what JSON has no word for is a string, as in MLflow."""
    value: float | str = point.value
    if value != value or abs(point.value) == float("inf"):  # noqa: PLR0124 - NaN
        value = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(point.value)]
    line = {
        "run": run_id,
        "name": point.name,
        "value": value,
        "step": point.step,
        "timestamp": point.timestamp_ms,
    }
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def next_part(tracking: Tracking) -> tuple[bytes, int, int] | None:
    """Give what was logged since the last part, and its place in the journal; None where there is nothing."""
    start, end = tracking.history_end, tracking.history_size
    lines = []
    size = 0
    for run_id, point in tracking.history(start, end):
        lines.append(render(run_id, point))
        size += len(lines[-1])
        if size > _PART_BYTES * 4:
            break
    return (b"".join(lines), start, end) if lines else None


def write_history(tracking: Tracking, path: Path) -> bool:
    """Write the whole history; False where nothing was logged."""
    empty = True
    with path.open("wb") as file:
        for run_id, point in tracking.history():
            file.write(render(run_id, point))
            empty = False
    return not empty
