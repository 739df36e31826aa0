"""What is left of earlier attempts: the next one begins only when nothing of them can run any more."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.trainingrun import AttemptStatus
from mlops_operator.domain.observed import JobView, ObservedRun, PodView
from mlops_operator.domain.times import seconds_between
from mlops_operator.domain.unreachable import is_unreachable, seconds_until_overdue
from mlops_operator.domain.unreachable import waiting as for_unreachable
from mlops_operator.domain.waiting import Waiting

# A Job whose attempt is over for so long, and which does not end by itself, is deleted, in seconds.
STRAGGLER_SECONDS = 30.0
# Jobs and pods are watched apart: a pod that was never seen may yet show itself, in seconds.
UNSEEN_SECONDS = 10.0


def waiting(observed: ObservedRun, now: datetime) -> Waiting | None:
    """Say what still lives of the attempts so far; None: nothing."""
    for pod in observed.pods:
        if not pod.gone and pod.phase not in ("Succeeded", "Failed"):
            return _for_pod(pod, now)
    left = _unfinished(observed)
    if left:
        return Waiting("Terminating", f"Job {left[0].name} of the attempt before has not ended yet.", 5.0)
    return _for_unseen(observed.run.status.attempts[-1], now)


def _for_unseen(last: AttemptStatus, now: datetime) -> Waiting | None:
    if last.pod_uid is not None or last.end_time is None:
        return None
    seconds = UNSEEN_SECONDS - seconds_between(last.end_time, now)
    message = f"No pod of attempt {last.number} was seen; the next one begins when it is certain that there is none."
    return Waiting("Terminating", message, seconds) if seconds > 0 else None


def stragglers(
    observed: ObservedRun, ended_at: datetime | None, now: datetime
) -> tuple[tuple[str, str], ...]:
    """Give the Jobs to delete, (name, uid), so that they end: their attempt has ended ``ended_at``."""
    if ended_at is None or seconds_between(ended_at, now) < STRAGGLER_SECONDS:
        return ()
    return tuple((job.name, job.uid) for job in _unfinished(observed) if not job.deleting)


def _for_pod(pod: PodView, now: datetime) -> Waiting:
    if is_unreachable(pod, now):
        return for_unreachable(pod)
    message = f"Pod {pod.name} of the attempt before is still there; the next one begins when it is gone."
    return Waiting("Terminating", message, seconds_until_overdue(pod, now))


def _unfinished(observed: ObservedRun) -> list[JobView]:
    ours = (job for job in observed.jobs.values() if job.owner_uid == observed.run.metadata.uid)
    return [job for job in ours if not (job.gone or job.complete or job.failed)]
