"""What stays of a run when its resource has gone, and when the resource goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.kube import PATIENCE_SECONDS, NeverHappenedError, phase, poll
from tests.e2e.workspace import TRAIN, training_run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.e2e.workspace import Workspace

FAILS = "print('some words before the end'); raise SystemExit(7)"


def index(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Give the entries of the index by run; of several the newest."""
    found: dict[str, dict[str, Any]] = {}
    for key in workspace.keys("mlops/runs/index/new/"):
        entry = workspace.read_json(key)
        if entry["generation"] >= found.get(entry["name"], entry)["generation"]:
            found[entry["name"]] = entry
    return found


def until_recorded(workspace: Workspace, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    missing = set(names)
    for _ in poll(PATIENCE_SECONDS):
        entries = index(workspace)
        missing = set(names) - set(entries)
        if not missing:
            return entries
    raise NeverHappenedError(f"not in the index: {sorted(missing)}")


def test_the_history_of_a_run_outlives_its_resource(workspace: Workspace) -> None:
    workspace.run(
        "good",
        TRAIN,
        experiment="history",
        parameters={"learning_rate": 0.1},
        outputs={"model": {"name": "lasting"}},
        rerunOf={"name": "earlier"},
    )
    workspace.run("fleeting", FAILS, ttlSecondsAfterFinished=0)

    # Its time is over as soon as it has ended; the index and run.json say how.
    fleeting = until_recorded(workspace, ["fleeting"])["fleeting"]
    workspace.kube.until_gone("TrainingRun", workspace.name, "fleeting")
    assert (fleeting["phase"], fleeting["reason"]) == ("Failed", "UserError")
    prefix = f"mlops/runs/fleeting-{fleeting['uid'][:8]}/"
    kept = workspace.read_json(f"{prefix}run.json")
    assert kept["status"]["failure"]["exitCode"] == 7
    assert kept["spec"]["source"]["inline"]["files"]["train.py"] == FAILS
    assert b"some words" in workspace.read(f"{prefix}attempts/1/logs/train.log")

    # What is needed to run it again, with what it really used.
    workspace.succeeded("good")
    good = workspace.until_run("good", lambda r: r["status"].get("recorded"))
    assert good["status"]["recorded"]["generation"] == good["metadata"]["generation"]
    assert good["status"]["recorded"]["model"] == good["status"]["model"]["name"] == "lasting.1"
    record = workspace.read_json(workspace.run_prefix(good) + "run.json")
    assert record["spec"] == good["spec"]
    assert "sha256:" in record["status"]["resolved"]["image"]
    assert record["status"]["attempts"][0]["nodeName"]
    assert "managedFields" not in record["metadata"]
    entry = index(workspace)["good"]
    assert entry["metrics"] == {"loss": 1 / 3}
    assert (entry["experiment"], entry["model"], entry["rerunOf"]["name"]) == (
        "history",
        "lasting.1",
        "earlier",
    )

    # What is changed later is recorded, too; then the resource goes, and nothing else.
    changes = {"archived": True, "displayName": "Good enough", "ttlSecondsAfterFinished": 0}
    workspace.kube.patch("TrainingRun", workspace.name, "good", {"spec": changes})
    workspace.kube.until_gone("TrainingRun", workspace.name, "good")
    entry = index(workspace)["good"]
    assert (entry["archived"], entry["displayName"]) == (True, "Good enough")
    version = workspace.until("ModelVersion", "lasting.1", lambda v: phase(v) == "Ready")
    assert version["status"]["digest"]
    workspace.check_files(good)


def test_the_platform_keeps_the_newest_of_each_outcome(workspace: Workspace) -> None:
    # Of the operator's own configuration: so many cancelled runs stay in a namespace.
    config = workspace.kube.get("ConfigMap", "mlops-system", configuration(workspace))
    assert config is not None
    keep = int(yaml.safe_load(config["data"]["config.yaml"])["runRetention"]["cancelled"]["keep"])
    names = [f"cancelled-{number}" for number in range(keep + 3)]
    workspace.apply(*(training_run(name, cancel=True) for name in names))
    entries = until_recorded(workspace, names)
    assert {entry["phase"] for entry in entries.values()} == {"Cancelled"}
    left: list[str] = []
    for _ in poll(PATIENCE_SECONDS):
        left = [run["metadata"]["name"] for run in workspace.kube.list("TrainingRun", workspace.name)]
        if len(left) <= keep:
            break
    assert len(left) == keep
    oldest_left = min(entries[name]["completionTime"] for name in left)
    assert all(entries[name]["completionTime"] <= oldest_left for name in set(names) - set(left))


def configuration(workspace: Workspace) -> str:
    """Give the name of the ConfigMap that the operator runs with."""
    deployment = workspace.kube.get("Deployment", "mlops-system", "mlops-operator") or {}
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    (name,) = {volume["configMap"]["name"] for volume in volumes if "configMap" in volume}
    return str(name)
