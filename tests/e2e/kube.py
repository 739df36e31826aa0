"""The cluster as the tests see it: objects by kind and name, conditions that are waited for."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

Object = dict[str, Any]
Predicate = Callable[[Object], Any]

_OURS = "/apis/mlops.eoepca.org/v1alpha1"
_PATHS = {
    "TrainingRun": f"{_OURS}/namespaces/{{namespace}}/trainingruns",
    "TrainingDataset": f"{_OURS}/namespaces/{{namespace}}/trainingdatasets",
    "ModelVersion": f"{_OURS}/namespaces/{{namespace}}/modelversions",
    "Job": "/apis/batch/v1/namespaces/{namespace}/jobs",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "ResourceQuota": "/api/v1/namespaces/{namespace}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{namespace}/limitranges",
    "Event": "/api/v1/namespaces/{namespace}/events",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
}
_POLL_SECONDS = 0.2
# How long a test waits for what must happen, in seconds: a loaded machine is slow, and only a defect takes for ever.
PATIENCE_SECONDS = 300.0


class RefusedError(Exception):
    """The API server said no."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"{status}: {said}")
        self.status = status


class NeverHappenedError(AssertionError):
    """A condition that a test waited for did not come true in time."""


def poll(timeout_seconds: float) -> Iterator[None]:
    """Yield until the time is over: the body looks, and leaves when it sees what it waits for."""
    end = time.monotonic() + timeout_seconds
    while True:
        yield
        if time.monotonic() > end:
            return
        time.sleep(_POLL_SECONDS)


@dataclass
class Kube:
    """One connection to the API server as its administrator."""

    kubeconfig: Path
    kubectl_program: str = "kubectl"
    _host: str = field(init=False, repr=False)
    _pool: urllib3.PoolManager = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=found)  # type: ignore[no-untyped-call]
        token = found.get_api_key_with_prefix("authorization")
        self._host = str(found.host)
        self._pool = urllib3.PoolManager(
            ca_certs=found.ssl_ca_cert,
            cert_file=found.cert_file,
            key_file=found.key_file,
            headers={"Accept": "application/json", **({"Authorization": token} if token else {})},
            retries=urllib3.Retry(connect=5, read=2, backoff_factor=0.2, allowed_methods=None),
            timeout=30,
        )

    def close(self) -> None:
        self._pool.clear()

    def request(self, method: str, path: str, body: Any = None, **query: str) -> Object:
        """Ask the API server.

        Raises
        ------
        RefusedError
            It answered with an error.
        """
        content = "application/merge-patch+json" if method == "PATCH" else "application/json"
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {**self._pool.headers, "Content-Type": content}
        answer = self._pool.request(
            method, url, body=json.dumps(body) if body is not None else None, headers=headers
        )
        if answer.status >= 400:
            raise RefusedError(answer.status, answer.data.decode(errors="replace"))
        result = answer.json()
        return dict(result)

    def path(self, kind: str, namespace: str = "", name: str = "") -> str:
        path = _PATHS[kind].format(namespace=namespace)
        return f"{path}/{name}" if name else path

    def create(self, kind: str, namespace: str, body: Object) -> Object:
        return self.request("POST", self.path(kind, namespace), body)

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return self.request("GET", self.path(kind, namespace, name))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str, selector: str = "") -> list[Object]:
        query = {"labelSelector": selector} if selector else {}
        items = self.request("GET", self.path(kind, namespace), **query).get("items", [])
        return sorted(items, key=lambda o: (o["metadata"]["creationTimestamp"], o["metadata"]["name"]))

    def patch(self, kind: str, namespace: str, name: str, body: Object, subresource: str = "") -> Object:
        path = self.path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, body)

    def delete(self, kind: str, namespace: str, name: str, grace_seconds: int | None = None) -> None:
        body: Object = {"propagationPolicy": "Background"}
        if grace_seconds is not None:
            body["gracePeriodSeconds"] = grace_seconds
        try:
            self.request("DELETE", self.path(kind, namespace, name), body)
        except RefusedError as error:
            if error.status != 404:
                raise

    def until(
        self, kind: str, namespace: str, name: str, predicate: Predicate, timeout: float = PATIENCE_SECONDS
    ) -> Object:
        """Wait until the object is there and the predicate holds for it."""
        seen: Object | None = None
        for _ in poll(timeout):
            seen = self.get(kind, namespace, name)
            if seen is not None and predicate(seen):
                return seen
        raise NeverHappenedError(
            f"{kind} {namespace}/{name}: what was waited for did not happen in {timeout:.0f} s; status: "
            f"{(seen or {}).get('status', 'there is no such object')}"
        )

    def until_gone(self, kind: str, namespace: str, name: str, timeout: float = PATIENCE_SECONDS) -> None:
        for _ in poll(timeout):
            if self.get(kind, namespace, name) is None:
                return
        raise NeverHappenedError(f"{kind} {namespace}/{name} is still there after {timeout:.0f} s")

    def kubectl(
        self, *args: str, input: str | None = None, check: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user would."""
        return subprocess.run(
            [self.kubectl_program, "--kubeconfig", str(self.kubeconfig), *args],
            input=input,
            capture_output=True,
            text=True,
            check=check,
            timeout=300,
        )


def condition(obj: Object, type_: str) -> Object:
    """Return a condition of an object, or an empty one."""
    return next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == type_), {})


def phase(obj: Object) -> str:
    return str(obj.get("status", {}).get("phase", ""))
