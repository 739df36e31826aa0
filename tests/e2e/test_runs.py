"""A run as a user meets it: code, data and parameters go in; metrics, files and a record come out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.e2e.kube import condition
from tests.e2e.workspace import TRAIN

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

MLFLOW = """\
import mlflow, os, pathlib
mlflow.set_experiment("anything")
with mlflow.start_run():
    mlflow.log_params({"depth": 3})
    for step in range(5):
        mlflow.log_metric("accuracy", 0.5 + step / 10, step=step)
pathlib.Path("notes.txt").write_text("kept")
pathlib.Path("model.onnx.txt").write_text("not a model")
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "report.txt").write_text("report")
"""

EVERYTHING = """\
import getpass, json, os, pathlib, sys
data = pathlib.Path(os.environ["MLOPS_DATASETS_DIR"], "points", "a.csv").read_text()
params = json.loads(pathlib.Path(os.environ["MLOPS_PARAMS_FILE"]).read_text())
report = {
    "args": sys.argv[1:], "cwd": os.getcwd(), "user": getpass.getuser(), "home": os.access(os.environ["HOME"], os.W_OK),
    "params": params, "rate": os.environ["PARAM_LEARNING_RATE"], "data": data,
    "greeting": os.environ["GREETING"], "secret": os.environ["TOKEN"] == "hidden-value", "mode": os.environ["MODE"],
    "credentials": sorted(k for k in os.environ if k.startswith("AWS_")),
    "token": os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount"), "s3": os.path.exists("/mlops/credentials"),
}
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "seen.json").write_text(json.dumps(report))
"""

LIVE = """\
import json, os, pathlib, time
metrics = open(os.environ["MLOPS_METRICS_FILE"], "a", buffering=1)
for step in range(1000):
    metrics.write(json.dumps({"step": step, "loss": 1 / (step + 1)}) + "\\n")
    if pathlib.Path("/mlops/output/stop").exists():
        break
    time.sleep(0.2)
"""


def test_a_run_trains_and_keeps_everything(workspace: Workspace) -> None:
    workspace.run("first", outputs={"model": {"name": "first-model", "register": "Never"}}, experiment="demo")
    run = workspace.succeeded("first")
    status = run["status"]
    assert condition(run, "Complete")["status"] == "True"
    assert condition(run, "Ready")["status"] == "True"
    assert condition(run, "Reconciling")["status"] == "False"
    assert {m["name"]: m["latest"] for m in status["metrics"]} == {"loss": 1 / 3}
    assert status["attempts"][0]["number"] == 1
    assert status["attempts"][0]["cause"] == "Succeeded"
    assert (
        status["resolved"]["image"].split("@")[-1].startswith("sha256:")
        or "sha256:" in status["resolved"]["image"]
    )
    manifest = workspace.manifest(run)
    assert manifest["model"]["mainFile"].endswith("model.bin")
    workspace.check_files(run)
    prefix = workspace.run_prefix(run)
    assert status["storage"]["uri"] == f"s3://{workspace.name}/{prefix}"
    keys = workspace.keys(prefix)
    assert {prefix + name for name in ("record.json", "params.json", "manifest.json")} <= set(keys)
    assert b"trained" in workspace.read(f"{prefix}attempts/1/logs/train.log")
    points = [json.loads(line) for line in workspace.read(f"{prefix}attempts/1/metrics.jsonl").splitlines()]
    assert len(points) == 3


def test_a_script_that_knows_only_mlflow(workspace: Workspace) -> None:
    workspace.run("tracked", MLFLOW, outputs={"artifacts": [{"name": "notes", "path": "notes.txt"}]})
    run = workspace.succeeded("tracked")
    accuracy = next(m for m in run["status"]["metrics"] if m["name"] == "accuracy")
    assert (accuracy["latest"], accuracy["min"], accuracy["max"], accuracy["step"]) == (0.9, 0.5, 0.9, 4)
    keys = workspace.keys(workspace.run_prefix(run))
    assert any(key.endswith("artifacts/notes/notes.txt") for key in keys), keys
    assert any(key.endswith("report.txt") for key in keys), keys


def test_everything_a_spec_names_reaches_the_command(workspace: Workspace) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys"},
        "stringData": {"TOKEN": "hidden-value"},
    }
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"MODE": "fast"},
    }
    workspace.apply(secret, settings)
    workspace.dataset("points", {"a.csv": b"1,2", "b.csv": b"3,4"})
    workspace.run(
        "full",
        EVERYTHING,
        args=["--rate", "$(PARAM_LEARNING_RATE)"],
        env=[
            {"name": "GREETING", "value": "hello"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "TOKEN"}}},
        ],
        envFrom=[{"configMapRef": {"name": "settings"}}],
        parameters={"learning_rate": 0.01, "epochs": 20, "fast": True, "name": "x"},
        datasets=[{"name": "points", "include": ["a.csv"]}],
        scheduling={"nodeSelector": {"kubernetes.io/os": "linux"}},
        deadlineSeconds=600,
    )
    run = workspace.succeeded("full")
    key = next(k for k in workspace.keys(workspace.run_prefix(run)) if k.endswith("seen.json"))
    assert workspace.read_json(key) == {
        "args": ["--rate", "0.01"], "cwd": "/mlops/code", "user": "mlops", "home": True,
        "params": {"learning_rate": 0.01, "epochs": 20, "fast": True, "name": "x"}, "rate": "0.01", "data": "1,2",
        "greeting": "hello", "secret": True, "mode": "fast", "credentials": [], "token": False, "s3": False,
    }  # fmt: skip
    dataset = run["status"]["resolved"]["datasets"][0]
    assert dataset["version"] == "1"
    assert dataset["digest"].startswith("sha256:")


def test_metrics_are_live_and_cancel_keeps_them(workspace: Workspace) -> None:
    workspace.run("live", LIVE)
    run = workspace.until_run(
        "live", lambda r: any(m["step"] > 5 for m in r.get("status", {}).get("metrics", []))
    )
    assert run["status"]["phase"] == "Running"
    workspace.kube.patch("TrainingRun", workspace.name, "live", {"spec": {"cancel": True}})
    run = workspace.until_ended("live")
    assert run["status"]["phase"] == "Cancelled"
    workspace.until_no_pods("live")
    log = f"{workspace.run_prefix(run)}attempts/1/metrics.jsonl"
    assert len(workspace.read(log).splitlines()) > 5
    assert f"{workspace.run_prefix(run)}manifest.json" not in workspace.keys(workspace.run_prefix(run))


def test_a_deleted_run_leaves_no_pod_and_keeps_its_data(workspace: Workspace) -> None:
    workspace.run("gone", LIVE)
    run = workspace.until_phase("gone", "Running")
    workspace.delete("TrainingRun", "gone")
    workspace.until_no_pods("gone")
    assert f"{workspace.run_prefix(run)}record.json" in workspace.keys(workspace.run_prefix(run))


def test_a_run_with_the_same_name_is_another_run(workspace: Workspace) -> None:
    workspace.run("again", TRAIN)
    first = workspace.succeeded("again")
    workspace.delete("TrainingRun", "again")
    workspace.kube.until_gone("TrainingRun", workspace.name, "again")
    workspace.kube.until_gone("Job", workspace.name, "again-1")
    workspace.run("again", TRAIN)
    second = workspace.succeeded("again")
    assert workspace.run_prefix(first) != workspace.run_prefix(second)
    workspace.check_files(first)
    workspace.check_files(second)
