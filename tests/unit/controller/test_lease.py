"""The election, on a clock of its own: never two who may act, and no wait that can be spared."""

# ruff: noqa: ARG002, ASYNC110 - fakes have the signatures of what they stand for; the clock is a fake

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mlops_operator.controller.kube import Resource
from mlops_operator.controller.lease import (
    ABANDONED_SECONDS,
    DURATION_SECONDS,
    FENCE_SECONDS,
    Election,
    Identity,
    LeaseLostError,
)
from mlops_operator.controller.transport import Conflict, NotFound, Unavailable

Object = dict[str, Any]
ONE, TWO = Identity("one", "uid-1"), Identity("two", "uid-2")


class Cluster:
    """A Lease with resourceVersions, pods, and a clock that moves while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lease: Object | None = None
        self.pods: dict[str, str] = {"one": "uid-1", "two": "uid-2"}
        self.away = False

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        self._answer()
        if resource.kind == "Pod":
            if name not in self.pods:
                raise NotFound(name, status=404)
            return {"metadata": {"uid": self.pods[name]}}
        if self.lease is None:
            raise NotFound(name, status=404)
        return self.lease

    async def post(self, resource: Resource, namespace: str, body: Object) -> Object:
        self._answer()
        self.lease = body | {"metadata": body["metadata"] | {"resourceVersion": "1"}}
        return self.lease

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        self._answer()
        assert self.lease is not None
        version = self.lease["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict("changed", status=409)
        self.lease = body | {"metadata": body["metadata"] | {"resourceVersion": str(int(version) + 1)}}
        return self.lease

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("away")

    def candidate(self, identity: Identity) -> Election:
        return Election(self, "mlops-system", "mlops-operator", identity, clock=self.clock, sleep=self.sleep)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def ready() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_the_first_leads_at_once(cluster: Cluster, ready: asyncio.Event) -> None:
    one = cluster.candidate(ONE)
    await one.acquire(ready)
    assert one.certain()
    assert cluster.now == 0.0


async def test_nobody_leads_before_it_is_ready(cluster: Cluster) -> None:
    one = cluster.candidate(ONE)
    ready = asyncio.Event()
    task = asyncio.create_task(one.acquire(ready))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not one.leading
    ready.set()
    await task
    assert one.leading


async def test_a_released_lease_is_taken_at_once(cluster: Cluster, ready: asyncio.Event) -> None:
    one, two = cluster.candidate(ONE), cluster.candidate(TWO)
    await one.acquire(ready)
    await one.release()
    assert not one.certain()
    before = cluster.now
    await two.acquire(ready)
    assert cluster.now - before < 1.0


async def test_a_renewal_on_its_way_does_not_keep_the_lease(cluster: Cluster, ready: asyncio.Event) -> None:
    one, two = cluster.candidate(ONE), cluster.candidate(TWO)
    await one.acquire(ready)
    assert cluster.lease is not None
    # The answer to a renewal is not here yet when the process is told to end.
    metadata = cluster.lease["metadata"] | {"resourceVersion": "7"}
    cluster.lease = cluster.lease | {"metadata": metadata}
    await one.release()
    assert cluster.lease["spec"]["holderIdentity"] == ""
    before = cluster.now
    await two.acquire(ready)
    assert cluster.now - before < 1.0


async def test_the_lease_of_another_one_is_not_released(cluster: Cluster, ready: asyncio.Event) -> None:
    one = cluster.candidate(ONE)
    await one.acquire(ready)
    assert cluster.lease is not None
    metadata = cluster.lease["metadata"] | {"resourceVersion": "7"}
    theirs = cluster.lease["spec"] | {"holderIdentity": str(TWO)}
    cluster.lease = cluster.lease | {"metadata": metadata, "spec": theirs}
    await one.release()
    assert cluster.lease["spec"]["holderIdentity"] == str(TWO)


async def test_a_container_that_starts_again_in_its_pod_goes_on(
    cluster: Cluster, ready: asyncio.Event
) -> None:
    await cluster.candidate(ONE).acquire(ready)
    before = cluster.now
    await cluster.candidate(ONE).acquire(ready)
    assert cluster.now - before < 1.0


async def test_a_silent_leader_with_a_pod_is_waited_for_to_the_end(
    cluster: Cluster, ready: asyncio.Event
) -> None:
    await cluster.candidate(ONE).acquire(ready)
    before = cluster.now
    await cluster.candidate(TWO).acquire(ready)
    assert DURATION_SECONDS <= cluster.now - before < DURATION_SECONDS + 2


@pytest.mark.parametrize("there", [None, "uid-other"])
async def test_a_leader_whose_pod_is_gone_is_followed_sooner_but_after_its_fence(
    cluster: Cluster, ready: asyncio.Event, there: str | None
) -> None:
    one, two = cluster.candidate(ONE), cluster.candidate(TWO)
    await one.acquire(ready)
    del cluster.pods["one"]
    if there:
        cluster.pods["one"] = there
    await two.acquire(ready)
    assert not one.certain()
    assert ABANDONED_SECONDS <= cluster.now < ABANDONED_SECONDS + 2
    assert ABANDONED_SECONDS > FENCE_SECONDS + 1


async def test_outside_of_a_cluster_no_pod_is_looked_up(cluster: Cluster, ready: asyncio.Event) -> None:
    await cluster.candidate(Identity("laptop_1")).acquire(ready)
    cluster.pods.clear()
    await cluster.candidate(Identity("laptop_2")).acquire(ready)
    assert cluster.now >= DURATION_SECONDS


async def test_the_fence_closes_without_renewal_and_opens_again(
    cluster: Cluster, ready: asyncio.Event
) -> None:
    one = cluster.candidate(ONE)
    await one.acquire(ready)
    cluster.now += FENCE_SECONDS
    assert not one.certain()
    keeping = asyncio.create_task(one.keep())
    async with asyncio.timeout(5):
        await one.hold()
    assert one.certain()
    keeping.cancel()


async def test_a_leader_that_was_followed_must_end(cluster: Cluster, ready: asyncio.Event) -> None:
    one, two = cluster.candidate(ONE), cluster.candidate(TWO)
    await one.acquire(ready)
    await two.acquire(ready)
    with pytest.raises(LeaseLostError, match="two_uid-2 holds"):
        await one.keep()
    with pytest.raises(LeaseLostError):
        await one.hold()


async def test_a_leader_outlasts_an_api_server_that_is_away_for_a_moment(
    cluster: Cluster, ready: asyncio.Event
) -> None:
    one = cluster.candidate(ONE)
    await one.acquire(ready)
    keeping = asyncio.create_task(one.keep())
    cluster.away = True
    while cluster.now < 30:
        await asyncio.sleep(0)
    assert not one.certain()
    cluster.away = False
    async with asyncio.timeout(5):
        await one.hold()
    cluster.away = True
    with pytest.raises(LeaseLostError, match="not renewed"):
        await keeping
