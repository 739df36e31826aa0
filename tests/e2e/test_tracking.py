"""What a run says of its metrics: that none arrived, and that the remote MLflow server did not get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.kube import condition

if TYPE_CHECKING:
    from tests.e2e.workspace import Workspace

TRACKED = """\
import json, mlflow, os, pathlib
with mlflow.start_run() as run:
    for step in range(5):
        mlflow.log_metric("accuracy", 0.5 + step / 10, step=step)
    tags = mlflow.get_run(run.info.run_id).data.tags
seen = {
    "tags": {key: value for key, value in tags.items() if key.startswith("mlops.")},
    "secret": os.path.exists("/mlops/credentials"),
    "token": "MLFLOW_TRACKING_TOKEN" in os.environ,
}
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "seen.json").write_text(json.dumps(seen))
"""


def test_a_remote_server_that_is_away_delays_nothing(workspace: Workspace) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mlflow"},
        "stringData": {"MLFLOW_TRACKING_TOKEN": "hidden-value"},
    }
    uri = f"http://mlflow.{workspace.name}.svc:5000"
    mlflow = {"uri": uri, "experiment": "wine (42)", "credentialsSecretRef": {"name": "mlflow"}}
    workspace.run("tracked", TRACKED, tracking={"mlflow": mlflow})
    workspace.run("silent", "print('nothing is logged')")
    assert "mlflow" in workspace.waits_for("tracked", "SecretMissing")
    workspace.apply(secret)

    run = workspace.succeeded("tracked")
    forwarded = condition(run, "MetricsForwarded")
    assert (forwarded["status"], forwarded["reason"]) == ("False", "Incomplete"), forwarded
    assert uri in forwarded["message"]
    assert "bucket" in forwarded["message"]
    assert condition(run, "MetricsReceived")["status"] == "True"
    assert condition(run, "Ready")["status"] == "True"
    assert next(m for m in run["status"]["metrics"] if m["name"] == "accuracy")["latest"] == 0.9
    key = next(k for k in workspace.keys(workspace.run_prefix(run)) if k.endswith("seen.json"))
    assert workspace.read_json(key) == {
        "tags": {
            "mlops.eoepca.org/run": f"{workspace.name}/tracked",
            "mlops.eoepca.org/run-uid": run["metadata"]["uid"],
            "mlops.eoepca.org/attempt": "1",
        },
        "secret": False,
        "token": False,
    }

    silent = workspace.succeeded("silent")
    received = condition(silent, "MetricsReceived")
    assert (received["status"], received["reason"]) == ("False", "NoMetrics")
    assert "spec.tracking.mlflow.uri" in received["message"]
    assert condition(silent, "MetricsForwarded") == {}
