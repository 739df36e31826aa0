"""A pod of which nobody hears any more, as its node does not answer.

Kubernetes keeps such a pod: it may still be running. Only when the node is back, its Node object is deleted, or an
administrator says that it is out of service, is the pod gone for certain, and may another attempt begin.
"""

from __future__ import annotations

from datetime import datetime

from mlops_operator.domain.observed import PodView
from mlops_operator.domain.times import seconds_between
from mlops_operator.domain.waiting import Waiting

# So much later than its grace a pod is gone, even from a node that is busy, in seconds.
OVERDUE_SECONDS = 30.0


def seconds_until_overdue(pod: PodView | None, now: datetime) -> float | None:
    """Until a pod that is being deleted should be gone; None: it is not being deleted, or has gone."""
    if pod is None or pod.gone or pod.gone_by is None or pod.phase in ("Succeeded", "Failed"):
        return None
    return max(0.0, OVERDUE_SECONDS - seconds_between(pod.gone_by, now))


def is_unreachable(pod: PodView, now: datetime) -> bool:
    """Whether the pod's node does not answer: the pod should be gone, or Kubernetes has given its node up."""
    if pod.gone or not pod.node_name or pod.phase in ("Succeeded", "Failed"):
        return False
    # Nobody but the controller of nodes takes the readiness of a pod away whose containers are all ready.
    given_up = _status(pod, "Ready") == "False" and _status(pod, "ContainersReady") == "True"
    return given_up or seconds_until_overdue(pod, now) == 0.0


def _status(pod: PodView, condition: str) -> str:
    return pod.conditions.get(condition, ("", "", ""))[0]


def waiting(pod: PodView) -> Waiting:
    """Say who must do what."""
    return Waiting(
        "NodeUnreachable",
        f"Node {pod.node_name} of pod {pod.name} does not answer. The pod may still be running, so no other attempt"
        " begins before Kubernetes has removed it: when the node is back, or an administrator has deleted its Node object"
        f" (kubectl delete node {pod.node_name}) or told that it is out of service (kubectl taint node {pod.node_name}"
        " node.kubernetes.io/out-of-service=nodeshutdown:NoExecute).",
    )
