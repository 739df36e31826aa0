"""What is to be done next for a TrainingRun.

A run is followed along one line: accepted → datasets pinned → workspace and Secrets there → attempt recorded and its
Job made, in this order in one plan → the pod followed → its end judged → another attempt, or the run's end → the model
registered → the Jobs cleaned away.
Each part is a module of its own; here is only which one has its turn.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.api.trainingrun import ENDED
from mlops_operator.domain import (
    profiles,
    progress_reading,
    retention,
    start_deadline,
    suspension,
    zones,
)
from mlops_operator.domain.after_end import after_end
from mlops_operator.domain.attempt import find_attempt
from mlops_operator.domain.attempt_follow import follow
from mlops_operator.domain.attempt_start import make_again, start
from mlops_operator.domain.between_attempts import between
from mlops_operator.domain.conclusion import conclude
from mlops_operator.domain.halt import halted
from mlops_operator.domain.naming import job_name
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.step import Step, wait
from mlops_operator.domain.times import earliest, whole_second
from mlops_operator.domain.waiting import name_taken
from mlops_operator.settings import Settings


def plan_run(observed: ObservedRun, settings: Settings, now: datetime) -> Plan:
    """Decide; total: it never raises, and planning again on its own result changes no status."""
    before = observed.run
    if before.metadata.deletion_timestamp is not None:
        return Plan(settled=True)  # owner references do the rest
    now = whole_second(now)
    zone = zones.find(settings, observed.namespace)
    run, settings = profiles.applied(before, zones.narrowed(settings, zone), zone)
    run = suspension.resumed(run, now)
    observed = progress_reading.with_bucket(replace(observed, run=run))
    step = _step(observed, settings, now)
    if step.status.phase not in ENDED:
        step = _clean_older(observed, step, settings, now)
        later = start_deadline.seconds_left(run.model_copy(update={"status": step.status}), now)
        step = replace(step, again_seconds=earliest(step.again_seconds, later or None))
    return conclude(before, step, now)


def _step(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    status = observed.run.status
    if status.phase in ENDED:
        return after_end(observed, settings, now)
    if not status.attempts:
        return _before_attempt(observed, settings, now)
    if status.attempts[-1].end_time is not None:
        return between(observed, settings, now)
    return _during_attempt(observed, settings, now)


def _clean_older(observed: ObservedRun, step: Step, settings: Settings, now: datetime) -> Step:
    """Let the Jobs of earlier attempts go when their time is over, though the run goes on."""
    ours = (job for job in observed.jobs.values() if job.owner_uid == observed.run.metadata.uid)
    current = {job_name(observed.run.metadata.name, entry.number) for entry in step.status.attempts[-1:]}
    older = [job for job in ours if job.finished_at is not None and job.name not in current]
    cleaning = retention.clean(older, None, settings.job_retention_seconds, now)
    return replace(
        step,
        delete_jobs=(*step.delete_jobs, *cleaning.delete),
        again_seconds=earliest(step.again_seconds, cleaning.again_seconds),
    )


def _before_attempt(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    run = observed.run
    held = halted(run, settings, now)
    if held is not None:
        return held
    job = observed.jobs.get(job_name(run.metadata.name, 1))
    if job is not None and not job.gone and job.owner_uid != run.metadata.uid:
        return wait(run.status, "Pending", name_taken("TrainingRun", job.name, run.metadata.namespace))
    return start(observed, 1, settings, now)


def _during_attempt(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    recorded = observed.run.status.attempts[-1]
    attempt = find_attempt(observed, recorded)
    if attempt.job is None and recorded.job_uid is None:
        return make_again(observed, recorded, settings, now)
    return follow(observed, attempt, settings, now)
