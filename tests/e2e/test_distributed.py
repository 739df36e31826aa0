"""Several workers: they find each other, speak with one voice, fail by one cause and begin again together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import PATIENCE_SECONDS, poll

if TYPE_CHECKING:
    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

# Both meet at worker 0: each sends a number there and gets the sum of all. Names appear in DNS a little late.
MEET = f"""\
import json, os, pathlib, socket, sys, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
master, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])

def connect(address):
    end = time.monotonic() + {PATIENCE_SECONDS}
    while True:
        try:
            return socket.create_connection(address, timeout={PATIENCE_SECONDS})
        except OSError as error:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)

def all_sum(number):
    if rank:
        with connect((master, port)) as peer, peer.makefile("rw") as lines:
            print(number, file=lines, flush=True)
            return int(lines.readline())
    with socket.create_server(("", port)) as server:
        server.settimeout({PATIENCE_SECONDS})
        peers = [server.accept()[0].makefile("rw") for _ in range(size - 1)]
    total = number + sum(int(lines.readline()) for lines in peers)
    for lines in peers:
        print(total, file=lines, flush=True)
    return total

print(f"worker {{rank}} of {{size}}: the sum is {{all_sum(rank + 1)}}", flush=True)
"""

TRAIN = f"""{MEET}
tensorflow = json.loads(os.environ["TF_CONFIG"])
assert tensorflow["task"] == {{"type": "worker", "index": rank}}, tensorflow
hosts = [address.split(":")[0] for address in tensorflow["cluster"]["worker"]]
assert hosts == os.environ["MLOPS_WORKER_HOSTS"].split(",") and hosts[0] == master, hosts
assert hosts[rank].split(".")[0] == socket.gethostname(), hosts
with open(os.environ["MLOPS_METRICS_FILE"], "a") as metrics:
    metrics.write(json.dumps({{"step": 1, f"metric_of_{{rank}}": 0.5}}) + "\\n")
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], f"part-{{rank}}.txt").write_text(f"of {{rank}}")
if rank == 0:
    model = pathlib.Path(os.environ["MLOPS_MODEL_DIR"])
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.bin").write_bytes(b"weights")
"""

# Worker 1 fails when both are there; its peer would stay.
FAIL = f"""{MEET}
if rank == 1:
    sys.exit(3)
time.sleep({2 * PATIENCE_SECONDS})
"""

# The first attempt stays until it is disturbed.
LOSE = f"""{MEET}
if os.environ["MLOPS_ATTEMPT"] == "1":
    time.sleep({2 * PATIENCE_SECONDS})
"""

TWO = {"count": 2}


def test_two_workers_train_together(workspace: Workspace) -> None:
    outputs = {"model": {"name": "shared-model", "register": "Never"}}
    workspace.run("pair", TRAIN, workers={"count": 2, "launcher": "TensorFlow"}, outputs=outputs)
    run = workspace.succeeded("pair")
    assert {metric["name"] for metric in run["status"]["metrics"]} == {"metric_of_0"}
    assert run["status"]["usage"]["cpuSeconds"] > 0
    manifest = workspace.manifest(run)
    workspace.check_files(run)
    assert [entry["path"] for entry in manifest["model"]["files"]] == ["model.bin"]
    assert [worker["index"] for worker in manifest["workers"]] == [1]
    prefix = workspace.run_prefix(run) + "attempts/1/"
    assert b"worker 0 of 2: the sum is 3" in workspace.read(f"{prefix}logs/train.log")
    assert b"worker 1 of 2: the sum is 3" in workspace.read(f"{prefix}workers/1/logs/train.log")
    assert workspace.read(f"{prefix}artifacts/output/part-0.txt") == b"of 0"
    assert workspace.read(f"{prefix}workers/1/artifacts/output/part-1.txt") == b"of 1"
    assert b"metric_of_1" in workspace.read(f"{prefix}workers/1/metrics.jsonl")
    workspace.delete("TrainingRun", "pair")
    workspace.kube.until_gone("Service", workspace.name, "pair-1")


def test_the_first_worker_that_fails_is_the_cause(workspace: Workspace) -> None:
    workspace.run("broken", FAIL, workers=TWO)
    failure = workspace.failed("broken", "UserError")
    assert (failure["worker"], failure["exitCode"]) == (1, 3), failure
    assert failure["message"].startswith("Worker 1 of 2 "), failure
    assert "worker 1 of 2: the sum is 3" in failure["logTail"]
    run = workspace.get("TrainingRun", "broken")
    assert run is not None
    prefix = workspace.run_prefix(run) + "attempts/1/"
    (attempt,) = run["status"]["attempts"]
    assert attempt["logs"] == f"s3://{workspace.name}/{prefix}workers/1/logs/"
    assert b"worker 1 of 2" in workspace.read(f"{prefix}workers/1/logs/train.log")
    assert b"worker 0 of 2" in workspace.read(f"{prefix}logs/train.log")
    stopped = workspace.read_json(f"{prefix}manifest.json")
    assert stopped["training"]["terminated"], "its peer was stopped"
    assert f"{workspace.run_prefix(run)}manifest.json" not in workspace.keys(workspace.run_prefix(run))


def test_a_lost_worker_is_followed_by_a_new_attempt_of_all(workspace: Workspace) -> None:
    workspace.run("lost", LOSE, workers=TWO)
    workspace.until_phase("lost", "Running")
    workspace.delete("Pod", pod_of(workspace, "lost-1", 1))
    run = workspace.succeeded("lost")
    assert [a["cause"] for a in run["status"]["attempts"]] == ["Deleted", "Succeeded"]
    assert workspace.manifest(run)["run"]["attempt"] == 2
    prefix = workspace.run_prefix(run) + "attempts/2/"
    for log in ("logs/train.log", "workers/1/logs/train.log"):
        assert b"the sum is 3" in workspace.read(prefix + log)


@pytest.mark.produces("ServiceNameTaken", "Unschedulable")
def test_waiting_workers_say_how_many_of_them_and_why(workspace: Workspace) -> None:
    ports = [{"port": 80}]
    workspace.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "idle-1"}, "spec": {"ports": ports}}
    )
    workspace.run("idle", MEET, workers=TWO, scheduling={"nodeSelector": {"example.org/not": "there"}})
    assert "kubectl" in workspace.waits_for("idle", "ServiceNameTaken")
    assert workspace.get("Job", "idle-1") is None
    workspace.delete("Service", "idle-1")
    workspace.until_run("idle", lambda run: "2 of 2 pods" in run["status"].get("message", ""))
    assert "node" in workspace.waits_for("idle", "Unschedulable")
    service = workspace.get("Service", "idle-1")
    assert service is not None
    assert service["spec"]["clusterIP"] == "None"
    workspace.kube.patch("TrainingRun", workspace.name, "idle", {"spec": {"cancel": True}})
    assert workspace.until_ended("idle")["status"]["phase"] == "Cancelled"
    workspace.kube.until_gone("Job", workspace.name, "idle-1")
    workspace.kube.until_gone("Service", workspace.name, "idle-1")


def pod_of(workspace: Workspace, job: str, index: int) -> str:
    """Wait for the pod of a worker and give its name."""
    selector = f"batch.kubernetes.io/job-name={job},batch.kubernetes.io/job-completion-index={index}"
    pods: list[Object] = []
    for _ in poll(PATIENCE_SECONDS):
        pods = workspace.kube.list("Pod", workspace.name, selector)
        if pods:
            break
    (pod,) = pods
    return str(pod["metadata"]["name"])
