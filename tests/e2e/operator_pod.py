"""The operator's own pod, as the tests disturb it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.faults import kill_in_pod
from tests.e2e.kube import NeverHappenedError, poll

if TYPE_CHECKING:
    from tests.e2e.kube import Kube, Object

NAMESPACE = "mlops-system"


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
    for _ in poll(90):
        pods = living_pods(kube)
        if len(pods) == 1 and _is_ready(pods[0]):
            return
    raise NeverHappenedError(f"no operator became ready in 90 s: {[pod['status'] for pod in pods]}")


def _is_ready(pod: Object) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"
