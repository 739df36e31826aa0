"""Metrics as the status of a run shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from mlops_operator.agent.tracking import Tracking
from mlops_operator.api.base import Scalar
from mlops_operator.api.trainingrun import MetricStatus

# Parameters that say how many steps a training has, where the code steps by what they count.
_TOTALS = ("total_steps", "max_steps", "num_steps", "epochs", "num_epochs", "max_epochs", "n_epochs")


def metric_statuses(tracking: Tracking) -> list[MetricStatus]:
    """Give the metrics that changed last, at most 64."""
    return [
        MetricStatus(
            name=name,
            latest=summary.latest,
            min=summary.min,
            max=summary.max,
            step=summary.step,
            non_finite=summary.non_finite or None,
            updated_at=_as_time(summary.updated_ms),
        )
        for name, summary in tracking.summary()
    ]


def total_steps(parameters: Mapping[str, Scalar], step: int | None) -> int | None:
    """Give the number of steps that a parameter names, unless the training went beyond it."""
    for name in _TOTALS:
        value = parameters.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value if step is None or step <= value else None
    return None


def _as_time(milliseconds: int) -> datetime | None:
    """Give a time; a client may log any number as one."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
