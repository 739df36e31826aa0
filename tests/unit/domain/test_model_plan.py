"""A version of a model: waits for its run, is claimed, stored, published; and published again when it is described anew."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.api.modelversion import ModelVersion
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import RunIdentity, RunManifest, TrainingExit
from mlops_operator.domain.effects import (
    ClaimVersion,
    Effect,
    Failed,
    ItemPublished,
    ModelStored,
    Outcome,
    PublishModelItem,
    ReadRunManifest,
    RunManifestRead,
    StoreModel,
    VersionClaimed,
)
from mlops_operator.domain.model_plan import plan_model
from mlops_operator.domain.observed import ObservedModel
from mlops_operator.domain.plan import Plan
from mlops_operator.settings import Settings

Object = dict[str, Any]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MANIFEST = RunManifest(
    run=RunIdentity(name="maker", namespace="ws-a", uid="run-uid"),
    training=TrainingExit(exit_code=0, start_time=NOW, end_time=NOW),
    files=[],
    commit="c" * 40,
    created_at=NOW,
)


class Desk:
    """Carries plans for one version out."""

    def __init__(self, uid: str | None = None, phase: str | None = "Succeeded") -> None:
        source = {"name": "maker", **({"uid": uid} if uid else {})}
        self.obj: Object = {
            "metadata": {"name": "wine.1", "namespace": "ws-a", "uid": "mv", "generation": 1},
            "spec": {"model": "wine", "source": {"trainingRun": source}},
        }
        run: Object = {
            "metadata": {"name": "maker", "namespace": "ws-a", "uid": "run-uid"},
            "spec": {"image": "x", "command": ["y"]},
            "status": {"phase": phase, "message": "It is so.", "attempts": [{"number": 1}]},
        }
        self.run: TrainingRun | None = TrainingRun.from_object(run)
        self.outcomes: dict[Effect, Outcome] = {}
        self.taken = False

    def _plan(self) -> Plan:
        version = ModelVersion.from_object(copy.deepcopy(self.obj))
        return plan_model(ObservedModel(version, self.run, dict(self.outcomes)), Settings(), NOW)

    def steps(self, count: int = 6) -> Plan:
        for _ in range(count):
            plan = self._plan()
            if plan.status is not None:
                self.obj["status"] = plan.status
                assert self._plan().status is None, "planning again changes nothing"
            for effect in plan.effects:
                self.outcomes[effect] = self._outcome(effect)
        return plan

    def _outcome(self, effect: Effect) -> Outcome:
        match effect:
            case ClaimVersion():
                if self.taken:
                    return Failed(NOW, "VersionTaken", "Version 1.2.0 of wine is taken.", transient=False)
                return VersionClaimed(NOW, "1")
            case StoreModel():
                return ModelStored(NOW, "s3://ws-a/mlops/models/wine/1/", "sha256:d", 3, (), MANIFEST)
            case ReadRunManifest():
                return RunManifestRead(NOW, MANIFEST, "sha256:m", files_verified=True)
            case PublishModelItem():
                return ItemPublished(NOW, "stac/wine.1.json")
        raise AssertionError(effect)

    @property
    def status(self) -> Object:
        return self.obj["status"]  # type: ignore[no-any-return]


def test_stored_and_published() -> None:
    desk = Desk()
    assert desk.steps().settled
    assert desk.status["phase"] == "Ready"
    assert (desk.status["version"], desk.status["item"]) == ("1", "stac/wine.1.json")
    assert desk.status["lineage"]["trainingRunUID"] == "run-uid"
    conditions = {c["type"]: c["status"] for c in desk.status["conditions"]}
    assert conditions == dict.fromkeys(("Stored", "Verified", "Published", "Ready"), "True") | {
        "Reconciling": "False"
    }


def test_described_anew() -> None:
    desk = Desk()
    desk.steps()
    desk.obj["metadata"]["generation"] = 2
    desk.obj["spec"]["metadata"] = {"description": "Better."}
    desk.steps(1)
    assert desk.status["observedGeneration"] == 1
    desk.steps()
    assert desk.status["observedGeneration"] == 2
    assert [e.metadata_json for e in desk.outcomes if isinstance(e, PublishModelItem)][-1].count(
        "Better."
    ) == 1


def test_waits_for_its_run() -> None:
    desk = Desk(phase="Running")
    desk.steps()
    assert (desk.status["phase"], desk.status["reason"]) == ("Pending", "RunNotReady")


def test_fails_with_its_run() -> None:
    desk = Desk(phase="Failed")
    assert desk.steps().settled
    assert (desk.status["phase"], desk.status["reason"]) == ("Failed", "NoModelProduced")
    desk.run = None
    assert desk.steps().status is None, "what failed stays so"


def test_a_taken_version_fails() -> None:
    desk = Desk()
    desk.taken = True
    desk.steps()
    assert desk.status["phase"] == "Failed"
    assert "1.2.0" in desk.status["message"]


@pytest.mark.parametrize(("uid", "phase"), [("run-uid", "Ready"), (None, "Pending")])
def test_a_run_that_is_gone_is_found_in_the_bucket_by_its_uid(uid: str | None, phase: str) -> None:
    desk = Desk(uid)
    desk.run = None
    desk.steps()
    assert desk.status["phase"] == phase
