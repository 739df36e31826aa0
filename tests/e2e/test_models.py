"""Models: verified files, claimed numbers, an item that others find."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tests.e2e.kube import condition, phase
from tests.e2e.workspace import TRAIN, resource

if TYPE_CHECKING:
    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

OUTPUT = {"model": {"name": "probe", "metadata": {"description": "A probe.", "tasks": ["classification"]}}}


def until_ready(workspace: Workspace, name: str) -> Object:
    return workspace.until("ModelVersion", name, lambda v: phase(v) == "Ready")


def test_a_run_makes_its_version(workspace: Workspace) -> None:
    workspace.run("maker", outputs=OUTPUT)
    run = workspace.succeeded("maker")
    version = until_ready(workspace, "probe.1")
    status = version["status"]
    assert status["uri"] == f"s3://{workspace.name}/mlops/models/probe/1/"
    assert status["lineage"]["trainingRun"] == "maker"
    assert condition(version, "Verified")["status"] == "True"
    for entry in status["files"]:
        data = workspace.read(f"mlops/models/probe/1/{entry['path']}")
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    item = workspace.read_json(status["item"])
    assert item["id"] == f"{workspace.name}.probe.1"
    run = workspace.until_run("maker", lambda r: r["status"].get("model", {}).get("name") == "probe.1")
    # Deleting the run deletes no model.
    workspace.delete("TrainingRun", "maker")
    workspace.kube.until_gone("TrainingRun", workspace.name, "maker")
    workspace.until_no_pods("maker")
    assert phase(workspace.get("ModelVersion", "probe.1") or {}) == "Ready"
    assert workspace.run_prefix(run) + "manifest.json" in workspace.keys(workspace.run_prefix(run))


def test_numbers_are_never_used_twice(workspace: Workspace) -> None:
    workspace.run("one", outputs=OUTPUT)
    workspace.succeeded("one")
    until_ready(workspace, "probe.1")
    workspace.delete("ModelVersion", "probe.1")
    workspace.kube.until_gone("ModelVersion", workspace.name, "probe.1")
    workspace.run("two", outputs=OUTPUT)
    workspace.succeeded("two")
    until_ready(workspace, "probe.2")
    assert workspace.get("ModelVersion", "probe.1") is None


def test_a_version_by_hand_is_the_runs_version(workspace: Workspace) -> None:
    workspace.run("hand", outputs={"model": {"name": "probe", "register": "Never"}})
    workspace.succeeded("hand")
    spec = {"model": "by-hand", "version": "1.2.0", "source": {"trainingRun": {"name": "hand"}}}
    workspace.apply(resource("ModelVersion", "by-hand", spec))
    version = until_ready(workspace, "by-hand")
    assert version["status"]["version"] == "1.2.0"
    spec = {"model": "by-hand", "version": "1.2.0", "source": {"trainingRun": {"name": "other"}}}
    workspace.run("other", outputs={"model": {"name": "probe", "register": "Never"}})
    workspace.succeeded("other")
    workspace.apply(resource("ModelVersion", "taken", spec))
    taken = workspace.until("ModelVersion", "taken", lambda v: phase(v) == "Failed")
    assert "1.2.0" in taken["status"]["message"]


def test_a_version_waits_for_its_run_and_fails_with_it(workspace: Workspace) -> None:
    spec = {"model": "late-model", "source": {"trainingRun": {"name": "late"}}}
    workspace.apply(resource("ModelVersion", "late", spec))
    waiting = workspace.until("ModelVersion", "late", lambda v: phase(v) == "Pending")
    assert "late" in waiting["status"]["message"]
    workspace.run("late", TRAIN + "\nraise SystemExit(3)\n")
    workspace.failed("late", "UserError")
    workspace.until("ModelVersion", "late", lambda v: phase(v) == "Failed")


def test_changed_metadata_reaches_the_item(workspace: Workspace) -> None:
    workspace.run("described", outputs=OUTPUT)
    workspace.succeeded("described")
    version = until_ready(workspace, "probe.1")
    body = {"spec": {"metadata": {"description": "A better probe."}}}
    workspace.kube.patch("ModelVersion", workspace.name, "probe.1", body)
    workspace.until(
        "ModelVersion",
        "probe.1",
        lambda v: (
            phase(v) == "Ready" and v["status"]["observedGeneration"] > version["metadata"]["generation"]
        ),
    )
    assert workspace.read_json(version["status"]["item"])["properties"]["description"] == "A better probe."
