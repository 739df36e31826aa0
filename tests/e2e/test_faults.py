"""What breaks while a run is under way, and how it ends all the same."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from tests.e2e.faults import kill_in_pod
from tests.e2e.kube import phase, poll
from tests.e2e.workspace import TRAIN

if TYPE_CHECKING:
    from hack.services.s3 import S3Service
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.disruptive

# Enough that the upload takes a second or two under the agent's limits.
BIG = (
    TRAIN
    + "\nfor i in range(8):\n    pathlib.Path(f'/mlops/output/part-{i}.bin').write_bytes(os.urandom(12_000_000))\n"
)
MODEL = {"model": {"name": "survivor", "register": "Never"}}
DEAF = """\
import os, pathlib, signal, sys, time
if os.environ["MLOPS_ATTEMPT"] != "1":
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("/mlops/output/partial.txt").write_text("kept")
print("deaf", flush=True)
while True:
    time.sleep(1)
"""
UNTIL_TOLD = """\
import os, pathlib, time
for _ in range(600):
    if pathlib.Path("/mlops/output/go").exists():
        break
    time.sleep(0.1)
pathlib.Path(os.environ["MLOPS_MODEL_DIR"]).mkdir(parents=True, exist_ok=True)
pathlib.Path(os.environ["MLOPS_MODEL_DIR"], "model.bin").write_bytes(b"x" * 100_000)
"""

OUTAGE_SECONDS = 60.0


def test_the_sidecar_is_killed_in_the_upload(workspace: Workspace) -> None:
    workspace.run("survivor", BIG, outputs=MODEL)
    workspace.until_phase("survivor", "Uploading")
    pod = workspace.pods("survivor")[0]
    kill_in_pod(pod["metadata"]["uid"], "mlops_operator.agent")
    run = workspace.succeeded("survivor")
    workspace.check_files(run)
    pod = workspace.pods("survivor")[0]
    agent = next(c for c in pod["status"]["initContainerStatuses"] if c["name"] == "agent")
    assert agent["restartCount"] >= 1


def test_s3_is_down_for_a_minute_in_the_upload(workspace: Workspace, s3: S3Service) -> None:
    workspace.run("patient", BIG, outputs=MODEL)
    workspace.until_phase("patient", "Uploading")
    s3.scale(0)
    try:
        for _ in poll(OUTAGE_SECONDS):
            run = workspace.get("TrainingRun", "patient")
            assert run is not None
            assert phase(run) == "Uploading", run["status"]
    finally:
        s3.scale(1)
    workspace.check_files(workspace.succeeded("patient"))


def test_credentials_are_rolled_over_in_mid_training(workspace: Workspace, s3: S3Service) -> None:
    workspace.run("rolled", UNTIL_TOLD, outputs=MODEL)
    workspace.until_phase("rolled", "Running")
    new = s3.roll_over_credentials(workspace.name)
    body = {
        "data": {
            "AWS_ACCESS_KEY_ID": base64.b64encode(new.access_key.encode()).decode(),
            "AWS_SECRET_ACCESS_KEY": base64.b64encode(new.secret_key.encode()).decode(),
        }
    }
    workspace.kube.patch("Secret", workspace.name, f"{workspace.name}-datalab", body)
    workspace.s3 = s3.client(new)
    pod = workspace.pods("rolled")[0]["metadata"]["name"]
    done = workspace.kube.kubectl(
        "-n", workspace.name, "exec", pod, "-c", "train", "--", "touch", "/mlops/output/go"
    )
    assert done.returncode == 0, done.stderr
    # The kubelet brings a changed Secret into a running pod within two minutes.
    workspace.check_files(workspace.succeeded("rolled"))


@pytest.mark.produces("Terminating")
def test_a_command_that_ignores_sigterm_is_deleted(workspace: Workspace) -> None:
    workspace.run("deaf", DEAF)
    run = workspace.until_phase("deaf", "Running")
    log = f"{workspace.run_prefix(run)}attempts/1/logs/train.log"
    pod = workspace.until_pod("deaf")["metadata"]["name"]
    workspace.until_logged(pod, "deaf")
    workspace.delete("Pod", pod)
    workspace.waits_for("deaf", "Terminating")
    ended = workspace.succeeded("deaf")
    assert [a["cause"] for a in ended["status"]["attempts"]] == ["Deleted", "Succeeded"]
    keys = workspace.keys(workspace.run_prefix(run))
    assert log in keys, keys
    assert any(key.endswith("partial.txt") for key in keys), keys
