"""A dataset from nothing to published, tried again after failures, found again in the bucket."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlops_operator.api.trainingdataset import TrainingDataset
from mlops_operator.api.wire import BucketHint, DatasetManifest
from mlops_operator.domain.dataset_plan import plan_dataset
from mlops_operator.domain.effects import (
    CheckWorkspace,
    DatasetManifestRead,
    Effect,
    ItemPublished,
    Outcome,
    PodTried,
    PublishDatasetItem,
    ReadDatasetManifest,
    TryPod,
    WorkspaceReady,
)
from mlops_operator.domain.observed import ObservedDataset
from mlops_operator.domain.plan import Plan
from mlops_operator.domain.views import job_view, pod_view
from mlops_operator.settings import Settings

Object = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=UTC)
DENIED = '{"cause":"StorageDenied","message":"403 for s3://far/"}'


class Desk:
    """Carries plans for one dataset out."""

    def __init__(self) -> None:
        self.now = START
        self.obj: Object = {
            "metadata": {"name": "points", "namespace": "ws-a", "uid": "ds-uid", "generation": 1},
            "spec": {"version": "1", "source": {"s3": {"uri": "s3://ws-a/points/"}}},
        }
        self.jobs: dict[str, Object] = {}
        self.pods: list[Object] = []
        self.outcomes: dict[Effect, Outcome] = {}
        self.in_bucket: set[str] = set()
        self.made: list[str] = []
        self.refusal: str | None = None  # of the snapshot's pod

    def _plan(self) -> Plan:
        observed = ObservedDataset(
            TrainingDataset.from_object(copy.deepcopy(self.obj)),
            {name: job_view(job) for name, job in self.jobs.items()},
            tuple(pod_view(pod) for pod in self.pods),
            dict(self.outcomes),
        )
        return plan_dataset(observed, Settings(), self.now)

    def step(self) -> Plan:
        plan = self._plan()
        if plan.status is not None:
            self.obj["status"] = plan.status
            assert self._plan().status is None, "planning again changes nothing"
        if plan.create_job is not None:
            name = plan.create_job["metadata"]["name"]
            self.jobs[name] = plan.create_job
            plan.create_job["metadata"]["uid"] = f"uid-{name}"
            self.made.append(name)
        for name, _ in plan.delete_jobs:
            del self.jobs[name]
        for effect in plan.effects:
            self.outcomes[effect] = self._outcome(effect)
        return plan

    def steps(self, count: int = 6) -> Plan:
        for _ in range(count):
            plan = self.step()
        return plan

    def _outcome(self, effect: Effect) -> Outcome:
        match effect:
            case CheckWorkspace():
                return WorkspaceReady(self.now, "s", BucketHint(endpoint="http://s3", bucket="ws-a"), "PEM")
            case ReadDatasetManifest():
                manifest = DatasetManifest(
                    name="points",
                    version=effect.version,
                    digest="sha256:d",
                    files=[],
                    size_bytes=7,
                    created_at=START,
                )
                there = effect.version in self.in_bucket
                return DatasetManifestRead(self.now, manifest if there else None, "key", 2)
            case TryPod():
                return PodTried(self.now, self.refusal)
            case PublishDatasetItem():
                return ItemPublished(self.now, f"stac/{effect.version}.json")
        raise AssertionError(effect)

    def end(self, code: int, message: str = "") -> None:
        """Let the pod of the newest Job end."""
        name = self.made[-1]
        state = {"terminated": {"exitCode": code, "message": message}}
        self.pods = [
            {
                "metadata": {"name": "p", "uid": f"pod-{name}", "labels": {"job-name": name}},
                "status": {
                    "phase": "Failed" if code else "Succeeded",
                    "containerStatuses": [{"name": "snapshot", "state": state}],
                },
            }
        ]

    @property
    def status(self) -> Object:
        return self.obj["status"]  # type: ignore[no-any-return]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_version_is_made_and_published(desk: Desk) -> None:
    desk.steps()
    assert desk.made == ["points-snapshot-1"]
    assert desk.status["phase"] == "Snapshotting"
    desk.in_bucket.add("1")
    desk.end(0)
    desk.steps()
    assert desk.status["phase"] == "Ready"
    assert desk.status["current"] == "1"
    assert desk.status["versions"][0]["item"] == "stac/1.json"
    desk.now += timedelta(seconds=1000)
    assert desk.steps().settled
    assert not desk.jobs


def test_a_version_in_the_bucket_needs_no_job(desk: Desk) -> None:
    desk.in_bucket.add("1")
    desk.steps()
    assert desk.status["phase"] == "Ready"
    assert not desk.made


def test_a_failure_is_told_and_tried_again(desk: Desk) -> None:
    desk.steps()
    desk.end(1, DENIED)
    plan = desk.steps()
    assert (desk.status["phase"], desk.status["reason"]) == ("Failed", "StorageDenied")
    assert plan.requeue_after_seconds == 15
    desk.now += timedelta(seconds=16)
    desk.steps()
    assert desk.made == ["points-snapshot-1", "points-snapshot-2"]
    assert list(desk.jobs) == ["points-snapshot-2"]
    desk.end(1, DENIED)
    assert desk.steps().requeue_after_seconds == 30


def test_a_changed_spec_ends_the_pause(desk: Desk) -> None:
    desk.steps()
    desk.end(1, DENIED)
    desk.steps()
    desk.obj["metadata"]["generation"] = 2
    desk.steps()
    assert desk.made[-1] == "points-snapshot-2"
    assert desk.status["observedGeneration"] == 2


def test_a_new_version_keeps_the_old_one(desk: Desk) -> None:
    desk.in_bucket.update("12")
    desk.steps()
    desk.obj["spec"]["version"] = "2"
    desk.obj["metadata"]["generation"] = 2
    desk.steps()
    assert [entry["version"] for entry in desk.status["versions"]] == ["1", "2"]
    assert desk.status["current"] == "2"


def test_a_deleted_job_is_not_made_again_under_its_number(desk: Desk) -> None:
    desk.steps()
    desk.now += timedelta(seconds=10)
    desk.steps()
    desk.jobs.clear()
    desk.steps()
    assert desk.status["reason"] == "Deleted"
    assert desk.made == ["points-snapshot-1"]


def test_a_snapshot_whose_pod_a_quota_refuses_says_so(desk: Desk) -> None:
    desk.refusal = (
        "exceeded quota: q, requested: requests.cpu=50m, used: requests.cpu=1, limited: requests.cpu=1"
    )
    desk.steps()
    assert desk.status["phase"] == "Snapshotting"
    desk.now += timedelta(seconds=10)
    desk.steps()
    assert desk.status["reason"] == "QuotaExceeded"
    assert "requests.cpu: requested 50m, used 1, hard 1" in desk.status["message"]
