"""An attempt under way: its pod and its reports are followed until its end can be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mlops_operator.api.trainingrun import ResolvedStatus, RunPhase, TrainingRun, TrainingRunStatus
from mlops_operator.domain import (
    disruption,
    live,
    outcome,
    phase,
    podless,
    progress_reading,
    start_deadline,
    suspension,
    tracking,
    unreachable,
    usage,
    volumes,
    worker_group,
)
from mlops_operator.domain.attempt import Attempt, accelerator_text
from mlops_operator.domain.attempt_end import End, end, stop_deletes
from mlops_operator.domain.conditions import clip
from mlops_operator.domain.manifest_reading import Reading, read
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.podless import Podless
from mlops_operator.domain.step import QUEUED_GRACE_SECONDS, Step, normal, wait
from mlops_operator.domain.times import earliest, seconds_between
from mlops_operator.domain.waiting import Waiting, for_pod, until_volumes_are_late
from mlops_operator.domain.worker_group import Worker
from mlops_operator.settings import Settings

# How long the end of a run waits for the pod to say which image it ran, in seconds.
IMAGE_PATIENCE_SECONDS = 10.0


def follow(observed: ObservedRun, attempt: Attempt, settings: Settings, now: datetime) -> Step:
    """Say where the attempt is, and judge it when it has ended."""
    run = observed.run
    reading = read(observed, attempt, now)
    status = _with_attempt(run, attempt, now)
    facts = replace(attempt.facts, manifest=reading.state)
    ended = reading.ending or outcome.ending(facts)
    if ended is not None and _image_is_coming(status, attempt, reading, now):
        return Step(run.status, again_seconds=1.0)
    if ended is not None:
        unread = progress_reading.last_word(observed, attempt, reading.state)
        if unread is not None:
            return Step(status, effects=(*reading.effects, unread))
        return end(observed, End(attempt, ended, reading, status), settings, now)
    status = _with_stop(run, status, attempt, now)
    stops = run.spec.cancel or status.attempts[-1].cause is not None
    missing = Podless() if stops else _missing_pod(observed, attempt, now)
    waiting = _waiting(run, replace(attempt, recorded=status.attempts[-1]), reading, settings, now)
    waiting = waiting or missing.waiting
    where = phase.derive(run.status.phase, [(worker.pod, worker.report) for worker in attempt.workers])
    fresh = _is_fresh(run, attempt, where, waiting, now)
    effects = (*reading.effects, *missing.effects)
    if fresh > 0:
        return Step(run.status, effects=effects, again_seconds=fresh)
    step = wait(status, where, waiting) if waiting is not None else Step(normal(status, where))
    looking = progress_reading.look(observed, attempt, now)
    again = earliest(
        step.again_seconds,
        reading.again_seconds,
        missing.again_seconds,
        looking.again_seconds,
        *(until_volumes_are_late(worker.pod, now) for worker in attempt.workers),
        *(unreachable.seconds_until_overdue(worker.pod, now) or None for worker in attempt.workers),
    )
    return replace(
        step,
        delete_jobs=stop_deletes(attempt) if stops else (),
        tracked=tuple(tracking.while_it_runs(run.status, attempt.report)),
        effects=(*effects, *looking.effects),
        again_seconds=again,
    )


def _missing_pod(observed: ObservedRun, attempt: Attempt, now: datetime) -> Podless:
    """Say why the Job has no pod, or not all of them, where it should have."""
    missing = [worker for worker in attempt.workers if worker.pod is None]
    if not missing or attempt.facts.deleted or attempt.culprit is not None:
        return Podless()
    namespace = observed.run.metadata.namespace
    found = podless.look(attempt.name, namespace, attempt.recorded.start_time, observed.outcomes, now)
    told = worker_group.waiting([found.waiting if worker in missing else None for worker in attempt.workers])
    return replace(found, waiting=told)


def _with_stop(
    run: TrainingRun, status: TrainingRunStatus, attempt: Attempt, now: datetime
) -> TrainingRunStatus:
    """Record that the attempt is to be ended, and why: that stays so whatever the user changes meanwhile."""
    last = status.attempts[-1]
    known = run.model_copy(update={"status": status})
    if last.cause is not None or run.spec.cancel:
        return status
    if suspension.ends_attempt(run, attempt.facts):
        stop = {"cause": "Suspended"}
    elif start_deadline.has_passed(known, now):
        stop = {"cause": "StartDeadlineExceeded", "message": clip(start_deadline.message(run), 512)}
    elif attempt.culprit is not None and worker_group.ends_attempt(attempt.culprit, attempt.job):
        stop = {"cause": worker_group.cause(attempt.culprit)}
    else:
        return status
    return status.model_copy(update={"attempts": [*status.attempts[:-1], last.model_copy(update=stop)]})


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
    ends = reading.waiting or _for_end(run, attempt, now)
    if ends is not None:
        return ends
    found = worker_group.waiting([_for_worker(worker, run, settings, now) for worker in attempt.workers])
    if found is not None and found.reason == "ImagePull" == run.status.reason and run.status.message:
        return replace(found, message=run.status.message)  # the kubelet tells the same in turns
    return found


def _for_worker(worker: Worker, run: TrainingRun, settings: Settings, now: datetime) -> Waiting | None:
    if worker.pod is None:
        return None
    return for_pod(
        worker.pod,
        run.metadata.namespace,
        now,
        accelerator=accelerator_text(run.spec, settings),
        mounts=volumes.waited_for(run.spec),
    )


def _for_end(run: TrainingRun, attempt: Attempt, now: datetime) -> Waiting | None:
    """Say why the pod is being ended, or is out of reach."""
    why, pods = attempt.recorded.cause, [worker.pod for worker in attempt.workers]
    silent = next((pod for pod in pods if pod is not None and unreachable.is_unreachable(pod, now)), None)
    if silent is not None:
        return unreachable.waiting(silent)
    if run.spec.cancel:
        return Waiting("Cancelling", "The run is being cancelled; its pod has time to upload what it has.")
    if why == "Suspended":
        return Waiting("Suspending", "The run is being suspended; its pod has time to upload what it has.")
    if attempt.culprit is not None:
        return worker_group.stopping(attempt.culprit, attempt.job)
    if attempt.facts.deleted or why is not None:
        return Waiting(
            "Terminating", f"The pod is being ended; it has time to upload what it has.{_said(attempt)}"
        )
    return None


def _said(attempt: Attempt) -> str:
    said = disruption.said_of(attempt.pod)
    return f" {disruption.of_pod(attempt.pod)}: {said}" if said else ""


def _with_attempt(run: TrainingRun, attempt: Attempt, now: datetime) -> TrainingRunStatus:
    """Give the status with what is known of Job and pod, and with the live figures."""
    status, report = run.status, attempt.report
    if report is not None:
        status = live.apply(status, report, run.spec.parameters, now)
    train = attempt.facts.container("train")
    image = train.image if train is not None and "sha256:" in train.image else None
    resolved = status.resolved or ResolvedStatus()
    recorded = attempt.updated()
    others = [entry for entry in status.attempts if entry.number != recorded.number]
    return status.model_copy(
        update={
            "start_time": status.start_time or recorded.training_start_time,
            "attempts": [*others, recorded],
            "usage": usage.total(status.usage, attempt.recorded.usage, recorded.usage),
            "resolved": resolved.model_copy(update={"image": image or resolved.image}),
        }
    )
