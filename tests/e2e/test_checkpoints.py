"""A training goes on from its checkpoints: after its pod was lost, in another run, and when it no longer gets better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import PATIENCE_SECONDS, Object

if TYPE_CHECKING:
    from tests.e2e.kube import Kube
    from tests.e2e.workspace import Workspace

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples" / "checkpoints"
CHECKPOINTS = {"syncIntervalSeconds": 1, "completeMarkers": ["done"], "keep": 2}
MODEL = {"model": {"name": "steps", "register": "Never"}}
# Three steps of an attempt that begins anew or goes on; what was trained when goes from checkpoint to checkpoint.
STEPS = f"""\
import json, os, pathlib, time
folder, resume = pathlib.Path(os.environ["MLOPS_CHECKPOINT_DIR"]), os.environ["MLOPS_RESUME_FROM"]
trained = json.loads(pathlib.Path(resume, "trained.json").read_text()) if resume else []
attempt, first = int(os.environ["MLOPS_ATTEMPT"]), len(trained) + 1
for step in range(first, first + 3):
    trained.append([os.environ["MLOPS_RUN_NAME"], attempt, step])
    place = folder / f"checkpoint-{{step}}"
    place.mkdir()
    (place / "trained.json").write_text(json.dumps(trained))
    (place / "done").touch()
    print("trained", step, flush=True)
end = time.monotonic() + {2 * PATIENCE_SECONDS}
while os.environ.get("WAIT_IN_ATTEMPT") == str(attempt) and time.monotonic() < end:
    time.sleep(0.1)  # the test deletes the pod
model = pathlib.Path(os.environ["MLOPS_MODEL_DIR"])
model.mkdir(parents=True, exist_ok=True)
(model / "model.json").write_text(json.dumps(trained))
"""
# It gets no better after its second value, and would go on for ever.
STALE = f"""\
import json, os, pathlib, signal, sys, time
def stop(*_):
    model = pathlib.Path(os.environ["MLOPS_MODEL_DIR"])
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.bin").write_bytes(b"weights")
    sys.exit(3)
signal.signal(signal.SIGTERM, stop)
metrics = open(os.environ["MLOPS_METRICS_FILE"], "a", buffering=1)
for step, loss in enumerate([0.9, 0.5, 0.7, 0.6, 0.5], start=1):
    pathlib.Path(os.environ["MLOPS_CHECKPOINT_DIR"], f"step-{{step}}.bin").write_text(str(loss))
    metrics.write(json.dumps({{"step": step, "loss": loss}}) + "\\n")
time.sleep({2 * PATIENCE_SECONDS})
"""


def trained(workspace: Workspace, run: Object) -> list[list[Any]]:
    """What was trained for a run's model: run, attempt and number of each step."""
    manifest = workspace.manifest(run)
    key = f"{workspace.run_prefix(run)}attempts/{manifest['run']['attempt']}/artifacts/model/model.json"
    steps: list[list[Any]] = workspace.read_json(key)
    return steps


def checkpoint_step(run: Object) -> int | None:
    step: int | None = run.get("status", {}).get("checkpoint", {}).get("step")
    return step


def test_a_lost_pod_costs_no_step(workspace: Workspace) -> None:
    env = [{"name": "WAIT_IN_ATTEMPT", "value": "1"}]
    workspace.run("goes-on", STEPS, checkpoints=CHECKPOINTS, outputs=MODEL, env=env)
    run = workspace.until_run("goes-on", lambda r: checkpoint_step(r) == 3)
    pod = workspace.until_pod("goes-on")
    workspace.delete("Pod", pod["metadata"]["name"])

    run = workspace.succeeded("goes-on")

    assert trained(workspace, run) == [
        *(["goes-on", 1, step] for step in (1, 2, 3)),
        *(["goes-on", 2, step] for step in (4, 5, 6)),
    ]
    first, second = run["status"]["attempts"]
    assert first["cause"] == "Deleted"
    assert "resumedFrom" not in first
    resumed = second["resumedFrom"]
    assert (resumed["trainingRun"], resumed["attempt"], resumed["step"]) == ("goes-on", 1, 3)
    newest = run["status"]["checkpoint"]
    assert (newest["name"], newest["step"], newest["problems"]) == ("checkpoint-6", 6, [])
    prefix = newest["uri"].removeprefix(f"s3://{workspace.name}/")
    assert workspace.read_json(f"{prefix}manifest.json")["digest"].startswith("sha256:")
    manifests = [
        key
        for key in workspace.keys(f"{workspace.run_prefix(run)}checkpoints/")
        if key.endswith("/manifest.json")
    ]
    assert len(manifests) == 2, "the newest two are kept"


@pytest.mark.produces("CheckpointMissing")
def test_a_run_goes_on_from_another_one(workspace: Workspace) -> None:
    resume = {"trainingRun": {"name": "teacher"}}
    workspace.run("early", STEPS, checkpoints=CHECKPOINTS, outputs=MODEL, resumeFrom=resume)
    assert "'teacher'" in workspace.waits_for("early", "CheckpointMissing")
    workspace.run("teacher", STEPS, checkpoints=CHECKPOINTS, outputs=MODEL)
    teacher = workspace.succeeded("teacher")
    assert checkpoint_step(teacher) == 3

    # The newest is damaged, and the run's resource is gone.
    newest = teacher["status"]["checkpoint"]["uri"].removeprefix(f"s3://{workspace.name}/")
    workspace.put(f"{newest}files/checkpoint-3/trained.json", b"[]")
    workspace.delete("TrainingRun", "teacher")
    workspace.run("late", STEPS, checkpoints=CHECKPOINTS, outputs=MODEL, resumeFrom=resume)
    late = workspace.succeeded("late")

    assert trained(workspace, late) == [
        ["teacher", 1, 1],
        ["teacher", 1, 2],
        *(["late", 1, step] for step in (3, 4, 5)),
    ]
    (attempt,) = late["status"]["attempts"]
    assert attempt["resumedFrom"]["uid"] == teacher["metadata"]["uid"]
    assert attempt["resumedFrom"]["step"] == 2
    (skipped,) = attempt["skippedCheckpoints"]
    assert "checkpoint-3/trained.json is damaged" in skipped
    pinned = late["status"]["resolved"]["resumeFrom"]
    assert pinned == {"trainingRun": "teacher", "uid": teacher["metadata"]["uid"]}
    record = workspace.read_json(f"{workspace.run_prefix(late)}record.json")
    assert record["resumedFrom"] == attempt["resumedFrom"]

    # The one that waited went on from what there was when it was let go.
    early = workspace.succeeded("early")
    (attempt,) = early["status"]["attempts"]
    step = attempt["resumedFrom"]["step"]
    assert trained(workspace, early) == [
        *(["teacher", 1, n] for n in range(1, step + 1)),
        *(["early", 1, n] for n in range(step + 1, step + 4)),
    ]


def test_a_training_that_gets_no_better_is_stopped_early(workspace: Workspace) -> None:
    workspace.run(
        "stale",
        STALE,
        checkpoints={"syncIntervalSeconds": 1, "keep": 1},
        metrics={
            "objective": {"name": "loss", "goal": "Minimize"},
            "earlyStopping": {"patience": 3},
        },
        outputs={"model": {"name": "stale"}},
    )
    run = workspace.succeeded("stale")

    assert "stopped early" in run["status"]["message"]
    assert "The best loss is 0.5 at step 2" in run["status"]["message"]
    objective = run["status"]["objective"]
    assert (objective["name"], objective["best"], objective["step"]) == ("loss", 0.5, 2)
    manifest = workspace.manifest(run)
    assert manifest["training"]["earlyStopped"]
    assert manifest["training"]["exitCode"] == 0
    log = workspace.read(f"{workspace.run_prefix(run)}attempts/1/logs/train.log").decode()
    assert "entrypoint: stopping early: loss was no better for 3 values in a row" in log
    run = workspace.until_run("stale", lambda r: r["status"].get("model", {}).get("name"))
    assert run["status"]["model"]["name"] == "stale.1"


def test_the_samples_are_accepted(kube: Kube, namespace: str) -> None:
    samples = sorted(SAMPLES.glob("training-*.yaml"))
    assert len(samples) == 4
    for sample in samples:
        done = kube.kubectl("-n", namespace, "apply", "--dry-run=server", "-o", "json", "-f", str(sample))
        assert done.returncode == 0, done.stderr
        script = json.loads(done.stdout)["spec"]["source"]["inline"]["files"]["train.py"]
        assert "MLOPS_CHECKPOINT_DIR" in script
        assert "MLOPS_RESUME_FROM" in script
        compile(script, sample.name, "exec")
