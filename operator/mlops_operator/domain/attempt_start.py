"""How an attempt begins: it is recorded, and its Job is made in the same plan, if all that it needs is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from mlops_operator.api.trainingrun import AttemptStatus, ResolvedStatus, RunStorageStatus, TrainingRun
from mlops_operator.domain import acceptance, masking, phase, pinning, prerequisites, resume, turn, volumes
from mlops_operator.domain.effects import CheckSecret, Create, Failed, WorkspaceReady
from mlops_operator.domain.halt import halted, refused
from mlops_operator.domain.job import run_job
from mlops_operator.domain.naming import job_name, service_name
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.pod import identity, mlflow_secret
from mlops_operator.domain.retry import is_mended_outside, seconds_until_again
from mlops_operator.domain.step import QUEUED_GRACE_SECONDS, Step, at, wait
from mlops_operator.domain.times import seconds_between
from mlops_operator.domain.waiting import Waiting, name_taken
from mlops_operator.settings import Settings

# So many stay in the status.
MAX_ATTEMPTS = 10


def start(observed: ObservedRun, number: int, settings: Settings, now: datetime) -> Step:
    """Record the attempt and make its Job, if everything that it needs is there."""
    run = observed.run
    kept_out = refused(run, settings) or turn.kept_out(observed, settings)
    if kept_out is not None:
        return kept_out
    before = run.status.resolved.datasets if run.status.resolved is not None else []
    pinned = pinning.pin(run.spec.datasets, observed.datasets, run.metadata.namespace, before)
    if isinstance(pinned, Waiting):
        return wait(run.status, "Pending", pinned)
    ready = prerequisites.check(
        run.metadata.namespace, (*_secret_checks(run), *pinned.checks), observed.outcomes, now
    )
    if not isinstance(ready, WorkspaceReady):
        return _unmet(run, ready)
    resumed = resume.find(observed, now)
    if isinstance(resumed, prerequisites.Unmet):
        return _unmet(run, resumed)
    queued = turn.not_yet(observed)
    if queued is not None:
        return queued
    resolved = (run.status.resolved or ResolvedStatus()).model_copy(
        update={"datasets": list(pinned.resolved), "resume_from": resumed}
    )
    run = run.model_copy(update={"status": run.status.model_copy(update={"resolved": resolved})})
    job = run_job(
        run, number, workspace=ready, datasets=pinned.staged, secrets=pinned.secrets, settings=settings
    )
    uri = f"s3://{ready.bucket.bucket}/{identity(run, number).prefix}"
    others = [entry for entry in run.status.attempts if entry.number != number]
    status = at(run.status, "Pending", "Pending", phase.NORMAL_MESSAGES["Pending"]).model_copy(
        update={
            "attempts": [*others, AttemptStatus(number=number, start_time=now)][-MAX_ATTEMPTS:],
            "storage": RunStorageStatus(uri=uri),
        }
    )
    return Step(status, create_job=job, again_seconds=QUEUED_GRACE_SECONDS)


def _unmet(run: TrainingRun, unmet: prerequisites.Unmet) -> Step:
    """Give the step of a run that lacks something: it waits, or finds out."""
    if unmet.waiting is None:
        return Step(run.status, effects=unmet.effects)
    step = wait(run.status, "Pending", unmet.waiting)
    return replace(step, effects=unmet.effects, again_seconds=unmet.again_seconds)


def _secret_checks(run: TrainingRun) -> Iterator[CheckSecret]:
    git = run.spec.source.git if run.spec.source is not None else None
    reference = git.credentials_secret_ref if git is not None else None
    if reference is not None:
        yield CheckSecret(run.metadata.namespace, reference.name, pinning.GIT_KEYS)
    yield from volumes.secret_checks(run.spec, run.metadata.namespace)
    yield from masking.checks(run.spec, run.metadata.namespace)
    if (secret := mlflow_secret(run)) is not None:
        yield CheckSecret(run.metadata.namespace, secret)


def make_again(observed: ObservedRun, recorded: AttemptStatus, settings: Settings, now: datetime) -> Step:
    """Make the Job of an attempt that is recorded: the process ended between the two, or the POST failed."""
    run = observed.run
    held = halted(run, settings, now) or _hindered(
        observed, job_name(run.metadata.name, recorded.number), now
    )
    if held is not None:
        return held
    if recorded.start_time is not None and seconds_between(recorded.start_time, now) <= 0:
        # The write before a POST must be a real one, and times are whole seconds.
        return Step(run.status, again_seconds=1.0)
    return start(observed, recorded.number, settings, now)


def _refused(observed: ObservedRun, job: str) -> Failed | None:
    """Give what the API server said to the POST of a Job, or of its Service."""
    namespace = observed.run.metadata.namespace
    creates = (Create(namespace, "Service", service_name(job)), Create(namespace, "Job", job))
    found = (observed.outcomes.get(create) for create in creates)
    return next((outcome for outcome in found if isinstance(outcome, Failed)), None)


def _hindered(observed: ObservedRun, name: str, now: datetime) -> Step | None:
    """Give the step of a run whose Job cannot be made: its name is taken, or the API server refused it."""
    run = observed.run
    foreign = observed.jobs.get(name)
    if foreign is not None and not foreign.gone:
        return wait(run.status, "Pending", name_taken("TrainingRun", name, run.metadata.namespace))
    said = _refused(observed, name)
    if said is None:
        return None
    if not is_mended_outside(said):
        step = wait(run.status, "Pending", Waiting(said.cause, f"{said.message} {acceptance.ANEW}"))
        return replace(step, accepted=False)
    left = seconds_until_again(said, now)
    return wait(run.status, "Pending", Waiting(said.cause, said.message, left)) if left > 0 else None
