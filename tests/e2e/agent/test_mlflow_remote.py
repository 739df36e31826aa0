"""What the code logs is forwarded to a real MLflow server: SharingHub's, and a new one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_operator.api.wire import (
    MLFLOW_CREDENTIALS_DIR,
    TOKEN_FILE,
    ProgressReport,
    RemoteTracking,
    RunManifest,
    SidecarOrder,
    TrackingReport,
    run_tags,
)
from mlops_operator.storage.layout import attempt_progress_key
from tests.e2e.agent.conftest import Pod, wait_for
from tests.e2e.agent.mlflow_clients import client_python
from tests.e2e.agent.mlflow_server import PROJECT, TOKEN, MlflowServer, SharingHub, pairs, stable_port
from tests.e2e.versitygw import Versitygw

BEFORE = """
import math, time, pathlib, mlflow
mlflow.set_experiment("anything")
with mlflow.start_run(run_name="outer") as run:
    mlflow.log_params({"lr": 0.1, "note": "x" * 7000})
    mlflow.set_tags({"team": "eo", "gone": "1"})
    for step in range(50):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    pathlib.Path("half").touch()
    while not pathlib.Path("go-on").exists():
        time.sleep(0.05)
    mlflow.delete_tag("gone")
    for step in range(50, 100):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metric("bad", math.nan, step=1)
    mlflow.log_metric("bad", math.inf, step=2)
    with mlflow.start_run(nested=True, run_name="inner"):
        mlflow.log_metric("accuracy", 0.5)
"""
MODEL = """
import mlflow, mlflow.sklearn
from sklearn.linear_model import LogisticRegression
model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
with mlflow.start_run(run_name="model"):
    mlflow.sklearn.log_model(model, "model", pip_requirements=["scikit-learn"], registered_model_name="wine")
"""
LITERAL = """
import mlflow, sys
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("of the script")
with mlflow.start_run(run_name="mine"):
    mlflow.log_param("epochs", 3)
    for step in range(3):
        mlflow.log_metric("loss", 3.0 - step, step=step)
"""


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[MlflowServer]:
    """SharingHub's version."""
    server = MlflowServer(tmp_path / "mlflow", "2.14.3")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def hub(old_server: MlflowServer) -> Iterator[SharingHub]:
    hub = SharingHub(old_server)
    yield hub
    hub.stop()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path / "mlflow", "3.17.2")
    server.start()
    yield server
    server.stop()


def _order(pod: Pod, s3: Versitygw, uri: str, experiment: str, **fields: Any) -> SidecarOrder:
    """Give an order whose reports nobody takes, so that they lie in the bucket."""
    pod.write(TOKEN_FILE, "token")
    return SidecarOrder(
        run=pod.run,
        bucket=s3.hint,
        experiment="wine",
        remote=RemoteTracking(uri=uri, experiment=experiment, secret="hub-token"),
        progress_url=f"http://127.0.0.1:{stable_port()}/v1/progress",
        progress_interval_seconds=0.1,
        **fields,
    )


def _report(pod: Pod, s3: Versitygw) -> ProgressReport | None:
    key = attempt_progress_key(pod.run)
    if not (s3.objects / key).is_file():
        return None
    return ProgressReport.model_validate_json(s3.open().get_bytes(key))


def _tracking(pod: Pod, s3: Versitygw) -> TrackingReport | None:
    report = _report(pod, s3)
    return report.tracking if report is not None else None


def _metrics(pod: Pod, s3: Versitygw) -> set[str]:
    report = _report(pod, s3)
    return {metric.name for metric in report.metrics} if report is not None else set()


def _until(pod: Pod, s3: Versitygw, state: str) -> TrackingReport:
    def reached() -> TrackingReport | None:
        report = _tracking(pod, s3)
        return report if report is not None and report.state == state else None

    found = wait_for(reached, f"the state {state}", 300)
    assert found is not None
    return found


def _script(pod: Pod, version: str, port: int, text: str, *args: str) -> subprocess.Popen[bytes]:
    script = pod.write(f"/mlops/code/{len(text)}.py", text)
    with (pod.root / "script.log").open("ab") as log:
        return subprocess.Popen(
            [str(client_python(version)), "-W", "ignore", str(script), *args],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(pod.root),
                "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
                "MLFLOW_RUN_CONTEXT": json.dumps(run_tags(pod.run)),
                "SETUPTOOLS_USE_DISTUTILS": "stdlib",
            },
            cwd=script.parent,
            stdout=log,
            stderr=log,
        )


def _ended(pod: Pod, process: subprocess.Popen[bytes]) -> None:
    code = process.wait(timeout=600)
    assert code == 0, (pod.root / "script.log").read_text(encoding="utf-8")[-4000:]


def test_an_outage_a_wrong_token_and_a_killed_sidecar_lose_nothing(
    pod: Pod, s3: Versitygw, old_server: MlflowServer, hub: SharingHub
) -> None:
    experiment = f"wine{PROJECT}"
    order = _order(pod, s3, hub.uri, experiment, parameters={"epochs": 5, "lr": 0.1})
    pod.write(f"{MLFLOW_CREDENTIALS_DIR}/MLFLOW_TRACKING_TOKEN", "wrong")
    port = pod.start_sidecar(order, stable_port())
    pod.start_training()
    script = _script(pod, "2.14.3", port, BEFORE)
    wait_for(pod.path("/mlops/code/half").exists, "the first half", 300)
    assert "does not answer" in _until(pod, s3, "Unreachable").message

    hub.start()
    message = _until(pod, s3, "Refused").message
    for part in ("401", "Secret hub-token", "MLFLOW_TRACKING_TOKEN"):
        assert part in message
    pod.write(f"{MLFLOW_CREDENTIALS_DIR}/MLFLOW_TRACKING_TOKEN", TOKEN)
    _until(pod, s3, "Forwarding")
    pod.kill_sidecar()
    assert pod.start_sidecar(order, port) == port
    pod.write("/mlops/code/go-on", "")
    _ended(pod, script)
    _ended(pod, _script(pod, "2.14.3", port, MODEL))
    pod.end_training()
    assert pod.acknowledged()["cause"] == "Succeeded"

    runs = old_server.runs(experiment)
    assert set(runs) == {"outer", "inner", "model"}
    outer = runs["outer"]
    assert dict(old_server.history(outer, "loss")) == {step: 1 / (step + 1) for step in range(100)}
    assert [step for step, _ in old_server.history(outer, "bad")] == [1, 2]
    params, tags = pairs(outer, "params"), pairs(outer, "tags")
    assert (params["lr"], params["epochs"], len(params["note"])) == ("0.1", "5", 6000)
    assert (tags["team"], "gone" in tags) == ("eo", False)
    assert run_tags(pod.run).items() <= tags.items()
    assert pairs(runs["inner"], "tags")["mlflow.parentRunId"] == outer["info"]["run_id"]
    assert {run["info"]["status"] for run in runs.values()} == {"FINISHED"}

    (version,) = old_server.call("GET", "model-versions/search", filter="name='wine (42)'")["model_versions"]
    assert version["run_id"] == runs["model"]["info"]["run_id"]
    assert version["source"].startswith(runs["model"]["info"]["artifact_uri"])
    path = version["source"].split("mlflow-artifacts:", 1)[1].lstrip("/")
    model = (old_server.folder / "artifacts" / path / "MLmodel").read_text()
    assert f"run_id: {version['run_id']}" in model
    report = _tracking(pod, s3)
    assert report is not None
    assert (report.state, report.run_id) == ("Forwarded", outer["info"]["run_id"])
    assert (
        report.url
        == f"{hub.uri.rstrip('/')}/#/experiments/{outer['info']['experiment_id']}/runs/{report.run_id}"
    )
    kept = RunManifest.model_validate_json(s3.open().get_bytes(f"{pod.run.prefix}manifest.json"))
    assert any("6000" in warning for warning in kept.warnings)


def test_a_new_server_gets_the_model_and_a_script_that_passes_by_is_followed(
    pod: Pod, s3: Versitygw, new_server: MlflowServer
) -> None:
    port = pod.start_sidecar(_order(pod, s3, new_server.uri, "wine"))
    pod.start_training()
    _ended(pod, _script(pod, "3.17.2", port, MODEL))
    _ended(pod, _script(pod, "3.17.2", port, LITERAL, new_server.uri))
    wait_for(lambda: "loss" in _metrics(pod, s3), "the metrics of the script's own run", 300)
    pod.end_training()
    assert pod.acknowledged()["cause"] == "Succeeded"

    (run,) = new_server.runs("wine").values()
    (model,) = new_server.call("POST", "logged-models/search", experiment_ids=[run["info"]["experiment_id"]])[
        "models"
    ]
    assert (model["info"]["status"], model["info"]["source_run_id"]) == (
        "LOGGED_MODEL_READY",
        run["info"]["run_id"],
    )
    assert run["outputs"]["model_outputs"][0]["model_id"] == model["info"]["model_id"]
    files = sorted(path.name for path in (new_server.folder / "artifacts").rglob("*.skops"))
    assert files == ["model.skops"]
    (version,) = new_server.call("GET", "model-versions/search", filter="name='wine'")["model_versions"]
    assert version["source"] == f"models:/{model['info']['model_id']}"

    (theirs,) = new_server.runs("of the script").values()
    assert set(new_server.runs("wine")) == {"model"}, "what was copied is not sent back"
    kept = RunManifest.model_validate_json(s3.open().get_bytes(f"{pod.run.prefix}manifest.json"))
    loss = next(metric for metric in kept.metrics if metric.name == "loss")
    assert (loss.latest, loss.max, loss.step) == (1.0, 3.0, 2)
    assert pod.kill_sidecar(signal.SIGTERM) == 0
    assert theirs["info"]["run_id"] in (s3.objects / pod.run.attempt_prefix / "tracking.json").read_text()


def test_a_server_that_stays_away_delays_nothing(pod: Pod, s3: Versitygw) -> None:
    pod.start_sidecar(_order(pod, s3, f"http://127.0.0.1:{stable_port()}/nothing", "wine"))
    pod.start_training()
    pod.write("/mlops/output/metrics.jsonl", '{"step": 1, "loss": 0.5}\n')
    pod.end_training()
    assert pod.acknowledged()["cause"] == "Succeeded"
    report = _tracking(pod, s3)
    assert report is not None
    assert report.state == "Incomplete"
    assert "does not answer" in report.message
    assert "bucket" in report.message
    assert s3.open().head(f"{pod.run.prefix}manifest.json") is not None
