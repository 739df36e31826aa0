"""The curves of a run's metrics, from the bucket: of a run that still trains, too."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from mlops_operator.errors import ObjectNotFound
from mlops_operator.storage.objects import Objects

Curve = list[tuple[float, float]]  # (step, value)
_HEIGHT = 22


def read_curves(bucket: Objects, prefix: str, tracking_run: str | None = None) -> dict[str, Curve]:
    """Give the curves by metric. A later attempt's value of a step replaces an earlier one's.

    Parameters
    ----------
    prefix
        Of the run in the bucket, with a slash at its end.
    tracking_run
        Id of the run's own MLflow run: points of nested ones are left out.
    """
    attempts = sorted(bucket.list_folders(f"{prefix}attempts/"), key=lambda name: (len(name), name))
    points: dict[str, dict[float, float]] = {}
    for attempt in attempts:
        lines = list(_lines(bucket, f"{prefix}attempts/{attempt}/"))
        of_ours = [line for line in lines if tracking_run is None or line.get("run") == tracking_run]
        for line in of_ours or lines:
            value = line.get("value")
            if isinstance(value, int | float) and isinstance(line.get("name"), str):
                points.setdefault(line["name"], {})[float(line.get("step") or 0)] = float(value)
    return {name: sorted(curve.items()) for name, curve in sorted(points.items())}


def _lines(bucket: Objects, prefix: str) -> Iterator[dict[str, Any]]:
    """Give the points of an attempt: all of them at its end, before that the parts that are there."""
    try:
        texts = [bucket.get_bytes(f"{prefix}metrics.jsonl")]
    except ObjectNotFound:
        texts = [bucket.get_bytes(part.key) for part in bucket.list(f"{prefix}metrics/part-")]
    for text in texts:
        for line in text.splitlines():
            yield json.loads(line)


def draw(curves: Mapping[str, Curve], title: str) -> str:
    """Give a plot made of characters, as wide as the terminal."""
    import plotext  # noqa: PLC0415 - only the commands that draw pay for it

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(min(shutil.get_terminal_size((100, 24)).columns, 160), _HEIGHT)
    plotext.title(title)
    plotext.xlabel("step")
    for name, curve in curves.items():
        plotext.plot([x for x, _ in curve], [y for _, y in curve], label=name)
    drawn = str(plotext.build())
    return drawn if sys.stdout.isatty() else str(plotext.uncolorize(drawn))
