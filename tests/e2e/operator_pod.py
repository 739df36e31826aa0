"""The operator's own pod, as the tests disturb it."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from tests.e2e.faults import kill_in_pod
from tests.e2e.kube import PATIENCE_SECONDS, NeverHappenedError, RefusedError, poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.kube import Kube, Object

NAMESPACE = "mlops-system"
DEPLOYMENT = "mlops-operator"
_CONFIGURATION = "config.yaml"
_CONFLICT = 409


def living_pods(kube: Kube) -> list[Object]:
    return [pod for pod in kube.list("Pod", NAMESPACE) if "deletionTimestamp" not in pod["metadata"]]


def kill(kube: Kube) -> None:
    """SIGKILL its process, then delete the pod, so that the Deployment makes a new one without back-off."""
    pod = next(pod for pod in living_pods(kube) if pod["status"]["phase"] == "Running")
    kill_in_pod(pod["metadata"]["uid"], "mlops_operator")
    kube.delete("Pod", NAMESPACE, pod["metadata"]["name"], grace_seconds=0)


def restart(kube: Kube) -> None:
    """Delete the pod, which ends it gracefully, and wait for the next one to lead."""
    for pod in living_pods(kube):
        kube.delete("Pod", NAMESPACE, pod["metadata"]["name"])
        kube.until_gone("Pod", NAMESPACE, pod["metadata"]["name"])
    until_leading(kube)


def until_leading(kube: Kube) -> None:
    """Wait until there is one pod and it is ready: only the leader is."""
    pods: list[Object] = []
    for _ in poll(PATIENCE_SECONDS):
        pods = living_pods(kube)
        if len(pods) == 1 and _is_ready(pods[0]):
            return
    raise NeverHappenedError(f"no operator became ready in time: {[pod['status'] for pod in pods]}")


def _is_ready(pod: Object) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


@contextmanager
def configured(kube: Kube, change: Callable[[Object], Object]) -> Iterator[None]:
    """Let the operator run with a changed configuration, and afterwards with the former one.

    Parameters
    ----------
    change
        Gives the changed content of config.yaml for the present one.
    """
    before = _configuration(kube.get("Deployment", NAMESPACE, DEPLOYMENT) or {})
    present = kube.get("ConfigMap", NAMESPACE, before)
    assert present is not None
    content = yaml.safe_dump(change(yaml.safe_load(present["data"][_CONFIGURATION])))
    # A ConfigMap of its own: the former one stays as it was deployed, and the next deployment mounts its own again.
    name = f"mlops-operator-e2e-{secrets.token_hex(3)}"
    kube.create("ConfigMap", NAMESPACE, {"metadata": {"name": name}, "data": {_CONFIGURATION: content}})
    try:
        _mount(kube, before, name)
        _until_configured(kube, name)
        yield
    finally:
        _mount(kube, name, before)
        _until_configured(kube, _configuration(kube.get("Deployment", NAMESPACE, DEPLOYMENT) or {}))
        kube.delete("ConfigMap", NAMESPACE, name)


def _configuration(owner: Object) -> str:
    """Name of the ConfigMap that a Deployment or a pod mounts."""
    spec = owner["spec"].get("template", owner)["spec"]
    return next(str(v["configMap"]["name"]) for v in spec["volumes"] if "configMap" in v)


def _mount(kube: Kube, former: str, name: str) -> None:
    """Mount another ConfigMap in place of one; nothing is done where the Deployment does not mount that one."""
    for _ in poll(PATIENCE_SECONDS):
        deployment = kube.get("Deployment", NAMESPACE, DEPLOYMENT) or {}
        if _configuration(deployment) != former:
            return
        volumes = [
            v | {"configMap": v["configMap"] | {"name": name}} if "configMap" in v else v
            for v in deployment["spec"]["template"]["spec"]["volumes"]
        ]
        body = {
            "metadata": {"resourceVersion": deployment["metadata"]["resourceVersion"]},
            "spec": {"template": {"spec": {"volumes": volumes}}},
        }
        try:
            kube.patch("Deployment", NAMESPACE, DEPLOYMENT, body)
        except RefusedError as error:
            # Its status changed in between: look again.
            if error.status != _CONFLICT:
                raise
        else:
            return
    raise NeverHappenedError(f"the Deployment {DEPLOYMENT} did not take the configuration {name} in time")


def _until_configured(kube: Kube, name: str) -> None:
    """Wait until there is one pod, it mounts this ConfigMap, and it leads."""
    pods: list[Object] = []
    for _ in poll(PATIENCE_SECONDS):
        pods = living_pods(kube)
        if len(pods) == 1 and _configuration(pods[0]) == name and _is_ready(pods[0]):
            return
    raise NeverHappenedError(
        f"no operator with the configuration {name} led in time: {[p['status'] for p in pods]}"
    )
