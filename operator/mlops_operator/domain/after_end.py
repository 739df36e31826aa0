"""What remains to be done for a run that has ended: its model's version, and its Jobs. Its end is never judged again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.domain import registration, retention
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.step import Step
from mlops_operator.domain.times import earliest
from mlops_operator.settings import Settings


def after_end(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    """Give what remains: the model's version, and the Job. How it ended is never judged again."""
    run, status = observed.run, observed.run.status
    jobs = [job for job in observed.jobs.values() if job.owner_uid == run.metadata.uid]
    keep = 0 if status.phase == "Cancelled" else settings.job_retention_seconds
    ended_at = status.completion_time if status.phase != "Cancelled" else None
    cleaning = retention.clean(jobs, ended_at, keep, now)
    step = Step(
        status, delete_jobs=cleaning.delete, again_seconds=cleaning.again_seconds, settled=cleaning.empty
    )
    if status.phase != "Succeeded":
        return step
    registered = registration.register(observed, now)
    if registered.model is not None:
        status = status.model_copy(update={"model": registered.model})
    return replace(
        step,
        status=status,
        claim=registered.claim,
        effects=registered.effects,
        create_model_version=registered.create,
        again_seconds=earliest(step.again_seconds, registered.again_seconds),
        settled=step.settled and registered.done,
    )
