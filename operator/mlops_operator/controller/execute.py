"""Carries out a plan, in the order that makes it safe to be killed between any two calls."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mlops_operator.controller.keys import Key
from mlops_operator.controller.kube import JOBS, MODEL_VERSIONS, PARENTS, SERVICES, Resource
from mlops_operator.controller.store import Parent, Store
from mlops_operator.controller.transport import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    Object,
)
from mlops_operator.controller.views import job_view
from mlops_operator.domain import denials
from mlops_operator.domain.effects import Create
from mlops_operator.domain.plan import Event, Plan

log = logging.getLogger(__name__)

LIVE_SECONDS: Final = 10.0
CONFLICT_SECONDS: Final = 1.0


class Writes(Protocol):
    """The calls of ``kube.Kube`` that carry out plans."""

    async def write_status(
        self, resource: Resource, namespace: str, name: str, resource_version: str, status: Object
    ) -> str: ...
    async def create(self, resource: Resource, namespace: str, body: Object) -> Object: ...
    async def get(self, resource: Resource, namespace: str, name: str) -> Object: ...
    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None: ...
    async def delete_self(
        self, resource: Resource, namespace: str, name: str, uid: str, resource_version: str
    ) -> None: ...


class Recorder(Protocol):
    async def record(self, parent: Parent, event: Event) -> None: ...


class Fence(Protocol):
    """Says whether this process may still act."""

    async def hold(self) -> None:
        """Return at once while this process leads for certain; else wait until it does again."""


class Refusals(Protocol):
    """Keeps what the API server said to a POST, for the next plan (see ``domain.effects.Create``)."""

    def refused(self, key: Key, create: Create, cause: str, message: str) -> None: ...
    def accepted(self, create: Create) -> None: ...


class OrderError(RuntimeError):
    """A plan asks for a Job without the status that records it."""


@dataclass(frozen=True)
class Done:
    """What became of a plan.

    Attributes
    ----------
    complete
        Everything was carried out, so that the effects may be started.
    again_after_seconds
        When to look again; None: by events alone.
    """

    complete: bool
    again_after_seconds: float | None = None


class Executor:
    """Writes to the API server, and into the store at once what was written."""

    def __init__(
        self,
        kube: Writes,
        store: Store,
        events: Recorder,
        fence: Fence,
        refusals: Refusals,
        *,
        wake: Callable[[Key], None],
        count_status_write: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._store = store
        self._events = events
        self._fence = fence
        self._refusals = refusals
        self._wake = wake
        self._count = count_status_write
        self._clock = clock
        self._written_at: dict[Key, float] = {}

    async def execute(self, parent: Parent, plan: Plan) -> Done:
        """Carry out a plan made from this very state of the resource.

        Raises
        ------
        OrderError
            The plan would make a Job that no status records.
        KubeError
            A call failed; what follows it was not done, and the next plan sees what was.
        """
        if plan.create_job is not None and plan.status is None:
            raise OrderError(f"{parent.key}: a Job is made only after the status that records it")
        again = plan.requeue_after_seconds
        if plan.status is not None:
            wait = self._live_wait(parent.key) if plan.live and plan.create_job is None else 0.0
            if wait > 0:
                again = min(wait, again if again is not None else wait)
            elif not await self._write_status(parent, plan.status):
                return Done(complete=False, again_after_seconds=CONFLICT_SECONDS)
        await self._change_children(parent, plan)
        for event in plan.events:
            await self._events.record(parent, event)
        return Done(complete=True, again_after_seconds=again)

    def forget(self, key: Key) -> None:
        """Drop what is kept of a resource that is gone."""
        self._written_at.pop(key, None)

    def _live_wait(self, key: Key) -> float:
        written = self._written_at.get(key)
        return 0.0 if written is None else LIVE_SECONDS - (self._clock() - written)

    async def _write_status(self, parent: Parent, status: Object) -> bool:
        """Write the whole status; False if the resource is not the one that the plan was made from."""
        kind, namespace, name = parent.key
        await self._fence.hold()
        try:
            version = await self._kube.write_status(
                PARENTS[kind], namespace, name, parent.resource_version, status
            )
        except (Conflict, NotFound) as error:
            log.debug("planned from an old state, planned again: %s", error)
            return False
        self._count(kind)
        self._written_at[parent.key] = self._clock()
        for key in self._store.status_written(parent, version, status):
            self._wake(key)
        return True

    async def _change_children(self, parent: Parent, plan: Plan) -> None:
        namespace = parent.key.namespace
        has_service = plan.create_service is None or await self._create_service(parent, plan.create_service)
        if plan.create_job is not None and has_service:
            await self._create_job(parent, plan.create_job)
        if plan.create_model_version is not None:
            try:
                await self._post(parent, MODEL_VERSIONS, plan.create_model_version)
            except AlreadyExists:
                log.debug("the ModelVersion of %s is there already", parent.key)
        # Before the Jobs: as long as the Job is there, its Service is asked for again.
        for name in plan.delete_services:
            await self._delete_service(parent, name)
        for name, uid in plan.delete_jobs:
            await self._delete(JOBS, namespace, name, uid)
        if plan.delete_self:
            await self._delete_self(parent)

    async def _delete_self(self, parent: Parent) -> None:
        kind, namespace, name = parent.key
        await self._fence.hold()
        try:
            await self._kube.delete_self(PARENTS[kind], namespace, name, parent.uid, parent.resource_version)
        except (NotFound, Conflict) as error:
            log.debug("changed or gone meanwhile: %s", error)
        except Forbidden as error:
            log.warning("its time is over, but it was not deleted: %s", refusal(error, namespace)[1])
        else:
            log.info("deleted: its time is over, and the history has it")

    async def _delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        await self._fence.hold()
        try:
            await self._kube.delete(resource, namespace, name, uid)
        except (NotFound, Conflict) as error:
            log.debug("the %s is gone already: %s", resource.kind, error)

    async def _create_service(self, parent: Parent, service: Object) -> bool:
        """Make the Service of an attempt's pods; False if there is none that is ours."""
        name = service["metadata"]["name"]
        try:
            return await self._post(parent, SERVICES, service) is not None
        except AlreadyExists:
            if await self._service_uid(parent, name) is not None:
                return True
        create = Create(parent.key.namespace, SERVICES.kind, name)
        self._refusals.refused(parent.key, create, "ServiceNameTaken", service_taken(parent.key, name))
        self._wake(parent.key)
        return False

    async def _delete_service(self, parent: Parent, name: str) -> None:
        uid = await self._service_uid(parent, name)
        if uid is not None:
            await self._delete(SERVICES, parent.key.namespace, name, uid)

    async def _service_uid(self, parent: Parent, name: str) -> str | None:
        """Give the uid of a Service that is ours; None: there is none, or it is somebody else's."""
        try:
            metadata = (await self._kube.get(SERVICES, parent.key.namespace, name))["metadata"]
        except NotFound:
            return None
        owners = {reference.get("uid") for reference in metadata.get("ownerReferences") or []}
        return str(metadata["uid"]) if parent.uid in owners else None

    async def _create_job(self, parent: Parent, job: Object) -> None:
        name = job["metadata"]["name"]
        try:
            metadata = await self._post(parent, JOBS, job)
        except AlreadyExists:
            await self._adopt(parent, name)
        else:
            if metadata is not None:
                log.info("made the Job %s", name)
                self._store.job_created(metadata)
        self._wake(parent.key)

    async def _post(self, parent: Parent, resource: Resource, body: Object) -> Object | None:
        """POST an object of a plan; None if it was refused for a reason that the next plan tells the user."""
        namespace, name = parent.key.namespace, body["metadata"]["name"]
        create = Create(namespace, resource.kind, name)
        await self._fence.hold()
        try:
            metadata = await self._kube.create(resource, namespace, body)
        except (Forbidden, Invalid) as error:
            cause, message = refusal(error, namespace)
            log.warning("%s %s was refused (%s): %s", resource.kind, name, cause, error)
            self._refusals.refused(parent.key, create, cause, message)
            self._wake(parent.key)
            return None
        except AlreadyExists:
            self._refusals.accepted(create)
            raise
        self._refusals.accepted(create)
        return metadata

    async def look_again(self, namespace: str, name: str) -> None:
        """See whether a Job that had the name of ours is still there: foreign ones are not watched."""
        try:
            self._store.foreign_found(namespace, job_view(await self._kube.get(JOBS, namespace, name)))
        except NotFound:
            self._store.foreign_gone(namespace, name)

    async def _adopt(self, parent: Parent, name: str) -> None:
        """Take in a Job that has the name already: ours from an earlier try, or somebody else's."""
        namespace = parent.key.namespace
        try:
            job = await self._kube.get(JOBS, namespace, name)
        except NotFound:
            return  # gone between the two calls: the next plan decides
        view = job_view(job)
        if view.owner_uid == parent.uid:
            log.info("found the Job %s that was made before", name)
            self._store.put("Job", job)
        else:
            log.warning("a Job %s is there that is not of %s", name, parent.key)
            self._store.foreign_found(namespace, view)


def service_taken(owner: Key, name: str) -> str:
    """Say that a Service has the name of ours."""
    return (
        f"Service {name} exists already and does not belong to this {owner.kind}. It is left alone; delete it if it is"
        f" not needed (kubectl -n {owner.namespace} delete service {name}), or use another name."
    )


def refusal(error: KubeError, namespace: str) -> tuple[str, str]:
    """Give the cause and the message of a refused POST: a wrong object, a quota, a missing right, or a policy."""
    if isinstance(error, Invalid):
        return "Invalid", str(error)
    denial = denials.read(error.said, namespace)
    if denial.reason == "PodRefused":
        return "NotPermitted", str(error)
    return denial.reason, denial.message
