"""The end of a run without an attempt under way: it was cancelled, or waited too long."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.trainingrun import FailureStatus, TrainingRun
from mlops_operator.domain import start_deadline
from mlops_operator.domain.causes import side_of
from mlops_operator.domain.conditions import clip
from mlops_operator.domain.outcome import Ending
from mlops_operator.domain.step import Step, at


def cancelled(run: TrainingRun, now: datetime) -> Step:
    """Give the end of a run of which nothing runs at this moment."""
    message = "The run was cancelled (spec.cancel) before it had a Job."
    if any(entry.job_uid for entry in run.status.attempts):
        message = "The run was cancelled (spec.cancel); what it had written is kept in the bucket."
    status = at(run.status, "Cancelled", "Cancelled", message)
    return Step(
        status.model_copy(update={"completion_time": now, "attempts": _closed(run, "Cancelled", now)})
    )


def too_late(run: TrainingRun, now: datetime) -> Step:
    """Give the end of a run whose training did not start in time."""
    ended = Ending("StartDeadlineExceeded")
    message = clip(start_deadline.message(run))
    status = at(run.status, "Failed", ended.cause, message)
    failure = FailureStatus(cause=ended.cause, side=side_of(ended.cause), message=message)
    update = {"completion_time": now, "attempts": _closed(run, ended.cause, now), "failure": failure}
    return Step(status.model_copy(update=update), warn=True)


def _closed(run: TrainingRun, cause: str, now: datetime) -> list[object]:
    """Give the attempts; one that has no Job yet ends with the run."""
    return [
        entry if entry.end_time is not None else entry.model_copy(update={"end_time": now, "cause": cause})
        for entry in run.status.attempts
    ]
