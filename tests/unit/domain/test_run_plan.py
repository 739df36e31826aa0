"""Plans for runs, by golden files: what was observed, and the plan."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.api.trainingdataset import TrainingDataset
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import BucketHint, ProgressReport
from mlops_operator.domain.effects import (
    CheckpointFound,
    CheckSecret,
    CheckWorkspace,
    Effect,
    Failed,
    FindCheckpoint,
    Outcome,
    PodTried,
    SecretPresent,
    TryPod,
    WorkspaceReady,
)
from mlops_operator.domain.observed import NamespaceView, ObservedRun, Place
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.run_plan import plan_run
from mlops_operator.domain.views import job_view, pod_view
from mlops_operator.settings import Profile, Settings, Zone
from tests.unit.domain import golden

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SETTINGS = Settings.model_validate(
    {
        "accelerator_classes": {
            "gpu-large": {
                "resource": "nvidia.com/gpu",
                "node_selector": {"gpu": "a100"},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            }
        },
        "ca_bundle": "-----BEGIN CERTIFICATE-----",
        "proxy": {"https": "http://proxy:3128"},
        "image_pull_policy": "IfNotPresent",
    }
)
ZONES = SETTINGS.model_copy(
    update={
        "profiles": {"gpu-small": Profile.model_validate({"accelerator": {"class": "gpu-large"}})},
        "zones": {"development": Zone(max_resources={"cpu": 4}, max_concurrent_runs=2)},
    }
)
NAMESPACE = "ws-alice"


def outcomes(content: dict[str, Any]) -> dict[Effect, Outcome]:
    """Read the short form of outcomes in a golden file."""
    hint = BucketHint(endpoint="http://s3", bucket=NAMESPACE)
    found: dict[Effect, Outcome] = {}
    if "workspace" in content:
        failed = content["workspace"]
        found[CheckWorkspace(NAMESPACE)] = (
            Failed(NOW, **failed) if failed else WorkspaceReady(NOW, "ws-alice-datalab", hint, "PEM")
        )
    for name, uid in content.get("checkpoints", {}).items():
        found[FindCheckpoint(NAMESPACE, name, "0a1b2c3d-1")] = CheckpointFound(NOW, uid)
    if "podTried" in content:
        found[TryPod(NAMESPACE, "wine-1")] = PodTried(NOW, content["podTried"])
    for name, keys in content.get("secrets", {}).items():
        found[CheckSecret(NAMESPACE, name, tuple(keys))] = SecretPresent(NOW, name)
    return found


def observed(content: dict[str, Any]) -> ObservedRun:
    """Read an observation of a golden file."""
    meta = {"name": "wine", "namespace": NAMESPACE, "uid": "0a1b2c3d-1", "generation": 1}
    run = content["run"]
    datasets = [TrainingDataset.from_object(dataset) for dataset in content.get("datasets", [])]
    return ObservedRun(
        run=TrainingRun.from_object({**run, "metadata": {**meta, **run.get("metadata", {})}}),
        jobs={job["metadata"]["name"]: job_view(job) for job in content.get("jobs", [])},
        pods=tuple(pod_view(pod) for pod in content.get("pods", [])),
        datasets={dataset.metadata.name: dataset for dataset in datasets},
        progress=ProgressReport.model_validate(content["progress"]) if "progress" in content else None,
        outcomes=outcomes(content.get("outcomes", {})),
        namespace=NamespaceView(content["zone"]) if "zone" in content else None,
        place=Place(**content["place"]) if "place" in content else None,
    )


def as_object(plan: Plan) -> dict[str, Any]:
    """Give a plan for a golden file; the effects by their representation."""
    return {
        "status": plan.status,
        "createJob": plan.create_job,
        "deleteJobs": [list(entry) for entry in plan.delete_jobs],
        "effects": [repr(effect) for effect in plan.effects],
        "events": [repr(event) for event in plan.events],
        "live": plan.live,
        "requeueAfterSeconds": plan.requeue_after_seconds,
    }


@pytest.mark.parametrize("name", golden.cases("run-"))
def test_golden(name: str) -> None:
    def compute(content: dict[str, Any]) -> dict[str, Any]:
        settings = ZONES if "zone" in content else SETTINGS
        return as_object(plan_run(observed(content), settings, NOW))

    golden.check(name, compute)
