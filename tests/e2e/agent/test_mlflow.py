"""Scripts that know nothing of the operator, with the oldest and the newest MLflow client."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from mlops_operator.api.wire import ModelOrder, RunManifest, SidecarOrder
from tests.e2e.agent.conftest import Pod
from tests.e2e.agent.mlflow_clients import REQUIREMENTS, WITH_MODELS, client_python
from tests.e2e.versitygw import Versitygw

SURFACE = Path(__file__).with_name("mlflow_surface.py")
SCRIPT = """
import mlflow
import mlflow.sklearn
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

x, y = load_wine(return_X_y=True)
mlflow.set_experiment("wine")
with mlflow.start_run():
    mlflow.log_params({"learning_rate": 0.1, "epochs": 5})
    for epoch in range(5):
        mlflow.log_metric("loss", 1.0 / (epoch + 1), step=epoch)
    model = LogisticRegression(max_iter=50).fit(x, y)
    mlflow.log_metric("accuracy", model.score(x, y))
    mlflow.sklearn.log_model(model, "model", pip_requirements=["scikit-learn"], registered_model_name="wine")
mlflow.sklearn.autolog(max_tuning_runs=2, log_models=False, log_datasets=False)
with mlflow.start_run():
    GridSearchCV(LogisticRegression(max_iter=20), {"C": [0.1, 1.0]}, cv=2).fit(x, y)
"""


def train(pod: Pod, port: int, python: Path, script: str | bytes, **variables: str) -> str:
    """Run a script as the training beside the sidecar; gives what it said on standard error."""
    path = pod.write("/mlops/code/train.py", script)
    result = subprocess.run(
        [str(python), "-W", "ignore", str(path)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(pod.root),
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
            # scikit-learn's own search for estimators imports setuptools after distutils.
            "SETUPTOOLS_USE_DISTUTILS": "stdlib",
            **variables,
        },
        cwd=path.parent,
        text=True,
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stderr


@pytest.mark.parametrize("version", WITH_MODELS)
def test_an_unmodified_script(pod: Pod, s3: Versitygw, version: str) -> None:
    python = client_python(version)
    order = SidecarOrder(run=pod.run, bucket=s3.hint, experiment="wine", model=ModelOrder(name="wine"))
    port = pod.start_sidecar(order)
    pod.start_training()
    train(pod, port, python, SCRIPT)
    pod.end_training()
    assert pod.acknowledged()["cause"] == "Succeeded"

    kept = RunManifest.model_validate_json(s3.open().get_bytes(f"{pod.run.prefix}manifest.json"))
    assert kept.model is not None
    assert kept.model.selected_by == "mlflow"
    expected = {"2.14.3": ("pickle", "model.pkl"), "3.17.2": ("skops", "model.skops")}[version]
    assert (kept.model.format, kept.model.main_file) == expected
    assert (kept.model.framework, kept.model.framework_version) == (
        "scikit-learn",
        {"2.14.3": "1.5.2", "3.17.2": "1.7.2"}[version],
    )
    assert kept.parameters["learning_rate"] == "0.1"
    metrics = {metric.name: metric for metric in kept.metrics}
    assert (metrics["loss"].latest, metrics["loss"].step) == (0.2, 4)
    history = s3.open().get_bytes(f"{pod.run.attempt_prefix}metrics.jsonl").decode().splitlines()
    ours = [line for line in map(json.loads, history) if line["run"] == kept.tracking_run_id]
    assert [line["step"] for line in ours if line["name"] == "loss"] == [0, 1, 2, 3, 4]
    tracked = json.loads(s3.open().get_bytes(f"{pod.run.attempt_prefix}tracking.json"))
    assert sum("mlflow.parentRunId" in run["tags"] for run in tracked) == 2, "autolog's nested runs"


@pytest.mark.parametrize("version", REQUIREMENTS)
def test_every_call_of_training_code_is_answered(pod: Pod, s3: Versitygw, version: str) -> None:
    """`mlflow_surface.py` holds what the client gets back; here is what is kept of it."""
    port = pod.start_sidecar(SidecarOrder(run=pod.run, bucket=s3.hint, experiment="wine"))
    pod.start_training()
    with_models = {"WITH_MODELS": "1"} if version in WITH_MODELS else {}
    said = train(pod, port, client_python(version), SURFACE.read_bytes(), **with_models)
    assert "all calls were answered" in said
    pod.end_training()
    assert pod.acknowledged()["cause"] == "Succeeded"

    kept = RunManifest.model_validate_json(s3.open().get_bytes(f"{pod.run.prefix}manifest.json"))
    metrics = {metric.name: metric for metric in kept.metrics}
    assert metrics["thread7"].latest == 49
    assert "artifacts/output/mlflow/artifacts/below/deep.txt" in {file.path for file in kept.files}
    tracked = json.loads(s3.open().get_bytes(f"{pod.run.attempt_prefix}tracking.json"))
    names = {run["name"]: run["status"] for run in tracked}
    assert (names["lightning"], names["trainer"], names["failed"]) == ("FINISHED", "FINISHED", "FAILED")
