"""A node that is lost, played by a Node object without a kubelet: what Kubernetes does with its pods is the same."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import PATIENCE_SECONDS, RefusedError, phase, poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kube import Kube, Object
    from tests.e2e.workspace import Workspace

# Allowed in manifests/overlays/local; it keeps all other pods away.
TAINT = "mlops.eoepca.org/training"
GONE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
ROOM = {"cpu": "8", "memory": "8Gi", "pods": "10", "ephemeral-storage": "8Gi"}


@pytest.fixture
def away(workspace: Workspace) -> Iterator[str]:
    """The name of a node that nobody runs."""
    name = workspace.name
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    spec = {"taints": [{"key": TAINT, "effect": "NoSchedule"}]}
    workspace.kube.create("Node", "", {"metadata": {"name": name, "labels": labels}, "spec": spec})
    yield name
    workspace.kube.delete("Node", "", name)


def say_ready(kube: Kube, node: str, ready: str) -> None:
    """Speak for the kubelet that is not there."""
    heartbeat = {"type": "Ready", "status": ready, "reason": "Played", "message": "by a test"}
    body = {"status": {"capacity": ROOM, "allocatable": ROOM, "conditions": [heartbeat]}}
    kube.patch("Node", "", node, body, subresource="status")


def until_bound(workspace: Workspace, run: str, node: str) -> str:
    """Keep the node ready until the run's pod is bound to it; gives the pod's name."""
    for _ in poll(PATIENCE_SECONDS):
        say_ready(workspace.kube, node, "True")
        for pod in workspace.pods(run):
            if pod["spec"].get("nodeName") == node:
                return str(pod["metadata"]["name"])
    raise AssertionError(f"no pod of {run} was bound to {node}: {workspace.pods(run)}")


def put_out_of_service(kube: Kube, node: str) -> None:
    """Say that a node is down for good, as an administrator would."""
    say_ready(kube, node, "False")
    for _ in poll(PATIENCE_SECONDS):
        found: Object = kube.get("Node", "", node) or {}
        others = [taint for taint in found["spec"].get("taints", []) if taint["key"] != GONE["key"]]
        body = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "spec": {"taints": [*others, GONE]},
        }
        with suppress(RefusedError):  # somebody else has changed the taints meanwhile
            kube.patch("Node", "", node, body)
            return
    raise AssertionError(f"node {node} could not be tainted")


@pytest.mark.produces("NodeUnreachable", "NodeLost")
def test_a_lost_node(workspace: Workspace, away: str) -> None:
    """Its pod may still be running, so no other attempt begins until Kubernetes knows that it is gone."""
    scheduling = {
        "nodeSelector": {"kubernetes.io/hostname": away},
        "tolerations": [{"key": TAINT, "operator": "Exists"}],
    }
    workspace.run("stranded", scheduling=scheduling)
    pod = until_bound(workspace, "stranded", away)
    workspace.delete("Pod", pod, grace_seconds=1)
    said = workspace.waits_for("stranded", "NodeUnreachable")
    assert away in said
    assert "out-of-service" in said
    run = workspace.get("TrainingRun", "stranded")
    assert run is not None
    assert len(run["status"]["attempts"]) == 1
    assert "endTime" not in run["status"]["attempts"][0]
    put_out_of_service(workspace.kube, away)
    run = workspace.until_run("stranded", lambda r: len(r["status"]["attempts"]) == 2)
    first = run["status"]["attempts"][0]
    assert (first["cause"], first["counted"], first["nodeName"]) == ("NodeLost", False, away), first
    workspace.kube.patch("TrainingRun", workspace.name, "stranded", {"spec": {"cancel": True}})
    assert phase(workspace.until_ended("stranded")) == "Cancelled"
