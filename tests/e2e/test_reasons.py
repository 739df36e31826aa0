"""Reasons that no other test has to produce anyway: why a run is not accepted, why it waits, and how it ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e import faults
from tests.e2e.kube import PATIENCE_SECONDS, condition, phase, poll
from tests.e2e.workspace import TRAIN, UNTIL_TOLD, training_run

if TYPE_CHECKING:
    from hack.services.s3 import S3Service
    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

# It ends when the test is done with it, and cannot be asked to end before.
STUBBORN = f"import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep({2 * PATIENCE_SECONDS})\n"


def not_accepted(workspace: Workspace, name: str, reason: str) -> str:
    """Wait until a run is told that it is not accepted; gives the message."""
    run = workspace.until_run(name, lambda r: condition(r, "Accepted").get("reason") == reason)
    assert condition(run, "Accepted")["status"] == "False"
    assert condition(run, "Stalled")["status"] == "True"
    return str(condition(run, "Accepted")["message"])


@pytest.mark.produces("BadPattern", "SpecTooLarge", "WorkingDirNotShared", "Invalid")
def test_what_cannot_be_carried_out_is_not_accepted(workspace: Workspace) -> None:
    workspace.run("pattern", metrics={"sources": [{"type": "Stdout", "pattern": "(?=loss)(?P<loss>.)"}]})
    workspace.run("large", source={"inline": {"files": {"train.py": "#" + "\u20ac" * 30_000}}})
    workspace.run("elsewhere", workingDir="/app", outputs={"artifacts": [{"name": "a", "path": "a.txt"}]})
    workspace.run("label", scheduling={"nodeSelector": {"not a label!": "x"}})
    assert "invalid perl operator: (?=" in not_accepted(workspace, "pattern", "BadPattern")
    assert "Keep code in Git" in not_accepted(workspace, "large", "SpecTooLarge")
    assert "MLOPS_OUTPUT_DIR" in not_accepted(workspace, "elsewhere", "WorkingDirNotShared")
    assert "not a label!" in not_accepted(workspace, "label", "Invalid")
    for name in ("pattern", "large", "elsewhere", "label"):
        assert workspace.pods(name) == []


@pytest.mark.produces("BadQuantity", "RequestAboveLimit", "ParameterNamesCollide", "DatasetTwice")
def test_what_kubectl_apply_refuses_already(workspace: Workspace) -> None:
    refused: dict[str, tuple[dict[str, Any], str]] = {
        "BadQuantity": ({"resources": {"limits": {"memory": "much"}}}, "spec.resources.limits.memory"),
        "RequestAboveLimit": (
            {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
            "more than what limits allow",
        ),
        "ParameterNamesCollide": ({"parameters": {"a-b": 1, "a_b": 2}}, "two names stand for one variable"),
        "DatasetTwice": ({"datasets": [{"name": "wine"}, {"name": "wine"}]}, "Duplicate value"),
    }
    for reason, (spec, said) in refused.items():
        body = json.dumps(training_run("refused", TRAIN, **spec))
        answer = workspace.kube.kubectl("-n", workspace.name, "apply", "-f", "-", input=body)
        assert answer.returncode != 0, reason
        assert said in answer.stderr, f"{reason}: {answer.stderr}"


def _cancel(workspace: Workspace, name: str) -> None:
    workspace.kube.patch("TrainingRun", workspace.name, name, {"spec": {"cancel": True}})


@pytest.mark.produces("Cancelling", "Cancelled", "Terminating", "ContainerCrashes")
def test_what_ends_while_it_runs(workspace: Workspace) -> None:
    for name in ("cancelled", "deleted", "crashing"):
        workspace.run(name, STUBBORN)
    for name in ("cancelled", "deleted", "crashing"):
        workspace.until_phase(name, "Running")

    _cancel(workspace, "cancelled")
    workspace.delete("Pod", workspace.pods("deleted")[0]["metadata"]["name"])
    assert "being cancelled" in workspace.waits_for("cancelled", "Cancelling")
    assert "time to upload" in workspace.waits_for("deleted", "Terminating")
    run = workspace.until_ended("cancelled")
    assert (phase(run), run["status"]["reason"]) == ("Cancelled", "Cancelled")
    assert "what it had written is kept" in run["status"]["message"]

    status = _crash(workspace, "crashing")
    assert status["reason"] == "ContainerCrashes"
    assert "Container agent ended" in status["message"]
    assert "-c agent --previous" in status["message"]
    for name in ("deleted", "crashing"):
        _cancel(workspace, name)


def _crash(workspace: Workspace, name: str) -> Object:
    """Kill the sidecar as often as it comes, until the run waits for it; gives the status."""
    uid = workspace.pods(name)[0]["metadata"]["uid"]
    status: Object = {}
    for _ in poll(PATIENCE_SECONDS):
        if faults.processes_of_pod(uid, "mlops_operator.agent"):
            faults.kill_in_pod(uid, "mlops_operator.agent")
        status = dict((workspace.get("TrainingRun", name) or {})["status"])
        if status["reason"] != "Running":
            break
    return status


@pytest.mark.produces("ContainerNotCreated", "VolumesNotReady", "InternalError")
def test_what_keeps_a_pod_from_starting(workspace: Workspace) -> None:
    workspace.apply(_config_map("broken", {"MLOPS_ENTRYPOINT_LOG_BYTES": "much"}))
    workspace.run("no-settings", envFrom=[{"configMapRef": {"name": "settings"}}])
    volume = {"name": "data", "configMap": {"name": "absent"}}
    mount = {"name": "data", "mountPath": "/data"}
    workspace.run("no-volume", pod={"volumes": [volume], "volumeMounts": [mount]})
    workspace.run("entrypoint", envFrom=[{"configMapRef": {"name": "broken"}}], retry={"limit": 0})

    assert 'configmap "settings" not found' in workspace.waits_for("no-settings", "ContainerNotCreated")
    workspace.apply(_config_map("settings", {"MODE": "fast"}))
    message = workspace.failed("entrypoint", "InternalError")["message"]
    assert "MLOPS_ENTRYPOINT_LOG_BYTES" in message
    workspace.succeeded("no-settings")
    message = workspace.waits_for("no-volume", "VolumesNotReady")
    assert "describe pod" in message
    _cancel(workspace, "no-volume")


def _config_map(name: str, data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@pytest.mark.produces("StorageDenied", kind="Waiting")
def test_a_bucket_that_refuses_the_operator_is_asked_again(workspace: Workspace, s3: S3Service) -> None:
    """The pod is gone: only the bucket knows whether the run has succeeded."""
    workspace.run("denied", UNTIL_TOLD)
    workspace.until_phase("denied", "Running")
    s3.roll_over_credentials(workspace.name)
    workspace.end_and_lose_the_pod("denied")
    message = workspace.waits_for("denied", "StorageDenied")
    assert "is looked at again" in message
    _cancel(workspace, "denied")
    assert phase(workspace.until_ended("denied")) == "Cancelled"
