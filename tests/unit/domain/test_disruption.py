"""What took a pod away, by what Kubernetes shows of it."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.domain.disruption import of_pod, said_of
from mlops_operator.domain.observed import PodView


def pod(target: str | None = None, status: str = "True", **more: Any) -> PodView:
    conditions = {"DisruptionTarget": (status, target, "words")} if target is not None else {}
    return PodView(name="p", uid="u", phase="Running", job="j", conditions=conditions, **more)


@pytest.mark.parametrize(
    ("seen", "cause"),
    [
        (pod(), None),
        (pod(deleting=True), "Deleted"),
        (pod(gone=True), "Deleted"),
        (None, "Deleted"),
        (pod("EvictionByEvictionAPI", deleting=True), "Evicted"),
        (pod("TerminationByKubelet", reason="Evicted"), "Evicted"),
        (pod("TerminationByKubelet", reason="Terminated"), "NodeLost"),
        (pod("PreemptionByScheduler"), "Preempted"),
        (pod("DeletionByTaintManager", gone=True), "NodeLost"),
        (pod("DeletionByPodGC", gone=True), "NodeLost"),
        (pod("SomethingNew"), "Evicted"),
        (pod("EvictionByEvictionAPI", status="False"), None),
        (pod(reason="NodeLost"), "NodeLost"),
        (pod(reason="Preempting"), "Preempted"),
        (pod(reason="OutOfcpu"), "Evicted"),
        (pod(reason="OutOfnvidia.com/gpu"), "Evicted"),
        (pod(reason="DeadlineExceeded"), None),
    ],
)
def test_the_cause(seen: PodView | None, cause: str | None) -> None:
    assert of_pod(seen) == cause


def test_the_words_are_those_of_kubernetes() -> None:
    assert said_of(pod("PreemptionByScheduler")) == "PreemptionByScheduler: words"
    assert (
        said_of(pod(reason="Evicted", message="The node was low on memory."))
        == "Evicted: The node was low on memory."
    )
    assert said_of(pod()) is None
    assert said_of(None) is None
