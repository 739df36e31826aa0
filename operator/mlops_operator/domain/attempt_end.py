"""How an attempt's end is recorded, and the run's with it."""

from __future__ import annotations

from datetime import datetime

from mlops_operator.api.trainingrun import (
    ResolvedStatus,
    RunModelStatus,
    RunPhase,
    RunStorageStatus,
    TrainingRun,
    TrainingRunStatus,
)
from mlops_operator.api.wire import RunManifest
from mlops_operator.domain import checkpoints, live, objective, tracking, usage
from mlops_operator.domain.attempt import Attempt
from mlops_operator.domain.conditions import clip
from mlops_operator.domain.manifest_reading import Reading
from mlops_operator.domain.messages import of_ending
from mlops_operator.domain.outcome import Ending
from mlops_operator.domain.step import Step, at
from mlops_operator.domain.times import whole_second
from mlops_operator.settings import Settings


def end(
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
    if where == "Succeeded" and training is not None and training.early_stopped:
        best = reading.manifest.objective if reading.manifest is not None else None
        message = clip(objective.stopped_early(run, best or status.objective))
    started = whole_second(training.start_time) if training is not None else status.start_time
    uri = status.storage.uri if status.storage is not None else None
    used = usage.of_report(training, status.attempts[-1].usage)
    last = status.attempts[-1].model_copy(
        update={
            "usage": used,
            "training_start_time": started,
            "end_time": now,
            "cause": ended.cause,
            "logs": f"{uri}attempts/{attempt.recorded.number}/logs/" if uri and started else None,
        }
    )
    status = at(status, where, ended.cause, message).model_copy(
        update={
            "start_time": started,
            "completion_time": now,
            "attempts": [*status.attempts[:-1], last],
            "usage": usage.total(status.usage, status.attempts[-1].usage, used),
            "failure": attempt.failure(ended, message) if where == "Failed" else None,
        }
    )
    if where == "Succeeded" and reading.manifest is not None:
        status = _with_manifest(run, status, reading.manifest, reading.digest)
    tracked = tracking.at_the_end(run, status, attempt.report, trained=started is not None)
    return Step(
        status, delete_jobs=cancel_deletes(run, attempt), tracked=tuple(tracked), warn=where == "Failed"
    )


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


def cancel_deletes(run: TrainingRun, attempt: Attempt) -> tuple[tuple[str, str], ...]:
    job = attempt.job
    if not run.spec.cancel or job is None or job.gone or job.deleting:
        return ()
    return ((job.name, job.uid),)


def cancelled_unstarted(run: TrainingRun, now: datetime) -> Step:
    message = "The run was cancelled (spec.cancel) before it had a Job."
    status = at(run.status, "Cancelled", "Cancelled", message)
    attempts = [
        entry.model_copy(update={"end_time": now, "cause": "Cancelled"}) for entry in run.status.attempts
    ]
    return Step(status.model_copy(update={"completion_time": now, "attempts": attempts}))
