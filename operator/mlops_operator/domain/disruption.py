"""What took a pod away: somebody's hand, an eviction, a pod of higher priority, or the loss of its node.

A disruption is nobody's failure: the run goes on with another attempt, which does not count.
"""

from __future__ import annotations

from typing import Literal

from mlops_operator.domain.observed import PodView

Disruption = Literal["Deleted", "Evicted", "Preempted", "NodeLost"]
DISRUPTIONS: frozenset[str] = frozenset({"Deleted", "Evicted", "Preempted", "NodeLost"})
# ``status.reason`` of a pod that its node, or Kubernetes in its place, has ended or not taken.
REASONS: dict[str, Disruption] = {
    "Evicted": "Evicted",
    "NodeAffinity": "Evicted",
    "UnexpectedAdmissionError": "Evicted",
    "Preempting": "Preempted",
    "NodeLost": "NodeLost",
    "NodeShutdown": "NodeLost",
    "Shutdown": "NodeLost",
    "Terminated": "NodeLost",
}
# OutOfcpu, OutOfmemory, OutOfnvidia.com/gpu: the node had less room than the scheduler thought.
NO_ROOM = "OutOf"
# Reasons of the condition DisruptionTarget.
TARGETS: dict[str, Disruption] = {
    "EvictionByEvictionAPI": "Evicted",
    "TerminationByKubelet": "Evicted",
    "PreemptionByScheduler": "Preempted",
    "PreemptionByKubeScheduler": "Preempted",
    "DeletionByTaintManager": "NodeLost",
    "DeletionByPodGC": "NodeLost",
}


def of_pod(pod: PodView | None) -> Disruption | None:
    """Say what takes a pod away, or has; None: nothing does. Without a pod nothing but Deleted is known."""
    if pod is None:
        return "Deleted"
    by_reason = _by_reason(pod.reason or "")
    if by_reason is not None:
        return by_reason
    status, reason, _ = pod.conditions.get("DisruptionTarget", ("", "", ""))
    if status == "True":
        return TARGETS.get(reason, "Evicted")
    return "Deleted" if pod.gone or pod.deleting else None


def _by_reason(reason: str) -> Disruption | None:
    return REASONS.get(reason) or ("Evicted" if reason.startswith(NO_ROOM) else None)


def said_of(pod: PodView | None) -> str | None:
    """Give what Kubernetes says of it."""
    if pod is None:
        return None
    _, reason, message = pod.conditions.get("DisruptionTarget", ("", "", ""))
    return ": ".join(text for text in (pod.reason or reason, pod.message or message) if text) or None
