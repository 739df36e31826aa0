"""The loss curve of a run, from the bucket: in the terminal and as PNG."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import plotext

if TYPE_CHECKING:
    from pathlib import Path

Curve = list[tuple[float, float]]  # (step, value)


def read_curves(lines: bytes) -> dict[str, Curve]:
    """Give the curves by metric from a run's metrics.jsonl."""
    curves: dict[str, Curve] = defaultdict(list)
    for line in lines.splitlines():
        point = json.loads(line)
        if isinstance(point.get("value"), int | float):
            curves[str(point["name"])].append((float(point.get("step") or 0), float(point["value"])))
    return {name: sorted(curve) for name, curve in curves.items()}


def draw_in_terminal(curves: dict[str, Curve], title: str, *, width: int = 90, height: int = 16) -> str:
    """Give a plot made of characters."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, height)
    plotext.title(title)
    plotext.xlabel("step")
    for name, curve in curves.items():
        plotext.plot([x for x, _ in curve], [y for _, y in curve], label=name)
    return str(plotext.uncolorize(plotext.build()))


def save_png(curves: dict[str, dict[str, Curve]], path: Path) -> None:
    """Write one panel a run, with all its curves."""
    figure, axes = plt.subplots(
        1, len(curves), figsize=(5.5 * len(curves), 4), layout="constrained", squeeze=False
    )
    for axis, (run, of_run) in zip(axes[0], curves.items(), strict=True):
        for name, curve in of_run.items():
            axis.plot([x for x, _ in curve], [y for _, y in curve], label=name, linewidth=1.8)
        axis.set_title(run)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
