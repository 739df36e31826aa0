"""What remains to be done for a run that has ended, in this order: its model's version, its history, its Jobs, itself.

How it ended is never judged again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.domain import expiry, recording, registration, retention
from mlops_operator.domain.observed import JobView, ObservedRun
from mlops_operator.domain.registration import Registration
from mlops_operator.domain.step import Step
from mlops_operator.domain.times import earliest
from mlops_operator.settings import Settings


def after_end(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    """Give what remains to be done."""
    run, status = observed.run, observed.run.status
    jobs = [job for job in observed.jobs.values() if job.owner_uid == run.metadata.uid]
    # A Job that was made unseen must not begin to train now.
    at_once = status.phase == "Cancelled" or status.reason == "StartDeadlineExceeded"
    keep = 0 if at_once else settings.job_retention_seconds
    ended_at = None if at_once else status.completion_time
    cleaning = retention.clean(jobs, ended_at, keep, now)
    step = Step(
        status, delete_jobs=cleaning.delete, again_seconds=cleaning.again_seconds, settled=cleaning.empty
    )
    registered = Registration(done=True)
    if status.phase == "Succeeded":
        registered = registration.register(observed, now)
    step = _with_registration(step, registered)
    if registered.done or registered.claim is not None:
        return _with_history(observed, step, jobs, settings, now)
    return replace(step, settled=False)


def _with_registration(step: Step, registered: Registration) -> Step:
    status = step.status
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


def _with_history(
    observed: ObservedRun, step: Step, jobs: list[JobView], settings: Settings, now: datetime
) -> Step:
    run = observed.run
    history = recording.record(run, step.status, observed.outcomes, now)
    if history.under_way and run.status.recorded is None:
        step = replace(step, status=run.status, claim=None)
    elif history.recorded is not None:
        step = replace(step, status=step.status.model_copy(update={"recorded": history.recorded}))
    step = replace(
        step,
        effects=(*step.effects, *history.effects),
        again_seconds=earliest(step.again_seconds, history.again_seconds),
        settled=step.settled and history.done,
    )
    if not history.done:
        return step
    left = expiry.seconds_left(run, observed.newer_ended, jobs, settings.run_retention, now)
    if left is None:
        return step
    look = min(left, expiry.LONGEST_LOOK_SECONDS) or expiry.LOOK_AGAIN_SECONDS
    return replace(step, delete_run=left == 0, again_seconds=earliest(step.again_seconds, look))
