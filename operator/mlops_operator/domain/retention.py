"""How long the Job of something that has ended stays, with its logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops_operator.domain.observed import JobView
from mlops_operator.domain.times import earliest, seconds_between

# A Job that has not ended by itself this long after its owner did is counted as ended then.
STRAGGLER_SECONDS = 60.0


@dataclass(frozen=True)
class Cleaning:
    """Jobs to delete now, (name, uid), and when the next one is due."""

    delete: tuple[tuple[str, str], ...] = ()
    again_seconds: float | None = None
    empty: bool = True  # no Job is left


def clean(
    jobs: list[JobView], ended_at: datetime | None, retention_seconds: float, now: datetime
) -> Cleaning:
    """Decide over Jobs whose owner has ended (or whose attempt has)."""
    delete: list[tuple[str, str]] = []
    again: float | None = None
    left = [job for job in jobs if not job.gone]
    for job in left:
        if job.deleting:
            continue
        due = _due_in(job, ended_at, retention_seconds, now)
        if due <= 0:
            delete.append((job.name, job.uid))
        else:
            again = earliest(again, due)
    return Cleaning(tuple(delete), again, empty=not left)


def _due_in(job: JobView, ended_at: datetime | None, retention_seconds: float, now: datetime) -> float:
    if job.finished_at is not None:
        return retention_seconds - seconds_between(job.finished_at, now)
    if ended_at is None:
        return 0.0
    return STRAGGLER_SECONDS + retention_seconds - seconds_between(ended_at, now)
