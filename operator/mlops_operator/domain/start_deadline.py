"""``spec.startDeadlineSeconds``: how long a run may wait for its training to start."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain.times import seconds_between


def seconds_left(run: TrainingRun, now: datetime) -> float | None:
    """Until the run has waited too long; None: it has no such deadline, it has started, or it is suspended."""
    allowed, created = run.spec.start_deadline_seconds, run.metadata.creation_timestamp
    if allowed is None or created is None or run.status.start_time is not None or run.spec.suspend:
        return None
    waited = seconds_between(created, now) - (run.status.suspended_seconds or 0)
    return max(0.0, allowed - waited)


def has_passed(run: TrainingRun, now: datetime) -> bool:
    return seconds_left(run, now) == 0.0


def message(run: TrainingRun) -> str:
    """Say what it waited for in vain."""
    reason, said = run.status.reason, run.status.message
    last = f" Last it waited for this: {reason}: {said}" if reason and said else ""
    return (
        f"The training did not start within {run.spec.start_deadline_seconds} s (spec.startDeadlineSeconds), the time"
        f" for which the run was suspended not counted.{last}"
    )
