"""What is to be done next for a TrainingRun.

A run is followed along one line: accepted → datasets pinned → workspace and Secrets there → attempt recorded and its
Job made, in this order in one plan → the pod followed → its end judged → the model registered → the Job cleaned away.
Each part is a module of its own; here is only which one has its turn.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.api.trainingrun import ENDED
from mlops_operator.domain import acceptance, profiles, progress_reading, zones
from mlops_operator.domain.after_end import after_end
from mlops_operator.domain.attempt import find_attempt
from mlops_operator.domain.attempt_end import cancelled_unstarted
from mlops_operator.domain.attempt_follow import follow
from mlops_operator.domain.attempt_start import make_again, start
from mlops_operator.domain.conclusion import conclude
from mlops_operator.domain.naming import job_name
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.step import Step, wait
from mlops_operator.domain.times import whole_second
from mlops_operator.domain.waiting import Waiting, name_taken
from mlops_operator.settings import Settings


def plan_run(observed: ObservedRun, settings: Settings, now: datetime) -> Plan:
    """Decide; total: it never raises, and planning again on its own result changes no status."""
    run = observed.run
    if run.metadata.deletion_timestamp is not None:
        return Plan(settled=True)  # owner references do the rest
    now = whole_second(now)
    observed = progress_reading.with_bucket(observed)
    zone = zones.find(settings, observed.namespace)
    run, settings = profiles.applied(run, zones.narrowed(settings, zone), zone)
    observed = replace(observed, run=run)
    if run.status.phase in ENDED:
        step = after_end(observed, settings, now)
    elif not run.status.attempts:
        step = _before_attempt(observed, settings, now)
    else:
        step = _during_attempt(observed, settings, now)
    return conclude(run, step, now)


def _before_attempt(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    run = observed.run
    if run.spec.cancel:
        return cancelled_unstarted(run, now)
    refused = acceptance.refusal(run.spec, settings)
    if refused is not None:
        step = wait(run.status, "Pending", Waiting(refused.reason, refused.message))
        return replace(step, accepted=False, warn=True)
    job = observed.jobs.get(job_name(run.metadata.name, 1))
    if job is not None and not job.gone and job.owner_uid != run.metadata.uid:
        return wait(run.status, "Pending", name_taken("TrainingRun", job.name, run.metadata.namespace))
    return start(observed, 1, settings, now)


def _during_attempt(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    run = observed.run
    recorded = run.status.attempts[-1]
    attempt = find_attempt(observed, recorded)
    if attempt.job is None and recorded.job_uid is None:
        return make_again(observed, recorded, settings, now)
    return follow(observed, attempt, settings, now)
