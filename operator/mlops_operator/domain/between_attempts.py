"""A run between two attempts: it waits until the next one may begin, or is suspended, cancelled or too late."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.api.trainingrun import ENDED, RetryStatus, TrainingRun
from mlops_operator.domain import predecessors
from mlops_operator.domain.attempt_start import start
from mlops_operator.domain.halt import halted
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.step import Step, wait
from mlops_operator.domain.times import seconds_between
from mlops_operator.domain.waiting import Waiting
from mlops_operator.settings import Settings


def between(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    """Decide for a run whose last attempt has ended, and which has not."""
    run, last = observed.run, observed.run.status.attempts[-1]
    held = halted(run, settings, now)
    if held is not None and held.status.phase in ENDED:
        return held
    step = held or _go_on(observed, last.number + 1, settings, now)
    return replace(step, delete_jobs=predecessors.stragglers(observed, last.end_time, now))


def _go_on(observed: ObservedRun, number: int, settings: Settings, now: datetime) -> Step:
    left = predecessors.waiting(observed, now) or _back_off(observed.run, now)
    if left is not None:
        return wait(observed.run.status, "Pending", left)
    return start(observed, number, settings, now)


def _back_off(run: TrainingRun, now: datetime) -> Waiting | None:
    tally, last = run.status.retry or RetryStatus(), run.status.attempts[-1]
    left = seconds_between(now, tally.next_time) if tally.next_time is not None else 0.0
    if left <= 0 or tally.next_time is None:
        return None
    count = (
        f" It is failure {tally.failures} of {run.spec.retry.limit} that are tried again."
        if last.counted
        else ""
    )
    return Waiting(
        "BackOff",
        f"Attempt {last.number} ended ({last.cause}): {last.message} The next one begins at"
        f" {tally.next_time:%H:%M:%S} UTC.{count}",
        left,
    )
