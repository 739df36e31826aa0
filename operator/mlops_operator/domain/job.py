"""The Job of an attempt: made once, tried once, kept until its retention is over."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_operator.api.base import ObjectMeta
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import StagedDataset
from mlops_operator.domain.distributed import index_job
from mlops_operator.domain.effects import WorkspaceReady
from mlops_operator.domain.naming import job_name, owner_labels, owner_reference
from mlops_operator.domain.plan import Object
from mlops_operator.domain.pod import DatasetSecret, pod_spec
from mlops_operator.settings import Settings


def job(kind: str, owner: ObjectMeta, *, name: str, number: int, pod: Object) -> Object:
    """Give a Job that is tried once: what follows a failure is decided by its owner."""
    labels = owner_labels(kind, owner, number)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(kind, owner)],
        },
        "spec": {
            "backoffLimit": 0,
            # A pod that was deleted is never replaced while it still ends.
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def run_job(
    run: TrainingRun,
    attempt: int,
    *,
    workspace: WorkspaceReady,
    datasets: Sequence[StagedDataset],
    secrets: Sequence[DatasetSecret],
    settings: Settings,
) -> Object:
    """Give the Job of a run's attempt."""
    pod = pod_spec(run, attempt, workspace=workspace, datasets=datasets, secrets=secrets, settings=settings)
    name = job_name(run.metadata.name, attempt)
    return index_job(job("TrainingRun", run.metadata, name=name, number=attempt, pod=pod), run)
