"""How long the resource of a run that has ended stays: by the run's own wish, and by the platform's count and age.

Only the resource goes, and only after its history is in the bucket. (How long its Job stays is `domain.retention`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain.observed import JobView
from mlops_operator.domain.retention import STRAGGLER_SECONDS
from mlops_operator.domain.times import seconds_between
from mlops_operator.settings import OutcomeRetention, RunRetention

# Nobody waits for a resource to go at the very second: a run of next year is looked at now and then.
LONGEST_LOOK_SECONDS = 6 * 3600.0
# A resource whose deletion did not help (a finalizer, a missing right) is looked at again then.
LOOK_AGAIN_SECONDS = 60.0


def seconds_left(
    run: TrainingRun, newer: int, jobs: Sequence[JobView], rules: RunRetention, now: datetime
) -> float | None:
    """Give how long the resource stays: 0 it goes now, None it stays.

    Parameters
    ----------
    newer
        How many runs of the namespace ended in the same way, and later.
    jobs
        The run's own: one that has not ended may still bring something to the bucket.
    """
    ended_at = run.status.completion_time
    if ended_at is None:
        return None
    rule = _rule(run, rules)
    age = seconds_between(ended_at, now)
    left = _left(run, newer, rule, age)
    if left == 0 and any(not job.gone and job.finished_at is None for job in jobs):
        return max(0.0, STRAGGLER_SECONDS - age)
    return left


def _left(run: TrainingRun, newer: int, rule: OutcomeRetention, age: float) -> float | None:
    if rule.keep is not None and newer >= rule.keep:
        return 0.0
    wish = run.spec.ttl_seconds_after_finished
    longest = rule.max_age_seconds if wish is None else wish
    return None if longest is None else max(0.0, longest - age)


def _rule(run: TrainingRun, rules: RunRetention) -> OutcomeRetention:
    if run.status.phase == "Succeeded":
        return rules.succeeded
    return rules.cancelled if run.status.phase == "Cancelled" else rules.failed
