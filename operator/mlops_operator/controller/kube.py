"""Every call that the operator makes to the API server, and so every right that it needs.

==========================  =======================  ==========================================  ===================
group                       resource                 verbs                                       scope
==========================  =======================  ==========================================  ===================
mlops.eoepca.org            trainingruns             list, watch                                 cluster
mlops.eoepca.org            trainingdatasets         list, watch                                 cluster
mlops.eoepca.org            modelversions            list, watch                                 cluster
mlops.eoepca.org            trainingruns/status      patch                                       cluster
mlops.eoepca.org            trainingdatasets/status  patch                                       cluster
mlops.eoepca.org            modelversions/status     patch                                       cluster
batch                       jobs                     list, watch                                 cluster
core                        pods                     list, watch                                 cluster
events.k8s.io               events                   create                                      cluster
core                        namespaces               list, watch                                 cluster, for zones
authentication.k8s.io       tokenreviews             create                                      cluster
batch                       jobs                     create, get, delete                         workspace
core                        pods                     create (dryRun=All)                         workspace
mlops.eoepca.org            trainingruns             delete                                      workspace
core                        services                 create, get, delete                         workspace
mlops.eoepca.org            modelversions            create                                      workspace
core                        secrets                  get                                         workspace
coordination.k8s.io         leases                   create, get, update                         operator's namespace
core                        secrets                  create, get, update                         operator's namespace
core                        pods                     get                                         operator's namespace
==========================  =======================  ==========================================  ===================

*For zones*: only where the configuration has zones (``manifests/components/zones``).

*Workspace*: a Role and RoleBinding in each namespace that the platform made a workspace
(``manifests/components/workspace``). Status and events are cluster-wide, so that a resource in a namespace that is no
workspace can say so. Names of the Lease and of the Secret in the operator's namespace are :data:`LEASE_NAME` and
``certificates.SECRET_NAME``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlops_operator.api.base import FIELD_MANAGER, GROUP, LABEL_MANAGED_BY, VERSION
from mlops_operator.controller.transport import (
    JSON,
    JSON_PATCH,
    METADATA,
    METADATA_LIST,
    KubeError,
    Object,
    Transport,
)

LEASE_NAME = "mlops-operator"
_MANAGER = {"fieldManager": FIELD_MANAGER}


@dataclass(frozen=True)
class Resource:
    """A kind of object as it is addressed. ``selector``: the labels that the server filters by."""

    kind: str
    api: str  # apis/batch/v1
    plural: str
    selector: str | None = None

    def path(self, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
        parts = [self.api]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, sub) if part is not None]
        return "/" + "/".join(parts)


_OURS = f"{LABEL_MANAGED_BY}={FIELD_MANAGER}"
RUNS = Resource("TrainingRun", f"apis/{GROUP}/{VERSION}", "trainingruns")
DATASETS = Resource("TrainingDataset", f"apis/{GROUP}/{VERSION}", "trainingdatasets")
MODEL_VERSIONS = Resource("ModelVersion", f"apis/{GROUP}/{VERSION}", "modelversions")
JOBS = Resource("Job", "apis/batch/v1", "jobs", _OURS)
PODS = Resource("Pod", "api/v1", "pods", _OURS)
NAMESPACES = Resource("Namespace", "api/v1", "namespaces")
SERVICES = Resource("Service", "api/v1", "services")
SECRETS = Resource("Secret", "api/v1", "secrets")
LEASES = Resource("Lease", "apis/coordination.k8s.io/v1", "leases")
EVENTS = Resource("Event", "apis/events.k8s.io/v1", "events")

PARENTS = {resource.kind: resource for resource in (RUNS, DATASETS, MODEL_VERSIONS)}
WATCHED = (RUNS, DATASETS, MODEL_VERSIONS, JOBS, PODS)


@dataclass(frozen=True)
class TokenIdentity:
    """Whose token it is. ``pod_name`` and ``pod_uid`` are None for a token that is bound to no pod."""

    namespace: str
    service_account: str
    pod_name: str | None
    pod_uid: str | None


@dataclass(frozen=True)
class Page:
    """A part of a list. ``continue_token`` is None on the last one."""

    items: list[Object]
    resource_version: str
    continue_token: str | None


class Kube:
    """The calls by name. Every one may raise a subclass of ``transport.KubeError``."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    # --- what is watched -------------------------------------------------------------------------------------

    async def list_page(
        self,
        resource: Resource,
        *,
        continue_token: str | None = None,
        limit: int = 500,
        metadata: bool = False,
    ) -> Page:
        """List all namespaces, a page at a time; with ``metadata`` without spec and status."""
        query = {"limit": str(limit)}
        if resource.selector:
            query["labelSelector"] = resource.selector
        if continue_token:
            query["continue"] = continue_token
        answer = await self._transport.request(
            "GET",
            resource.path(),
            query=query,
            accept=METADATA_LIST if metadata else JSON,
            timeout_seconds=60.0,
        )
        meta = answer.get("metadata", {})
        return Page(answer.get("items", []), meta.get("resourceVersion", ""), meta.get("continue") or None)

    def watch(
        self, resource: Resource, resource_version: str, *, seconds: int, silence_seconds: float
    ) -> AsyncIterator[Object]:
        """Follow the changes after a resourceVersion for at most ``seconds``."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        if resource.selector:
            query["labelSelector"] = resource.selector
        return self._transport.stream(resource.path(), query, silence_seconds=silence_seconds)

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._transport.request("GET", resource.path(namespace, name))

    # --- writes ----------------------------------------------------------------------------------------------

    async def write_status(
        self, resource: Resource, namespace: str, name: str, resource_version: str, status: Object
    ) -> str:
        """Replace the whole status if the object is still at that resourceVersion; gives the new one.

        Raises
        ------
        Conflict
            The object changed since.
        NotFound
            It was deleted.
        """
        patch: list[Object] = [
            # A set resourceVersion makes the update conditional: another one is answered by 409.
            {"op": "add", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/status", "value": status},
        ]
        answer = await self._transport.request(
            "PATCH",
            resource.path(namespace, name, "status"),
            query=_MANAGER,
            body=patch,
            content_type=JSON_PATCH,
            accept=METADATA,
        )
        version: str = answer["metadata"]["resourceVersion"]
        return version

    async def create(self, resource: Resource, namespace: str, body: Object) -> Object:
        """POST; gives the new object's metadata alone."""
        answer = await self._transport.request(
            "POST", resource.path(namespace), query=_MANAGER, body=body, accept=METADATA
        )
        metadata: Object = answer["metadata"]
        return metadata

    async def try_create(self, resource: Resource, namespace: str, body: Object) -> None:
        """POST without making anything: quota and admission answer as if it were meant."""
        await self._transport.request(
            "POST",
            resource.path(namespace),
            query={**_MANAGER, "dryRun": "All"},
            body=body,
            accept=METADATA,
        )

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Delete an object and, in the background, what it owns.

        Raises
        ------
        Conflict
            There is another one of that name.
        """
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._transport.request("DELETE", resource.path(namespace, name), body=body)

    async def delete_self(
        self, resource: Resource, namespace: str, name: str, uid: str, resource_version: str
    ) -> None:
        """Delete a resource of ours and, in the background, what it owns.

        Raises
        ------
        Conflict
            It has changed since that resourceVersion, or another one has its name.
        """
        body = {
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        await self._transport.request("DELETE", resource.path(namespace, name), body=body)

    async def create_event(self, namespace: str, body: Object) -> None:
        await self._transport.request(
            "POST", EVENTS.path(namespace), query=_MANAGER, body=body, accept=METADATA
        )

    # --- Secrets ---------------------------------------------------------------------------------------------

    async def secret(self, namespace: str, name: str) -> dict[str, str]:
        """Give the decoded values of a Secret; what is not text is left out."""
        return decode_secret(await self.get(SECRETS, namespace, name))

    # --- tokens ----------------------------------------------------------------------------------------------

    async def review_token(self, token: str, audience: str) -> TokenIdentity | None:
        """Ask whose token it is; None if it is not valid for the audience or no service account's."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        answer = await self._transport.request(
            "POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=body, timeout_seconds=10.0
        )
        return _identity(answer.get("status", {}), audience)

    # --- objects of the operator's own namespace, read and replaced whole -------------------------------------

    async def replace(self, resource: Resource, namespace: str, name: str, body: Object) -> Object:
        """PUT with the resourceVersion that the body carries. Raises Conflict where it is not the last one."""
        return await self._transport.request(
            "PUT", resource.path(namespace, name), query=_MANAGER, body=body, timeout_seconds=5.0
        )

    async def post(self, resource: Resource, namespace: str, body: Object) -> Object:
        """POST; gives the whole object."""
        return await self._transport.request(
            "POST", resource.path(namespace), query=_MANAGER, body=body, timeout_seconds=5.0
        )


def decode_secret(secret: Mapping[str, Any]) -> dict[str, str]:
    """Decode ``data`` of a Secret.

    Raises
    ------
    KubeError
        The object is no Secret that the API server could have given.
    """
    values: dict[str, str] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            values[key] = base64.b64decode(value, validate=True).decode()
        except UnicodeDecodeError:
            continue  # a binary value: none of those that we use
        except binascii.Error as error:
            raise KubeError(f"the Secret's key {key} is not base64") from error
    return values


def _identity(status: Mapping[str, Any], audience: str) -> TokenIdentity | None:
    prefix, _, rest = status.get("user", {}).get("username", "").partition("system:serviceaccount:")
    namespace, _, account = rest.partition(":")
    if (
        not status.get("authenticated")
        or audience not in status.get("audiences", [])
        or prefix
        or not account
    ):
        return None
    extra = status["user"].get("extra") or {}

    def first(key: str) -> str | None:
        values = extra.get(f"authentication.kubernetes.io/{key}") or []
        return values[0] if values else None

    return TokenIdentity(namespace, account, first("pod-name"), first("pod-uid"))
