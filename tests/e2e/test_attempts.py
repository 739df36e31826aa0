"""A run goes on after what befalls it: failures, disruptions, suspensions; and ends when it is told to."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import condition, phase
from tests.e2e.workspace import IMAGE, RESOURCES, TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

# Attempts before this one wait until their pod is ended from outside.
PATIENT = """\
import os, pathlib, signal, sys, time
def deaf(*_): pathlib.Path("/mlops/output/asked.txt").write_text("to end")
if os.environ["MLOPS_ATTEMPT"] < "{last}":
    if {deaf}: signal.signal(signal.SIGTERM, deaf)
    print("attempt", os.environ["MLOPS_ATTEMPT"], flush=True)
    time.sleep(900)
    time.sleep(900)
"""
ONCE = {"limit": 0}
NEVER = {"model": {"name": "patient", "register": "Never"}}
HOUR = 3600


def patient(last: int, *, deaf: bool = False) -> str:
    return PATIENT.replace("{last}", str(last)).replace("{deaf}", str(deaf)) + TRAIN


def change(workspace: Workspace, run: str, **spec: Any) -> None:
    workspace.kube.patch("TrainingRun", workspace.name, run, {"spec": spec})


def until_training(workspace: Workspace, run: str, attempt: int) -> str:
    """Wait until an attempt's command waits for its end; gives the name of its pod."""

    def trains(found: Object) -> bool:
        last = found.get("status", {}).get("attempts", [{}])[-1]
        return bool(last.get("number") == attempt and last.get("podName") and phase(found) == "Running")

    pod = str(workspace.until_run(run, trains)["status"]["attempts"][-1]["podName"])
    workspace.until_logged(pod, f"attempt {attempt}")
    return pod


def causes(run: Object) -> list[tuple[str, bool | None]]:
    return [(a["cause"], a.get("counted")) for a in run["status"]["attempts"]]


def evict(workspace: Workspace, pod: str) -> None:
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": workspace.name},
    }
    workspace.kube.request("POST", workspace.kube.path("Pod", workspace.name, pod) + "/eviction", body)


@pytest.mark.produces("Deleted", "Evicted")
def test_disruptions_are_followed_by_attempts_that_do_not_count(workspace: Workspace) -> None:
    workspace.run("moved", patient(4), retry=ONCE, outputs=NEVER)
    workspace.delete("Pod", until_training(workspace, "moved", 1))
    evict(workspace, until_training(workspace, "moved", 2))
    until_training(workspace, "moved", 3)
    workspace.delete("Job", "moved-3")
    run = workspace.succeeded("moved")
    disrupted = [("Deleted", False), ("Evicted", False), ("Deleted", False)]
    assert causes(run) == [*disrupted, ("Succeeded", None)]
    attempts = run["status"]["attempts"]
    assert [a["number"] for a in attempts] == [1, 2, 3, 4]
    assert len({a["podUID"] for a in attempts}) == 4
    assert all(a["endTime"] <= b["startTime"] for a, b in pairwise(attempts))
    assert "EvictionByEvictionAPI" in attempts[1]["message"]
    prefix = workspace.run_prefix(run)
    assert workspace.manifest(run)["run"]["attempt"] == 4
    for number in (1, 2, 3):
        assert attempts[number - 1]["logs"].endswith(f"{prefix}attempts/{number}/logs/")
        assert f"attempt {number}".encode() in workspace.read(f"{prefix}attempts/{number}/logs/train.log")


def test_user_errors_are_tried_again_where_asked(workspace: Workspace) -> None:
    script = "import os, sys\nif os.environ['MLOPS_ATTEMPT'] < '3': sys.exit(7)\n" + TRAIN
    workspace.run(
        "stubborn", script, outputs=NEVER, retry={"limit": 2, "backoffSeconds": 1, "sides": ["User"]}
    )
    run = workspace.succeeded("stubborn")
    assert causes(run) == [("UserError", True), ("UserError", True), ("Succeeded", None)]
    assert [a["exitCode"] for a in run["status"]["attempts"]] == [7, 7, 0]
    assert run["status"]["retry"]["failures"] == 2


@pytest.mark.produces("BackOff")
def test_cancelled_in_back_off(workspace: Workspace) -> None:
    workspace.run("hopeless", "import sys\nsys.exit(9)\n", retry={"backoffSeconds": HOUR, "sides": ["User"]})
    said = workspace.waits_for("hopeless", "BackOff")
    assert "UserError" in said
    assert "exit code 9" in said
    waiting = workspace.get("TrainingRun", "hopeless")
    assert waiting is not None
    assert condition(waiting, "Reconciling")["status"] == "True"
    change(workspace, "hopeless", cancel=True)
    run = workspace.until_ended("hopeless")
    assert phase(run) == "Cancelled"
    assert causes(run) == [("UserError", True)]
    assert workspace.get("Job", "hopeless-2") is None


@pytest.mark.produces("Suspending")
@pytest.mark.produces("Suspended", kind="Waiting")
@pytest.mark.produces("Suspended", kind="Ending")
def test_suspended_and_resumed(workspace: Workspace) -> None:
    workspace.run("paused", patient(2, deaf=True), outputs=NEVER, retry=ONCE)
    until_training(workspace, "paused", 1)
    change(workspace, "paused", suspend=True)
    workspace.waits_for("paused", "Suspending")
    workspace.waits_for("paused", "Suspended")
    run = workspace.until_phase("paused", "Suspended")
    assert condition(run, "Suspended")["status"] == "True"
    assert condition(run, "Ready")["status"] == "False"
    assert not condition(run, "Reconciling")
    assert not condition(run, "Stalled")
    workspace.until_no_pods("paused")
    workspace.kube.until_gone("Job", workspace.name, "paused-1")
    kept = workspace.keys(f"{workspace.run_prefix(run)}attempts/1/")
    assert any(key.endswith("asked.txt") for key in kept), kept
    change(workspace, "paused", suspend=False)
    run = workspace.succeeded("paused")
    assert causes(run) == [("Suspended", False), ("Succeeded", None)]
    assert condition(run, "Suspended")["status"] == "False"
    assert run["status"]["suspendedSeconds"] >= 0


@pytest.mark.produces("StartDeadlineExceeded")
def test_suspended_before_the_start(workspace: Workspace) -> None:
    """Nothing is made while suspended; then one run is cancelled, and the other waits for its start too long."""
    nowhere = {"nodeSelector": {"example.org/not": "there"}}
    workspace.run("asleep", suspend=True)
    workspace.run("late", suspend=True, startDeadlineSeconds=8, scheduling=nowhere)
    workspace.until_phase("asleep", "Suspended")
    change(workspace, "asleep", cancel=True)
    assert phase(workspace.until_ended("asleep")) == "Cancelled"
    run = workspace.until_phase("late", "Suspended")
    assert not run["status"].get("attempts")
    assert not workspace.kube.list("Job", workspace.name)
    change(workspace, "late", suspend=False)
    failure = workspace.failed("late", "StartDeadlineExceeded")
    assert failure["side"] == "Platform"
    assert "8 s (spec.startDeadlineSeconds)" in failure["message"]
    workspace.until_no_pods("late")


def test_cancelled_while_suspended(workspace: Workspace) -> None:
    workspace.run("stopped", patient(9))
    until_training(workspace, "stopped", 1)
    change(workspace, "stopped", suspend=True)
    workspace.until_phase("stopped", "Suspended")
    change(workspace, "stopped", cancel=True)
    run = workspace.until_ended("stopped")
    assert phase(run) == "Cancelled"
    assert causes(run) == [("Suspended", False)]
    assert condition(run, "Suspended")["status"] == "False"


@pytest.fixture
def slot(workspace: Workspace) -> Iterator[str]:
    """A resource of which the node has one."""
    kube, name = workspace.kube, f"example.org/{workspace.name}"
    node = kube.list("Node", "")[0]["metadata"]["name"]
    given = {"status": {"capacity": {name: "1"}, "allocatable": {name: "1"}}}
    kube.patch("Node", "", node, given, subresource="status")
    kube.until("Node", "", node, lambda n: n["status"]["allocatable"].get(name) == "1")
    yield name
    taken = {"status": {"capacity": {name: None}, "allocatable": {name: None}}}
    kube.patch("Node", "", node, taken, subresource="status")


@pytest.fixture
def urgent(workspace: Workspace) -> Iterator[str]:
    """A PriorityClass above all runs."""
    path, body = (
        "/apis/scheduling.k8s.io/v1/priorityclasses",
        {"metadata": {"name": workspace.name}, "value": 100_000},
    )
    workspace.kube.request("POST", path, body)
    yield workspace.name
    workspace.kube.request("DELETE", f"{path}/{workspace.name}")


def with_slot(slot: str) -> Object:
    return {kind: {**amounts, slot: "1"} for kind, amounts in RESOURCES.items()}


@pytest.mark.produces("Preempted")
def test_preempted_by_a_pod_of_higher_priority(workspace: Workspace, slot: str, urgent: str) -> None:
    workspace.run("humble", patient(2), outputs=NEVER, retry=ONCE, resources=with_slot(slot))
    until_training(workspace, "humble", 1)
    workspace.kube.create("Pod", workspace.name, important_pod(urgent, slot))
    run = workspace.until_run("humble", lambda r: r["status"]["attempts"][0].get("endTime"))
    first = run["status"]["attempts"][0]
    assert (first["cause"], first["counted"]) == ("Preempted", False), first
    workspace.delete("Pod", "important", grace_seconds=0)
    assert causes(workspace.succeeded("humble")) == [("Preempted", False), ("Succeeded", None)]


def important_pod(priority: str, slot: str) -> Object:
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["sleep", "3600"],
        "resources": with_slot(slot),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    confined = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {
        "priorityClassName": priority,
        "containers": [container],
        "securityContext": confined,
        "terminationGracePeriodSeconds": 0,
    }
    return {"metadata": {"name": "important"}, "spec": spec}
