"""The cluster, as the measurements use it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError
from hack.deploy import DEPLOYMENT, NAMESPACE, wait_for_rollout
from hack.kubectl import Kubectl
from hack.services.s3 import S3Service, connect_s3
from hack.services.workspace import Workspace, create_workspace, namespace_object
from mlops_operator.controller.kube import RUNS, Resource
from mlops_operator.controller.transport import HttpTransport, NotFound, Object, load_configuration

NAMESPACES = Resource("Namespace", "api/v1", "namespaces")
CONFIG_MAPS = Resource("ConfigMap", "api/v1", "configmaps")
# Not the operator's own: those have its selector.
JOBS = Resource("Job", "apis/batch/v1", "jobs")
PODS = Resource("Pod", "api/v1", "pods")
DEPLOYMENTS = Resource("Deployment", "apis/apps/v1", "deployments")

POLL_SECONDS = 0.5
GONE_SECONDS = 600.0


@dataclass(frozen=True)
class Cluster:
    """The API server as its administrator sees it, and the S3 server for workspaces."""

    api: HttpTransport
    kubectl: Kubectl
    s3: S3Service

    @classmethod
    @asynccontextmanager
    async def connect(cls, kubeconfig: Path) -> AsyncIterator[Cluster]:
        """Open the connection.

        Raises
        ------
        ClusterError
            There is no cluster, no S3 server, or no operator; the message says which command makes it.
        """
        async with HttpTransport(await load_configuration(kubeconfig)) as api:
            cluster = cls(api, Kubectl(kubeconfig), connect_s3(kubeconfig))
            await cluster.operator_pod()
            yield cluster

    # --- objects ----------------------------------------------------------------------------------------------

    async def create(self, resource: Resource, body: Object) -> Object:
        namespace = body["metadata"].get("namespace")
        return await self.api.request("POST", resource.path(namespace), body=body)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        try:
            return await self.api.request("GET", resource.path(namespace, name))
        except NotFound:
            return None

    async def list(self, resource: Resource, namespace: str, selector: str = "") -> list[Object]:
        query = {"labelSelector": selector} if selector else {}
        answer = await self.api.request("GET", resource.path(namespace), query=query, timeout_seconds=60)
        items: list[Object] = answer["items"]
        return items

    async def patch_status(self, resource: Resource, namespace: str, name: str, status: Object) -> None:
        await self.api.request(
            "PATCH",
            resource.path(namespace, name, "status"),
            body={"status": status},
            content_type="application/merge-patch+json",
        )

    # --- places -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def workspace(self, purpose: str) -> AsyncIterator[Workspace]:
        """Make a workspace for one measurement; afterwards it is gone with all that is in it."""
        name = f"bench-{purpose}-{secrets.token_hex(3)}"
        made = await asyncio.to_thread(create_workspace, name, self.s3)
        try:
            yield made
        finally:
            await self._delete_namespace(name)
            await asyncio.to_thread(self.s3.delete_bucket, made.credentials.bucket)

    @asynccontextmanager
    async def namespace(self, purpose: str) -> AsyncIterator[str]:
        """Make a namespace that the operator has no rights in; afterwards it is gone."""
        name = f"bench-{purpose}-{secrets.token_hex(3)}"
        await self.create(NAMESPACES, namespace_object(name))
        try:
            yield name
        finally:
            await self._delete_namespace(name)

    async def _delete_namespace(self, name: str) -> None:
        """Delete it and wait until it is gone, so that the next measurement has the cluster to itself."""
        await self.api.request("DELETE", NAMESPACES.path(None, name))
        await self.until(
            lambda: self._is_gone(NAMESPACES, None, name), f"the namespace {name} to be gone", GONE_SECONDS
        )

    async def _is_gone(self, resource: Resource, namespace: str | None, name: str) -> bool:
        return await self.get(resource, namespace, name) is None

    # --- conditions -------------------------------------------------------------------------------------------

    @staticmethod
    async def until(
        holds: Callable[[], Awaitable[bool]],
        what: str,
        timeout_seconds: float,
        poll_seconds: float = POLL_SECONDS,
    ) -> float:
        """Wait for a condition; gives when it was seen to hold, by ``time.monotonic``.

        Raises
        ------
        ClusterError
            It did not come to hold in time.
        """
        end = time.monotonic() + timeout_seconds
        while not await holds():
            if time.monotonic() > end:
                raise ClusterError(f"Waited {timeout_seconds:.0f} s in vain for {what}.")
            await asyncio.sleep(poll_seconds)
        return time.monotonic()

    async def until_run(
        self,
        namespace: str,
        name: str,
        holds: Callable[[Object], bool],
        what: str,
        timeout_seconds: float = 120,
    ) -> Object:
        """Wait for a condition of a TrainingRun; gives the run.

        Raises
        ------
        ClusterError
            It did not come to hold in time.
        """
        seen: list[Object] = []

        async def look() -> bool:
            run = await self.get(RUNS, namespace, name)
            seen[:] = [run] if run else []
            return bool(run) and holds(run or {})

        await self.until(look, f"the run {namespace}/{name} {what}", timeout_seconds)
        return seen[0]

    # --- the operator -----------------------------------------------------------------------------------------

    async def operator_pod(self) -> Object:
        """Give the operator's pod.

        Raises
        ------
        ClusterError
            There is not exactly one that is meant to stay.
        """
        pods = await self.list(PODS, NAMESPACE, f"app.kubernetes.io/name={DEPLOYMENT}")
        staying = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        if len(staying) != 1:
            raise ClusterError(f"{len(staying)} pods of the operator are there, not 1: run `make deploy`.")
        return staying[0]

    async def scale_operator(self, replicas: int) -> None:
        """Stop the operator with 0, start it with 1; when this returns it is gone, or ready."""
        body = {"spec": {"replicas": replicas}}
        await self.api.request(
            "PATCH",
            DEPLOYMENTS.path(NAMESPACE, DEPLOYMENT),
            body=body,
            content_type="application/merge-patch+json",
        )
        if replicas:
            await asyncio.to_thread(wait_for_rollout, self.kubectl)
            return

        async def gone() -> bool:
            return not await self.list(PODS, NAMESPACE, f"app.kubernetes.io/name={DEPLOYMENT}")

        await self.until(gone, "the operator's pod to be gone", 60)

    async def scrape(self, pod: str) -> str:
        """Give the operator's metrics, by way of the API server."""
        where = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics"
        return await asyncio.to_thread(self.kubectl.run, "get", "--raw", where)
