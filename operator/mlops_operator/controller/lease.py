"""One active operator: a Lease, renewed every two seconds, and a fence that closes when it was not.

Three moments matter:

- A leader that ends in order releases the Lease: the next one leads at once.
- A leader that is killed and started again in the same pod has the same identity: a container of a pod never runs
  twice at a time, so it goes on with its Lease.
- A leader whose pod is gone from the API server is followed after ``ABANDONED_SECONDS`` without a renewal. That is
  safe because a leader acts only for ``FENCE_SECONDS``, which is less, after a renewal it is certain of: even one that
  outlived its forced deletion has stopped writing by then. A Lease of any other holder is waited for to the end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from mlops_operator.controller.kube import LEASES, PODS, Resource
from mlops_operator.controller.transport import AlreadyExists, Conflict, KubeError, NotFound, Object

log = logging.getLogger(__name__)

RENEW_SECONDS: Final = 2.0
RELEASES: Final = 3
DURATION_SECONDS: Final = 15
FENCE_SECONDS: Final = 4.0
ABANDONED_SECONDS: Final = 6.0
# Longer than the Lease lasts: the fence is closed meanwhile, and whoever took it shows by a conflict. So an API server
# that is away for a moment ends nobody.
GIVE_UP_SECONDS: Final = 60.0


class LeaseCalls(Protocol):
    """The calls of ``kube.Kube`` that the election makes."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...
    async def post(self, resource: Resource, namespace: str, body: Object) -> Object: ...
    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object: ...


@dataclass(frozen=True)
class Identity:
    """Who stands for election. ``pod_uid`` is None outside of a cluster."""

    name: str
    pod_uid: str | None = None

    def __str__(self) -> str:
        return f"{self.name}_{self.pod_uid}" if self.pod_uid else self.name


class LeaseLostError(RuntimeError):
    """Another one leads, or this one cannot be certain that it does: the process must end."""


@dataclass
class _Seen:
    """The Lease of somebody else as it was last seen to change, by our own clock: clocks of machines differ."""

    version: str
    at: float = field(compare=False)


class Election:
    """Becomes the leader, stays it, and says for how long that is certain."""

    def __init__(
        self,
        kube: LeaseCalls,
        namespace: str,
        name: str,
        identity: Identity,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._sleep = sleep
        self._lease: Object | None = None
        self._seen: _Seen | None = None
        self._certain_since: float | None = None

    @property
    def leading(self) -> bool:
        return self._certain_since is not None

    def certain(self) -> bool:
        """Say whether this process leads and nobody else can: what it writes now is its own to write."""
        return self._certain_since is not None and self._clock() - self._certain_since < FENCE_SECONDS

    async def hold(self) -> None:
        """Wait while the last renewal is too long ago (see ``execute.Fence``)."""
        while not self.certain():
            if not self.leading:
                raise LeaseLostError("this process does not lead")
            await self._sleep(0.05)

    async def acquire(self, ready: asyncio.Event) -> None:
        """Watch the Lease, and take it once it is free and this process is ready to work."""
        while True:
            started = self._clock()
            try:
                if await self._is_free() and ready.is_set():
                    await self._take()
                    self._certain_since = started
                    log.info("leading as %s", self._identity)
                    return
            except (Conflict, AlreadyExists):
                log.info("another one was faster")
            except KubeError as error:
                log.warning("the Lease was not read: %s", error)
            await self._sleep(0.25 if self._free_soon() else 0.5)

    async def keep(self) -> None:
        """Renew until cancelled.

        Raises
        ------
        LeaseLostError
            Another one took it, or it was not renewed for a minute.
        """
        while True:
            await self._sleep(RENEW_SECONDS)
            started = self._clock()
            try:
                await self._renew()
                self._certain_since = started
            except Conflict as error:
                await self._check_still_ours(error)
            except NotFound as error:
                raise self._lost(f"the Lease was deleted: {error}") from error
            except KubeError as error:
                since = self._certain_since or 0.0
                if self._clock() - since > GIVE_UP_SECONDS:
                    raise self._lost(f"the Lease was not renewed for {GIVE_UP_SECONDS} s: {error}") from error
                log.warning("the Lease was not renewed: %s", error)

    async def release(self) -> None:
        """Give the Lease back, so that the next one need not wait. A failure only costs that wait."""
        if self._lease is None or not self.leading:
            return
        self._certain_since = None
        for _ in range(RELEASES):
            try:
                await self._give_back(self._lease)
            except Conflict:
                # A renewal of our own was on its way: without another try the next one would wait for seconds.
                if not await self._is_still_ours():
                    return
            except KubeError as error:
                log.warning("the Lease was not released: %s", error)
                return
            else:
                log.info("released the Lease")
                return

    async def _give_back(self, lease: Object) -> None:
        spec = lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        await self._kube.replace(LEASES, self._namespace, self._name, lease | {"spec": spec})

    async def _is_still_ours(self) -> bool:
        try:
            self._lease = await self._kube.get(LEASES, self._namespace, self._name)
        except KubeError as error:
            log.warning("the Lease was not released: %s", error)
            return False
        return bool((self._lease.get("spec") or {}).get("holderIdentity") == str(self._identity))

    # --- taking ----------------------------------------------------------------------------------------------

    async def _is_free(self) -> bool:
        try:
            self._lease = await self._kube.get(LEASES, self._namespace, self._name)
        except NotFound:
            self._lease = None
            return True
        spec = self._lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder in {"", str(self._identity)}:
            return True
        version = self._lease["metadata"]["resourceVersion"]
        now = self._clock()
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, now)
            return False
        silent = now - self._seen.at
        if silent >= spec.get("leaseDurationSeconds", DURATION_SECONDS):
            return True
        return silent >= ABANDONED_SECONDS and await self._is_gone(holder)

    def _free_soon(self) -> bool:
        return self._seen is None or self._clock() - self._seen.at > ABANDONED_SECONDS - 1

    async def _is_gone(self, holder: str) -> bool:
        name, _, uid = holder.rpartition("_")
        if not name or self._identity.pod_uid is None:
            return False  # no pods of a cluster: nothing to look up
        try:
            pod = await self._kube.get(PODS, self._namespace, name)
        except NotFound:
            return True
        there: str = pod["metadata"]["uid"]
        return there != uid

    async def _take(self) -> None:
        spec = {
            "holderIdentity": str(self._identity),
            "leaseDurationSeconds": DURATION_SECONDS,
            "acquireTime": _now(),
            "renewTime": _now(),
        }
        if self._lease is None:
            body: Object = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self._name, "namespace": self._namespace},
                "spec": spec | {"leaseTransitions": 0},
            }
            self._lease = await self._kube.post(LEASES, self._namespace, body)
            return
        transitions = (self._lease.get("spec") or {}).get("leaseTransitions", 0) + 1
        body = self._lease | {"spec": spec | {"leaseTransitions": transitions}}
        self._lease = await self._kube.replace(LEASES, self._namespace, self._name, body)

    # --- keeping ---------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        lease = self._lease or {}
        body = lease | {"spec": lease["spec"] | {"renewTime": _now()}}
        self._lease = await self._kube.replace(LEASES, self._namespace, self._name, body)

    async def _check_still_ours(self, conflict: Conflict) -> None:
        """After a conflict: a renewal whose answer was lost, or somebody labelled the Lease; else it is gone."""
        try:
            lease: dict[str, Any] = await self._kube.get(LEASES, self._namespace, self._name)
        except KubeError as error:
            raise self._lost(f"the Lease cannot be read: {error}") from error
        holder = (lease.get("spec") or {}).get("holderIdentity")
        if holder != str(self._identity):
            raise self._lost(f"{holder or 'nobody'} holds the Lease now") from conflict
        self._lease = lease

    def _lost(self, why: str) -> LeaseLostError:
        self._certain_since = None
        return LeaseLostError(why)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
