"""Where a run's checkpoints are, and how its agents keep them."""

from __future__ import annotations

from posixpath import join, normpath

from mlops_operator.api.checkpoints import CheckpointStatus, ResolvedResume
from mlops_operator.api.trainingrun import AttemptStatus, TrainingRun, TrainingRunSpec
from mlops_operator.api.wire import (
    CHECKPOINT_DIR,
    CODE_DIR,
    CheckpointsOrder,
    ProgressReport,
    ResumeOrder,
    RunManifest,
)
from mlops_operator.domain.conditions import clip
from mlops_operator.domain.times import whole_second

MAX_TEXTS = 8
MAX_TEXT = 512
MAX_INTEGER = 2**53


def folder(spec: TrainingRunSpec) -> str:
    """Give the checkpoint folder in the pod, absolute."""
    path = spec.checkpoints.path
    return CHECKPOINT_DIR if path is None else normpath(join(spec.working_dir or CODE_DIR, path))


def order(run: TrainingRun, resume_from: ResolvedResume | None) -> CheckpointsOrder:
    """Build the order for stage-in and sidecar."""
    spec = run.spec.checkpoints
    source = None
    if resume_from is not None:
        source = ResumeOrder(
            name=resume_from.training_run, namespace=run.metadata.namespace, uid=resume_from.uid
        )
    return CheckpointsOrder(
        folder=folder(run.spec),
        interval_seconds=spec.sync_interval_seconds,
        keep=spec.keep,
        markers=spec.complete_markers,
        resume=spec.resume,
        resume_from=source,
    )


def resumed(attempt: AttemptStatus, said: ProgressReport | RunManifest) -> AttemptStatus:
    """Give the attempt with what its agent told of the checkpoint that it went on from."""
    return attempt.model_copy(
        update={
            "resumed_from": said.resumed or attempt.resumed_from,
            "skipped_checkpoints": texts(said.skipped_checkpoints) or attempt.skipped_checkpoints,
        }
    )


def texts(said: list[str]) -> list[str]:
    """Give sentences of an agent as the status takes them."""
    return [clip(text, MAX_TEXT) for text in said[:MAX_TEXTS]]


def clean(status: CheckpointStatus) -> CheckpointStatus:
    """Give what an agent said of a checkpoint as every JSON reader takes it."""
    step = status.step if status.step is not None and abs(status.step) <= MAX_INTEGER else None
    return status.model_copy(
        update={
            "step": step,
            "size_bytes": min(max(status.size_bytes, 0), MAX_INTEGER),
            "time": whole_second(status.time),
        }
    )
