"""The executor: a Job only after the write that records it, and never a second one."""

# ruff: noqa: ARG002 - fakes have the signatures of what they stand for

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.controller.execute import LIVE_SECONDS, Executor, OrderError
from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import Resource
from mlops_operator.controller.store import Parent, Store
from mlops_operator.controller.transport import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unavailable,
)
from mlops_operator.domain.effects import Create
from mlops_operator.domain.plan import Event, Plan
from tests.unit.controller import objects

Object = dict[str, Any]
JOB: Object = {"metadata": {"name": "wine-1"}}
SERVICE: Object = {"metadata": {"name": "wine-1"}}
OUR_SERVICE: Object = {"metadata": {"name": "wine-1", "uid": "s", "ownerReferences": [{"uid": "uid-wine"}]}}
STATUS: Object = {"phase": "Pending", "observedGeneration": 1, "attempts": [{"number": 1}]}


class FakeKube:
    """Notes the calls, and fails the one that it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, Exception] = {}
        self.there: Object = objects.job()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail:
            raise self.fail[name]

    async def write_status(
        self, resource: Resource, namespace: str, name: str, version: str, status: Object
    ) -> str:
        self._call("status")
        return str(int(version) + 1)

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        self._call(f"create {resource.kind}")
        metadata: Object = objects.job()["metadata"]
        return metadata

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._call("get")
        return self.there

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self._call(f"delete {resource.kind} {name} {uid}")

    async def delete_self(
        self, resource: Resource, namespace: str, name: str, uid: str, resource_version: str
    ) -> None:
        self._call(f"delete {resource.kind} {name} {uid} at {resource_version}")


class Harness:
    """An executor with everything around it faked; also recorder, fence and refusals."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.store = Store()
        self.store.put("TrainingRun", objects.run())
        self.woken: list[Key] = []
        self.events: list[str] = []
        self.refusals: dict[Create, str] = {}
        self.now = 0.0
        self.executor = Executor(
            self.kube, self.store, self, self, self, wake=self.woken.append, clock=lambda: self.now
        )

    @property
    def parent(self) -> Parent:
        found = self.store.parent(Key("TrainingRun", "ws-a", "wine"))
        assert found is not None
        return found

    async def record(self, parent: Parent, event: Event) -> None:
        self.events.append(event.reason)

    async def hold(self) -> None:
        self.kube.calls.append("fence")

    def refused(self, key: Key, create: Create, cause: str, message: str) -> None:
        self.refusals[create] = f"{cause}: {message}"

    def accepted(self, create: Create) -> None:
        self.refusals.pop(create, None)


@pytest.fixture
def harness() -> Harness:
    return Harness()


async def test_status_then_job_each_behind_the_fence(harness: Harness) -> None:
    done = await harness.executor.execute(harness.parent, Plan(status=STATUS, create_job=JOB))
    assert done.complete
    assert harness.kube.calls == ["fence", "status", "fence", "create Job"]
    assert harness.store.jobs("ws-a", "uid-wine")["wine-1"].uid == "uid-job"
    assert set(harness.woken) == {harness.parent.key}


async def test_no_job_without_the_status_that_records_it(harness: Harness) -> None:
    with pytest.raises(OrderError):
        await harness.executor.execute(harness.parent, Plan(create_job=JOB))
    assert harness.kube.calls == []


@pytest.mark.parametrize("error", [Conflict("stale", status=409), NotFound("deleted", status=404)])
async def test_a_stale_view_makes_nothing(harness: Harness, error: Exception) -> None:
    harness.kube.fail["status"] = error
    plan = Plan(
        status=STATUS, create_job=JOB, delete_jobs=(("old", "uid-old"),), events=(Event("Normal", "E", ""),)
    )
    done = await harness.executor.execute(harness.parent, plan)
    assert not done.complete
    assert done.again_after_seconds is not None
    assert harness.kube.calls == ["fence", "status"]
    assert harness.events == []


async def test_a_failed_status_write_makes_nothing(harness: Harness) -> None:
    harness.kube.fail["status"] = Unavailable("timeout")
    with pytest.raises(Unavailable):
        await harness.executor.execute(harness.parent, Plan(status=STATUS, create_job=JOB))
    assert "create Job" not in harness.kube.calls


async def test_our_job_of_an_earlier_try_is_taken_in(harness: Harness) -> None:
    harness.kube.fail["create Job"] = AlreadyExists("there", status=409)
    await harness.executor.execute(harness.parent, Plan(status=STATUS, create_job=JOB))
    assert harness.store.jobs("ws-a", "uid-wine")["wine-1"].uid == "uid-job"
    assert harness.store.foreign_job("ws-a", "wine-1") is None


async def test_somebody_elses_job_is_seen_and_left_alone(harness: Harness) -> None:
    harness.kube.fail["create Job"] = AlreadyExists("there", status=409)
    harness.kube.there = objects.job(owner_uid="uid-other")
    await harness.executor.execute(harness.parent, Plan(status=STATUS, create_job=JOB))
    assert harness.store.jobs("ws-a", "uid-wine") == {}
    foreign = harness.store.foreign_job("ws-a", "wine-1")
    assert foreign is not None
    assert foreign.owner_uid == "uid-other"
    harness.kube.fail["get"] = NotFound("gone", status=404)
    await harness.executor.look_again("ws-a", "wine-1")
    assert harness.store.foreign_job("ws-a", "wine-1") is None


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Forbidden("exceeded quota: compute", status=403), "QuotaExceeded"),
        (Forbidden('cannot create resource "jobs" in API group "batch"', status=403), "NotPermitted"),
        (Forbidden("admission webhook denied the request", status=403), "NotPermitted"),
        (Invalid("spec.template: wrong", status=422), "Invalid"),
    ],
)
async def test_a_refusal_is_kept_for_the_next_plan(harness: Harness, error: Exception, cause: str) -> None:
    harness.kube.fail["create Job"] = error
    await harness.executor.execute(harness.parent, Plan(status=STATUS, create_job=JOB))
    create = Create("ws-a", "Job", "wine-1")
    assert harness.refusals[create].startswith(cause)
    if "cannot create" in str(error):
        assert "kubectl -n ws-a apply" in harness.refusals[create]
    assert harness.woken
    del harness.kube.fail["create Job"]
    await harness.executor.execute(harness.parent, Plan(status=STATUS, create_job=JOB))
    assert harness.refusals == {}


async def test_live_figures_are_written_once_in_ten_seconds(harness: Harness) -> None:
    live = Plan(status=STATUS, live=True, requeue_after_seconds=60.0)
    await harness.executor.execute(harness.parent, live)
    harness.now = 4.0
    done = await harness.executor.execute(harness.parent, live)
    assert harness.kube.calls.count("status") == 1
    assert done.again_after_seconds == LIVE_SECONDS - 4.0
    await harness.executor.execute(harness.parent, Plan(status=STATUS))
    assert harness.kube.calls.count("status") == 2
    harness.now = 14.0
    await harness.executor.execute(harness.parent, live)
    assert harness.kube.calls.count("status") == 3


async def test_a_job_that_is_gone_already_is_deleted_without_an_error(harness: Harness) -> None:
    harness.kube.fail["delete Job wine-1 uid-job"] = Conflict("another uid", status=409)
    done = await harness.executor.execute(harness.parent, Plan(delete_jobs=(("wine-1", "uid-job"),)))
    assert done.complete


async def test_a_model_version_that_is_there_is_fine(harness: Harness) -> None:
    harness.kube.fail["create ModelVersion"] = AlreadyExists("there", status=409)
    done = await harness.executor.execute(
        harness.parent, Plan(create_model_version={"metadata": {"name": "m.1"}})
    )
    assert done.complete


async def test_a_run_is_deleted_only_as_it_was_seen(harness: Harness) -> None:
    await harness.executor.execute(harness.parent, Plan(delete_self=True))
    assert harness.kube.calls == ["fence", "delete TrainingRun wine uid-wine at 1"]


@pytest.mark.parametrize(
    "error", [Conflict("changed", status=409), NotFound("gone", status=404), Forbidden("no", status=403)]
)
async def test_a_run_that_is_not_deleted_disturbs_nothing(harness: Harness, error: Exception) -> None:
    harness.kube.fail["delete TrainingRun wine uid-wine at 1"] = error
    done = await harness.executor.execute(harness.parent, Plan(delete_self=True, requeue_after_seconds=60))
    assert (done.complete, done.again_after_seconds) == (True, 60)


# --- the Service of several workers --------------------------------------------------------------------------------


async def test_the_service_comes_before_the_job(harness: Harness) -> None:
    plan = Plan(status=STATUS, create_service=SERVICE, create_job=JOB)
    await harness.executor.execute(harness.parent, plan)
    assert [c for c in harness.kube.calls if c != "fence"] == ["status", "create Service", "create Job"]


async def test_a_service_of_an_earlier_try_is_ours(harness: Harness) -> None:
    harness.kube.fail["create Service"] = AlreadyExists("there", status=409)
    harness.kube.there = OUR_SERVICE
    plan = Plan(status=STATUS, create_service=SERVICE, create_job=JOB)
    await harness.executor.execute(harness.parent, plan)
    assert "create Job" in harness.kube.calls
    assert harness.refusals == {}


async def test_no_job_beside_the_service_of_somebody_else(harness: Harness) -> None:
    harness.kube.fail["create Service"] = AlreadyExists("there", status=409)
    harness.kube.there = {"metadata": {"name": "wine-1", "uid": "s"}}
    plan = Plan(status=STATUS, create_service=SERVICE, create_job=JOB)
    await harness.executor.execute(harness.parent, plan)
    assert "create Job" not in harness.kube.calls
    said = harness.refusals[Create("ws-a", "Service", "wine-1")]
    assert said.startswith("ServiceNameTaken: Service wine-1 exists already")
    assert "kubectl -n ws-a delete service wine-1" in said
    assert harness.woken


async def test_no_job_without_its_service(harness: Harness) -> None:
    harness.kube.fail["create Service"] = Forbidden("cannot create resource", status=403)
    await harness.executor.execute(
        harness.parent, Plan(status=STATUS, create_service=SERVICE, create_job=JOB)
    )
    assert "create Job" not in harness.kube.calls
    assert "NotPermitted" in harness.refusals[Create("ws-a", "Service", "wine-1")]


async def test_a_service_goes_with_its_job(harness: Harness) -> None:
    plan = Plan(delete_jobs=(("wine-1", "uid-job"),), delete_services=("wine-1",))
    harness.kube.there = OUR_SERVICE
    await harness.executor.execute(harness.parent, plan)
    assert [c for c in harness.kube.calls if c != "fence"] == [
        "get",
        "delete Service wine-1 s",
        "delete Job wine-1 uid-job",
    ]


@pytest.mark.parametrize("there", [None, {"metadata": {"name": "wine-1", "uid": "s"}}])
async def test_only_our_service_is_deleted(harness: Harness, there: Object | None) -> None:
    if there is None:
        harness.kube.fail["get"] = NotFound("gone", status=404)
    else:
        harness.kube.there = there
    plan = Plan(delete_jobs=(("wine-1", "uid-job"),), delete_services=("wine-1",))
    await harness.executor.execute(harness.parent, plan)
    assert [c for c in harness.kube.calls if c.startswith("delete")] == ["delete Job wine-1 uid-job"]
