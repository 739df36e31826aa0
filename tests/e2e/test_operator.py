"""The operator itself: its certificate, what it believes a pod, and Jobs that are not its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e import operator_pod
from tests.e2e.kube import phase
from tests.e2e.workspace import IMAGE, TRAIN

if TYPE_CHECKING:
    from tests.e2e.kube import Kube
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.disruptive

WAIT = "import time\ntime.sleep(300)\n"

# Run in the sidecar: says what the progress endpoint answers to a report on a run, with the pod's own token.
SPEAK = """\
import json, os, ssl, sys, urllib.error, urllib.request
order = json.loads(os.environ["MLOPS_ORDER"])
run = {**order["run"], **json.loads(sys.argv[1])}
report = {"run": run, "podUid": os.environ["MLOPS_POD_UID"], "sequence": 2**62, "phase": "Running", "step": 77}
token = open("/mlops/token/token").read() if sys.argv[2] == "own" else "not-a-token"
request = urllib.request.Request(
    order["progressUrl"], json.dumps(report).encode(),
    {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, method="POST")
context = ssl.create_default_context(cadata=os.environ["MLOPS_PROGRESS_CA"])
try:
    print(urllib.request.urlopen(request, context=context, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def speak(workspace: Workspace, pod: str, as_run: dict[str, str], token: str = "own") -> str:
    done = workspace.kube.kubectl(
        "-n", workspace.name, "exec", pod, "-c", "agent", "--", "python", "-c", SPEAK, json.dumps(as_run), token
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pod_speaks_only_for_its_own_run(workspace: Workspace) -> None:
    workspace.run("talker", WAIT)
    workspace.run("other", WAIT)
    workspace.until_phase("talker", "Running")
    other = workspace.until_phase("other", "Running")
    pod = workspace.until_pod("talker")["metadata"]["name"]
    theirs = {"name": "other", "uid": other["metadata"]["uid"]}
    assert speak(workspace, pod, theirs) == "403"
    assert speak(workspace, pod, {"namespace": "default"}) == "403"
    assert speak(workspace, pod, {}, token="wrong") == "401"
    assert speak(workspace, pod, {}) == "204"
    workspace.until_run("talker", lambda r: r["status"].get("progress", {}).get("step") == 77)
    seen = workspace.get("TrainingRun", "other") or {}
    assert "step" not in seen["status"].get("progress", {})


@pytest.mark.produces("JobNameTaken")
def test_a_foreign_job_is_never_touched(workspace: Workspace) -> None:
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["python", "-c", "pass"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "securityContext": security, "containers": [container]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "taken-1"},
        "spec": {"template": {"spec": pod}},
    }
    workspace.apply(job)
    before = workspace.get("Job", "taken-1")
    assert before is not None
    workspace.run("taken", TRAIN)
    assert "taken-1" in workspace.waits_for("taken", "JobNameTaken")
    after = workspace.get("Job", "taken-1")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    workspace.delete("Job", "taken-1")
    workspace.succeeded("taken")


def test_a_lost_certificate_is_made_anew(workspace: Workspace, kube: Kube) -> None:
    name = "mlops-operator-progress"
    kube.patch("Secret", operator_pod.NAMESPACE, name, {"data": {"tls.crt": None}})
    operator_pod.restart(kube)
    secret = kube.get("Secret", operator_pod.NAMESPACE, name)
    assert secret is not None
    assert secret["data"]["tls.crt"]
    workspace.run("after", TRAIN)
    assert phase(workspace.succeeded("after")) == "Succeeded"
