"""Whether a run goes on after an attempt has ended, and when.

A command that ended with code 0 is never run again. Beyond that: disruptions are always followed by another attempt,
failures as ``spec.retry`` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_operator.api.trainingrun import AttemptStatus, Retry, RetryStatus
from mlops_operator.domain.disruption import DISRUPTIONS
from mlops_operator.domain.outcome import Ending
from mlops_operator.domain.retry import backoff_seconds
from mlops_operator.domain.times import seconds_between

LONGEST_BACKOFF_SECONDS = 3600.0
# Of disruptions: the first is followed at once, almost; a node that throws every pod out is not flooded with them.
DISRUPTION_BACKOFF_SECONDS = 2.0
LONGEST_DISRUPTION_BACKOFF_SECONDS = 60.0
MAX_SHORT_DISRUPTIONS = 10
# A training that lasted so long came forward, and the disruptions are counted anew, in seconds.
LASTING_SECONDS = 60.0
# The same again would come of these, or what the user asked for would be undone.
FINAL = frozenset(
    {
        "Succeeded",
        "Cancelled",
        "StartDeadlineExceeded",
        "DeadlineExceeded",
        "NoModelProduced",
        "DatasetChanged",
        "SourceNotFound",
    }
)


@dataclass(frozen=True)
class Again:
    """Another attempt follows. ``tally``: with the time when it begins."""

    counted: bool
    tally: RetryStatus


def decide(
    ended: Ending, attempt: AttemptStatus, retry: Retry, tally: RetryStatus, now: datetime
) -> Again | None:
    """Decide over an attempt that has just ended; None: the run ends with it."""
    if attempt.exit_code == 0 or ended.cause in FINAL:
        return None
    if ended.cause == "Suspended":
        return Again(counted=False, tally=tally.model_copy(update={"next_time": None}))
    if ended.cause in DISRUPTIONS:
        return _after_disruption(attempt, tally, now)
    return _after_failure(ended, retry, tally, now)


def _after_disruption(attempt: AttemptStatus, tally: RetryStatus, now: datetime) -> Again | None:
    started = attempt.training_start_time
    lasted = started is not None and seconds_between(started, now) >= LASTING_SECONDS
    disruptions = 1 if lasted else tally.disruptions + 1
    if disruptions >= MAX_SHORT_DISRUPTIONS:
        return None
    wait = backoff_seconds(disruptions, DISRUPTION_BACKOFF_SECONDS, LONGEST_DISRUPTION_BACKOFF_SECONDS)
    next_time = now + timedelta(seconds=wait)
    return Again(False, tally.model_copy(update={"disruptions": disruptions, "next_time": next_time}))


def _after_failure(ended: Ending, retry: Retry, tally: RetryStatus, now: datetime) -> Again | None:
    failures = tally.failures + 1
    if ended.side not in retry.sides or failures > retry.limit:
        return None
    wait = backoff_seconds(failures, float(retry.backoff_seconds), LONGEST_BACKOFF_SECONDS)
    next_time = now + timedelta(seconds=wait)
    return Again(True, RetryStatus(failures=failures, disruptions=0, next_time=next_time))
