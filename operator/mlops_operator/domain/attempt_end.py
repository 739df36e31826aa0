"""How an attempt's end is recorded, and the run's with it, if it does not go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from mlops_operator.api.trainingrun import (
    ResolvedStatus,
    RetryStatus,
    RunModelStatus,
    RunPhase,
    RunStorageStatus,
    TrainingRun,
    TrainingRunStatus,
    UsageStatus,
)
from mlops_operator.api.wire import RunManifest, TrainingExit
from mlops_operator.domain import checkpoints, live, messages, next_attempt, objective, tracking, usage
from mlops_operator.domain.attempt import Attempt
from mlops_operator.domain.between_attempts import between
from mlops_operator.domain.conditions import clip
from mlops_operator.domain.disruption import DISRUPTIONS
from mlops_operator.domain.manifest_reading import Reading
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.outcome import Ending
from mlops_operator.domain.step import Step, at
from mlops_operator.domain.times import whole_second
from mlops_operator.settings import Settings

MAX_ATTEMPT_MESSAGE = 512


@dataclass(frozen=True)
class End:
    """An attempt that has come to its end. ``status``: of the run, with what was known until then."""

    attempt: Attempt
    ending: Ending
    reading: Reading
    status: TrainingRunStatus

    @property
    def training(self) -> TrainingExit | None:
        manifest = self.reading.manifest
        return manifest.training if manifest is not None else self.attempt.facts.training


def end(observed: ObservedRun, ended: End, settings: Settings, now: datetime) -> Step:
    """Record the end, and go on with another attempt or end the run."""
    run = observed.run
    message = _message(run, ended, settings)
    status = _with_end(ended, message, now)
    tally = status.retry or RetryStatus()
    again = next_attempt.decide(ended.ending, status.attempts[-1], run.spec.retry, tally, now)
    if again is not None:
        waiting = at(status, "Pending", "Pending", message).model_copy(update={"retry": again.tally})
        return between(replace(observed, run=run.model_copy(update={"status": waiting})), settings, now)
    return _end_run(run, ended, status, message + messages.of_tries(ended.ending, status, run), now)


def _message(run: TrainingRun, ended: End, settings: Settings) -> str:
    if ended.ending.cause == "Succeeded" and ended.training is not None and ended.training.early_stopped:
        manifest = ended.reading.manifest
        best = manifest.objective if manifest is not None else None
        return clip(objective.stopped_early(run, best or ended.status.objective))
    return clip(
        messages.of_ending(
            ended.ending, ended.attempt.facts, run, settings, worker=ended.attempt.failed_worker
        )
    )


def _with_end(ended: End, message: str, now: datetime) -> TrainingRunStatus:
    """Give the status with the attempt's end."""
    status, recorded, training = ended.status, ended.status.attempts[-1], ended.training
    started = whole_second(training.start_time) if training is not None else recorded.training_start_time
    # The first attempt that trained gives the run's own time.
    is_first = status.start_time in (None, recorded.training_start_time)
    uri = status.storage.uri if status.storage is not None else None
    used = _used(ended, recorded.usage)
    last = recorded.model_copy(
        update={
            "usage": used,
            "training_start_time": started,
            "end_time": now,
            "cause": ended.ending.cause,
            "counted": _is_counted(ended.ending),
            "exit_code": training.exit_code if training is not None else recorded.exit_code,
            "message": clip(message, MAX_ATTEMPT_MESSAGE),
            "logs": f"{_prefix(ended.attempt, uri)}logs/" if uri and started else None,
        }
    )
    return status.model_copy(
        update={
            "start_time": started if is_first else status.start_time,
            "attempts": [*status.attempts[:-1], last],
            "usage": usage.total(status.usage, recorded.usage, used),
        }
    )


def _used(ended: End, before: UsageStatus | None) -> UsageStatus | None:
    manifest = ended.reading.manifest
    if manifest is not None:
        return usage.of_report(usage.together([manifest.training, *manifest.workers]), before)
    several = len(ended.attempt.workers) > 1
    return before if several and before is not None else usage.of_report(ended.training, before)


def _prefix(attempt: Attempt, uri: str) -> str:
    worker = attempt.failed_worker
    place = f"{uri}attempts/{attempt.recorded.number}/"
    return f"{place}workers/{worker}/" if worker else place


def _is_counted(ending: Ending) -> bool | None:
    if ending.cause in ("Succeeded", "Cancelled"):
        return None
    return ending.cause not in DISRUPTIONS | {"Suspended"}


def _end_run(run: TrainingRun, ended: End, status: TrainingRunStatus, message: str, now: datetime) -> Step:
    cause = ended.ending.cause
    where: RunPhase = "Failed"
    if cause in ("Succeeded", "Cancelled"):
        where = "Succeeded" if cause == "Succeeded" else "Cancelled"
    failure = ended.attempt.failure(ended.ending, clip(message)) if where == "Failed" else None
    status = at(status, where, cause, message).model_copy(update={"completion_time": now, "failure": failure})
    manifest, digest = ended.reading.manifest, ended.reading.digest
    if where == "Succeeded" and manifest is not None:
        status = _with_manifest(run, status, manifest, digest)
    deletes = stop_deletes(ended.attempt) if run.spec.cancel else ()
    trained = status.attempts[-1].training_start_time is not None
    tracked = tracking.at_the_end(run, status, ended.attempt.report, trained=trained)
    return Step(status, delete_jobs=deletes, tracked=tuple(tracked), warn=where == "Failed")


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
            "objective": objective.clean(manifest.objective) if manifest.objective else status.objective,
            "warnings": live.clean_warnings(manifest.warnings),
            "checkpoint": checkpoints.clean(manifest.checkpoint)
            if manifest.checkpoint
            else status.checkpoint,
            "attempts": [*status.attempts[:-1], checkpoints.resumed(status.attempts[-1], manifest)],
            "resolved": resolved.model_copy(update={"commit": manifest.commit or resolved.commit}),
            "model": model,
        }
    )


def stop_deletes(attempt: Attempt) -> tuple[tuple[str, str], ...]:
    """Give the Job to delete, (name, uid), so that its pod ends, with time to upload what it has."""
    job = attempt.job
    if job is None or job.gone or job.deleting:
        return ()
    return ((job.name, job.uid),)
