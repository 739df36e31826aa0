"""What is to be done next for a TrainingRun.

A run is followed along one line: accepted → datasets pinned → workspace and Secrets there → attempt recorded and its
Job made, in this order in one plan → the pod followed → its end judged → the model registered → the Job cleaned away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mlops_operator.api.trainingrun import (
    ENDED,
    AttemptStatus,
    ResolvedStatus,
    RunModelStatus,
    RunPhase,
    RunStorageStatus,
    TrainingRun,
    TrainingRunStatus,
)
from mlops_operator.api.wire import RunManifest
from mlops_operator.domain import (
    acceptance,
    live,
    outcome,
    phase,
    pinning,
    prerequisites,
    registration,
    retention,
)
from mlops_operator.domain.attempt import Attempt, accelerator_text, find_attempt
from mlops_operator.domain.conditions import Claim, as_claim, clip, find, of_run, settle
from mlops_operator.domain.effects import CheckSecret, Create, Effect, Failed, WorkspaceReady
from mlops_operator.domain.job import run_job
from mlops_operator.domain.manifest_reading import Reading, read
from mlops_operator.domain.messages import of_ending
from mlops_operator.domain.naming import job_name
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.outcome import Ending
from mlops_operator.domain.plan import Event, Object, Plan
from mlops_operator.domain.pod import identity
from mlops_operator.domain.retry import is_mended_outside, seconds_until_again
from mlops_operator.domain.times import earliest, seconds_between, whole_second
from mlops_operator.domain.waiting import (
    POD_PATIENCE_SECONDS,
    Waiting,
    for_missing_pod,
    for_pod,
    name_taken,
    until_volumes_are_late,
)
from mlops_operator.settings import Settings

# A pod is mostly scheduled within this time: until then, "Queued" is not worth a write. In seconds.
QUEUED_GRACE_SECONDS = 5.0
# How long the end of a run waits for the pod to say which image it ran, in seconds.
IMAGE_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Step:
    """What was decided, before conditions and the comparison with what is written already."""

    status: TrainingRunStatus
    accepted: bool = True
    create_job: Object | None = None
    create_model_version: Object | None = None
    delete_jobs: tuple[tuple[str, str], ...] = ()
    effects: tuple[Effect, ...] = ()
    claim: Claim | None = None
    warn: bool = False
    again_seconds: float | None = None
    settled: bool = False


def plan_run(observed: ObservedRun, settings: Settings, now: datetime) -> Plan:
    """Decide; total: it never raises, and planning again on its own result changes no status."""
    run = observed.run
    if run.metadata.deletion_timestamp is not None:
        return Plan(settled=True)  # owner references do the rest
    now = whole_second(now)
    if run.status.phase in ENDED:
        step = _after_end(observed, settings, now)
    elif not run.status.attempts:
        step = _before_attempt(observed, settings, now)
    else:
        step = _during_attempt(observed, settings, now)
    return _conclude(run, step, now)


def _before_attempt(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    run = observed.run
    if run.spec.cancel:
        return _cancelled_unstarted(run, now)
    refused = acceptance.refusal(run.spec, settings)
    if refused is not None:
        step = _wait(run.status, "Pending", Waiting(refused.reason, refused.message))
        return replace(step, accepted=False, warn=True)
    job = observed.jobs.get(job_name(run.metadata.name, 1))
    if job is not None and not job.gone and job.owner_uid != run.metadata.uid:
        return _wait(run.status, "Pending", name_taken("TrainingRun", job.name, run.metadata.namespace))
    return _start(observed, 1, settings, now)


def _start(observed: ObservedRun, number: int, settings: Settings, now: datetime) -> Step:
    """Record the attempt and make its Job, if everything that it needs is there."""
    run = observed.run
    before = run.status.resolved.datasets if run.status.resolved is not None else []
    pinned = pinning.pin(run.spec.datasets, observed.datasets, run.metadata.namespace, before)
    if isinstance(pinned, Waiting):
        return _wait(run.status, "Pending", pinned)
    ready = prerequisites.check(
        run.metadata.namespace, (*_git_check(run), *pinned.checks), observed.outcomes, now
    )
    if not isinstance(ready, WorkspaceReady):
        if ready.waiting is None:
            return Step(run.status, effects=ready.effects)
        step = _wait(run.status, "Pending", ready.waiting)
        return replace(step, effects=ready.effects, again_seconds=ready.again_seconds)
    job = run_job(
        run, number, workspace=ready, datasets=pinned.staged, secrets=pinned.secrets, settings=settings
    )
    resolved = (run.status.resolved or ResolvedStatus()).model_copy(
        update={"datasets": list(pinned.resolved)}
    )
    uri = f"s3://{ready.bucket.bucket}/{identity(run, number).prefix}"
    others = [entry for entry in run.status.attempts if entry.number != number]
    status = _at(run.status, "Pending", "Pending", phase.NORMAL_MESSAGES["Pending"]).model_copy(
        update={
            "attempts": [*others, AttemptStatus(number=number, start_time=now)],
            "resolved": resolved,
            "storage": RunStorageStatus(uri=uri),
        }
    )
    return Step(status, create_job=job, again_seconds=QUEUED_GRACE_SECONDS)


def _git_check(run: TrainingRun) -> tuple[CheckSecret, ...]:
    git = run.spec.source.git if run.spec.source is not None else None
    reference = git.credentials_secret_ref if git is not None else None
    if reference is None:
        return ()
    return (CheckSecret(run.metadata.namespace, reference.name, pinning.GIT_KEYS),)


def _during_attempt(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
    run = observed.run
    recorded = run.status.attempts[-1]
    attempt = find_attempt(observed, recorded)
    if attempt.job is None and recorded.job_uid is None:
        return _unmade(observed, recorded, settings, now)
    return _follow(observed, attempt, settings, now)


def _unmade(observed: ObservedRun, recorded: AttemptStatus, settings: Settings, now: datetime) -> Step:
    """Give the attempt is recorded and its Job is not there: the process ended between the two, or the POST failed."""
    run = observed.run
    name = job_name(run.metadata.name, recorded.number)
    if run.spec.cancel:
        return _cancelled_unstarted(run, now)
    foreign = observed.jobs.get(name)
    if foreign is not None and not foreign.gone:
        return _wait(run.status, "Pending", name_taken("TrainingRun", name, run.metadata.namespace))
    refused = observed.outcomes.get(Create(run.metadata.namespace, "Job", name))
    if isinstance(refused, Failed):
        if not is_mended_outside(refused):
            step = _wait(
                run.status, "Pending", Waiting(refused.cause, f"{refused.message} {acceptance.ANEW}")
            )
            return replace(step, accepted=False)
        left = seconds_until_again(refused, now)
        if left > 0:
            return _wait(run.status, "Pending", Waiting(refused.cause, refused.message, left))
    if recorded.start_time is not None and seconds_between(recorded.start_time, now) <= 0:
        # The write before a POST must be a real one, and times are whole seconds.
        return Step(run.status, again_seconds=1.0)
    return _start(observed, recorded.number, settings, now)


def _follow(observed: ObservedRun, attempt: Attempt, settings: Settings, now: datetime) -> Step:
    run = observed.run
    reading = read(observed, attempt, now)
    status = _with_attempt(run, attempt, now)
    facts = replace(attempt.facts, manifest=reading.state)
    ended = reading.ending or outcome.ending(facts)
    if ended is not None and _image_is_coming(status, attempt, reading, now):
        return Step(run.status, again_seconds=1.0)
    if ended is not None:
        return _end(run, status, attempt, ended, reading=reading, settings=settings, now=now)
    deletes = _cancel_deletes(run, attempt)
    waiting = _waiting(run, attempt, reading, settings, now)
    where = phase.derive(run.status.phase, attempt.pod, attempt.report)
    fresh = _is_fresh(run, attempt, where, waiting, now)
    if fresh > 0:
        return Step(run.status, effects=reading.effects, again_seconds=fresh)
    step = _wait(status, where, waiting) if waiting is not None else Step(_normal(status, where))
    late = until_volumes_are_late(attempt.pod, now)
    podless = float(POD_PATIENCE_SECONDS) if attempt.pod is None and waiting is None else None
    return replace(
        step,
        delete_jobs=deletes,
        effects=reading.effects,
        again_seconds=earliest(step.again_seconds, reading.again_seconds, late, podless),
    )


def _image_is_coming(status: TrainingRunStatus, attempt: Attempt, reading: Reading, now: datetime) -> bool:
    """Whether the pod's word on its image is still on its way: a short run's manifest can be there before it."""
    if reading.manifest is None or attempt.pod is None or attempt.pod.gone or attempt.pod.deleting:
        return False
    known = status.resolved is not None and status.resolved.image is not None
    return not known and seconds_between(reading.manifest.training.end_time, now) < IMAGE_PATIENCE_SECONDS


def _is_fresh(
    run: TrainingRun, attempt: Attempt, where: RunPhase, waiting: Waiting | None, now: datetime
) -> float:
    """Seconds for which "Queued" is not written yet: mostly the pod has a node before they are over."""
    since = attempt.recorded.start_time
    if where != "Queued" or waiting is not None or run.status.phase != "Pending" or since is None:
        return 0.0
    return max(0.0, QUEUED_GRACE_SECONDS - max(0.0, seconds_between(since, now)))


def _waiting(
    run: TrainingRun, attempt: Attempt, reading: Reading, settings: Settings, now: datetime
) -> Waiting | None:
    namespace = run.metadata.namespace
    if reading.waiting is not None:
        return reading.waiting
    if run.spec.cancel:
        return Waiting("Cancelling", "The run is being cancelled; its pod has time to upload what it has.")
    if attempt.facts.deleted:
        return Waiting("Terminating", "The pod or its Job was deleted; it has time to upload what it has.")
    if attempt.pod is None:
        return for_missing_pod(attempt.name, namespace, attempt.recorded.start_time, now)
    found = for_pod(attempt.pod, namespace, now, accelerator=accelerator_text(run.spec, settings))
    if found is not None and found.reason == "ImagePull" == run.status.reason and run.status.message:
        return replace(found, message=run.status.message)  # the kubelet tells the same in turns
    return found


def _cancel_deletes(run: TrainingRun, attempt: Attempt) -> tuple[tuple[str, str], ...]:
    job = attempt.job
    if not run.spec.cancel or job is None or job.gone or job.deleting:
        return ()
    return ((job.name, job.uid),)


def _with_attempt(run: TrainingRun, attempt: Attempt, now: datetime) -> TrainingRunStatus:
    """Give the status with what is known of Job and pod, and with the live figures."""
    status, report = run.status, attempt.report
    if report is not None:
        status = live.apply(status, report, run.spec.parameters, now)
    train = attempt.facts.container("train")
    started = status.start_time or (train.running_since if train is not None else None)
    image = train.image if train is not None and "sha256:" in train.image else None
    resolved = status.resolved or ResolvedStatus()
    recorded = attempt.updated(training_start_time=started)
    others = [entry for entry in status.attempts if entry.number != recorded.number]
    return status.model_copy(
        update={
            "start_time": started,
            "attempts": [*others, recorded],
            "resolved": resolved.model_copy(update={"image": image or resolved.image}),
        }
    )


def _end(
    run: TrainingRun,
    status: TrainingRunStatus,
    attempt: Attempt,
    ended: Ending,
    *,
    reading: Reading,
    settings: Settings,
    now: datetime,
) -> Step:
    message = clip(of_ending(ended, attempt.facts, run, settings))
    where: RunPhase = "Failed"
    if ended.cause in ("Succeeded", "Cancelled"):
        where = "Succeeded" if ended.cause == "Succeeded" else "Cancelled"
    training = attempt.facts.training
    if reading.manifest is not None:
        training = reading.manifest.training
    started = whole_second(training.start_time) if training is not None else status.start_time
    uri = status.storage.uri if status.storage is not None else None
    last = status.attempts[-1].model_copy(
        update={
            "training_start_time": started,
            "end_time": now,
            "cause": ended.cause,
            "logs": f"{uri}attempts/{attempt.recorded.number}/logs/" if uri and started else None,
        }
    )
    status = _at(status, where, ended.cause, message).model_copy(
        update={
            "start_time": started,
            "completion_time": now,
            "attempts": [*status.attempts[:-1], last],
            "usage": live.usage_of(training, status.usage),
            "failure": attempt.failure(ended, message) if where == "Failed" else None,
        }
    )
    if where == "Succeeded" and reading.manifest is not None:
        status = _with_manifest(run, status, reading.manifest, reading.digest)
    return Step(status, delete_jobs=_cancel_deletes(run, attempt), warn=where == "Failed")


def _with_manifest(
    run: TrainingRun, status: TrainingRunStatus, manifest: RunManifest, digest: str | None
) -> TrainingRunStatus:
    resolved = status.resolved or ResolvedStatus()
    uri = status.storage.uri if status.storage is not None else ""
    size = sum(max(0, entry.size_bytes) for entry in manifest.files)
    model = status.model
    if run.spec.outputs.model is not None and manifest.model is not None:
        model = (model or RunModelStatus()).model_copy(update={"path": manifest.model.path})
    return status.model_copy(
        update={
            "storage": RunStorageStatus(uri=uri, manifest_digest=digest, size_bytes=size),
            "metrics": live.clean(manifest.metrics) or status.metrics,
            "resolved": resolved.model_copy(update={"commit": manifest.commit or resolved.commit}),
            "model": model,
        }
    )


def _after_end(observed: ObservedRun, settings: Settings, now: datetime) -> Step:
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


def _cancelled_unstarted(run: TrainingRun, now: datetime) -> Step:
    message = "The run was cancelled (spec.cancel) before it had a Job."
    status = _at(run.status, "Cancelled", "Cancelled", message)
    attempts = [
        entry.model_copy(update={"end_time": now, "cause": "Cancelled"}) for entry in run.status.attempts
    ]
    return Step(status.model_copy(update={"completion_time": now, "attempts": attempts}))


def _at(status: TrainingRunStatus, where: RunPhase, reason: str, message: str) -> TrainingRunStatus:
    return status.model_copy(update={"phase": where, "reason": clip(reason, 128), "message": clip(message)})


def _normal(status: TrainingRunStatus, where: RunPhase) -> TrainingRunStatus:
    return _at(status, where, where, phase.NORMAL_MESSAGES[where])


def _wait(status: TrainingRunStatus, where: RunPhase, waiting: Waiting) -> Step:
    return Step(
        _at(status, where, waiting.reason, waiting.message),
        warn=waiting.reason not in ("Cancelling", "Terminating"),
        again_seconds=waiting.again_seconds,
    )


def _conclude(run: TrainingRun, step: Step, now: datetime) -> Plan:
    """Give the plan: conditions, and whether there is anything to write at all."""
    before, status = run.status, step.status
    written: Object | None = None
    is_live = False
    if status.phase is not None:
        claims = of_run(status.phase, status.reason or "", status.message or "", accepted=step.accepted)
        kept = find(before.conditions, registration.CONDITION)
        extra = step.claim or (as_claim(kept) if kept is not None else None)
        generation = run.metadata.generation
        status = status.model_copy(
            update={
                "observed_generation": generation,
                "conditions": settle(
                    before.conditions, [*claims, *([extra] if extra else [])], generation, now
                ),
            }
        )
        old, new = before.to_object(), status.to_object()
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        written = new if changed else None
        is_live = bool(changed) and changed <= live.LIVE_FIELDS
    return Plan(
        status=written,
        live=is_live,
        create_job=step.create_job if written is not None else None,
        create_model_version=step.create_model_version,
        delete_jobs=step.delete_jobs,
        effects=step.effects,
        events=_events(run, status) if step.warn and written is not None else (),
        requeue_after_seconds=step.again_seconds,
        settled=step.settled,
    )


def _events(run: TrainingRun, status: TrainingRunStatus) -> tuple[Event, ...]:
    """One event for each new reason that a user can act on."""
    if status.reason == run.status.reason:
        return ()
    return (Event("Warning", status.reason or "Waiting", clip(status.message or "", 1024)),)
