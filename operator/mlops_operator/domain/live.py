"""Live figures in a run's status: metrics, progress, and what the agent found out; from its reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from mlops_operator.api.base import Scalar
from mlops_operator.api.trainingrun import (
    MetricStatus,
    ProgressStatus,
    ResolvedStatus,
    TrackingStatus,
    TrainingRunStatus,
)
from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain import checkpoints, objective
from mlops_operator.domain.plan import Object
from mlops_operator.domain.times import seconds_between, whole_second

MAX_METRICS = 64
MAX_INTEGER = 2**53
MAX_TEXT = 256
MAX_URL = 2048
MAX_LOG_TAIL = 2048
MAX_WARNINGS = 32
MAX_WARNING = 512
STEP_PARAMETERS = ("max_steps", "num_train_epochs", "max_epochs", "n_epochs", "epochs")
LONGEST_ESTIMATE_SECONDS = 10 * 365 * 86400.0
# Fields of the status whose change alone may wait for the next write.
LIVE_FIELDS = frozenset(
    {
        "progress",
        "metrics",
        "objective",
        "checkpoint",
        "tracking",
        "usage",
        "warnings",
        "resolved",
        "startTime",
    }
)


def are_figures(before: Object, after: Object) -> bool:
    """Whether two statuses differ in live figures alone."""
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    if "attempts" in changed and _without_usage(before) == _without_usage(after):
        changed.discard("attempts")
    return changed <= LIVE_FIELDS


def _without_usage(status: Object) -> list[Object]:
    return [{key: entry[key] for key in entry if key != "usage"} for entry in status.get("attempts", [])]


def total_steps(parameters: Mapping[str, Scalar], reported: int | None) -> int | None:
    """Give steps in all: as reported, else by the parameter that training scripts name it with."""
    if reported is not None and 0 < reported <= MAX_INTEGER:
        return reported
    for name in STEP_PARAMETERS:
        value = parameters.get(name)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and value >= 1
        ):
            return int(value)
    return None


def _whole(value: int | None) -> int | None:
    """Give an integer that every JSON reader takes."""
    return value if value is not None and abs(value) <= MAX_INTEGER else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def clean(metrics: Sequence[MetricStatus]) -> list[MetricStatus]:
    """At most 64, each name once, and only numbers that JSON has: the API server answers NaN with an error."""
    named = {metric.name: metric for metric in metrics}
    return [
        metric.model_copy(
            update={
                "latest": _finite(metric.latest),
                "min": _finite(metric.min),
                "max": _finite(metric.max),
                "step": _whole(metric.step),
                "non_finite": _whole(metric.non_finite),
                "updated_at": whole_second(metric.updated_at) if metric.updated_at is not None else None,
            }
        )
        for metric in list(named.values())[:MAX_METRICS]
    ]


def clean_warnings(warnings: Sequence[str]) -> list[str]:
    """Give each sentence once, as many and as long as the schema takes."""
    return [text[:MAX_WARNING] for text in dict.fromkeys(warnings)][:MAX_WARNINGS]


def progress_of(
    before: ProgressStatus | None,
    report: ProgressReport,
    *,
    total: int | None,
    started: datetime | None,
    now: datetime,
) -> ProgressStatus | None:
    """How far the training is; as before where neither step nor total have changed."""
    step = _whole(report.step)
    if step is None or step < 0:
        return before
    if before is not None and (before.step, before.total_steps) == (step, total):
        return before
    fraction = round(min(1.0, step / total), 4) if total else None
    return ProgressStatus(
        step=step,
        total_steps=total,
        fraction=fraction,
        estimated_completion_time=_estimate(started, now, fraction),
        updated_at=now,
    )


def _estimate(started: datetime | None, now: datetime, fraction: float | None) -> datetime | None:
    if started is None or not fraction:
        return None
    elapsed = seconds_between(started, now)
    left = elapsed / fraction - elapsed
    return now + timedelta(seconds=round(left)) if 0 <= left < LONGEST_ESTIMATE_SECONDS else None


def tracking_of(report: ProgressReport, before: TrackingStatus | None) -> TrackingStatus | None:
    """Give the run in MLflow: on the remote server where there is one, else in the pod."""
    remote = report.tracking
    if remote is not None and remote.run_id:
        url = remote.url if remote.url and remote.url.startswith(("https://", "http://")) else None
        return TrackingStatus(run_id=remote.run_id[:MAX_TEXT], url=url[:MAX_URL] if url else None)
    if report.tracking_run_id and (before is None or before.url is None):
        return TrackingStatus(run_id=report.tracking_run_id[:MAX_TEXT])
    return before


def log_tail(text: str, limit: int = MAX_LOG_TAIL) -> str | None:
    """Give the last lines of a log that fit; None where there are none."""
    tail = text.replace("\x00", "")[-limit:]
    if len(text) > limit and "\n" in tail[:-1]:
        tail = tail.split("\n", 1)[1]
    return tail or None


def apply(
    status: TrainingRunStatus, report: ProgressReport, parameters: Mapping[str, Scalar], now: datetime
) -> TrainingRunStatus:
    """Take a report's figures in."""
    started = whole_second(report.started_at) if report.started_at is not None else None
    start_time = status.start_time or started
    resolved = status.resolved or ResolvedStatus()
    if report.commit:
        resolved = resolved.model_copy(update={"commit": report.commit[:MAX_TEXT]})
    return status.model_copy(
        update={
            "start_time": start_time,
            "resolved": resolved,
            "tracking": tracking_of(report, status.tracking),
            "warnings": clean_warnings(report.warnings) or status.warnings,
            "metrics": clean(report.metrics) if report.metrics else status.metrics,
            "objective": objective.clean(report.objective) if report.objective else status.objective,
            "checkpoint": checkpoints.clean(report.checkpoint) if report.checkpoint else status.checkpoint,
            "progress": progress_of(
                status.progress,
                report,
                total=total_steps(parameters, report.total_steps),
                started=start_time,
                now=now,
            ),
        }
    )
