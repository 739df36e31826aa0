"""Checkpoints and the objective in a pod: synced while it trains, restored in the next pod, and the sign to stop early."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mlops_operator.api.wire import (
    CREDENTIALS_DIR,
    CheckpointsOrder,
    ModelOrder,
    ObjectiveOrder,
    ResumeOrder,
    RunIdentity,
    RunManifest,
    SidecarOrder,
    StageInOrder,
)
from mlops_operator.storage.checkpoints import list_checkpoints
from tests.e2e.agent.conftest import Pod, wait_for
from tests.e2e.versitygw import Versitygw

FOLDER = "/mlops/output/checkpoints"
NewPod = Callable[..., Pod]


@pytest.fixture
def new_pod(tmp_path: Path, s3: Versitygw) -> Iterator[NewPod]:
    """Make the pod of an attempt: a file system of its own, the same bucket."""
    made: list[Pod] = []

    def make(attempt: int, **run: Any) -> Pod:
        pod = Pod(tmp_path / f"pod-{len(made)}")
        pod.run = pod.run.model_copy(update={"attempt": attempt, **run})
        s3.write_secret(pod.path(CREDENTIALS_DIR))
        made.append(pod)
        return pod

    yield make
    for pod in made:
        if pod.sidecar is not None:
            pod.kill_sidecar()


def stage_in(pod: Pod, s3: Versitygw, **checkpoints: Any) -> str:
    """Stage, and give what MLOPS_RESUME_FROM will be."""
    entrypoint = pod.write("/usr/local/bin/entrypoint", b"x")
    order = StageInOrder(
        run=pod.run, bucket=s3.hint, inline_files={"a": ""}, checkpoints=CheckpointsOrder(**checkpoints)
    )
    result = pod.agent(order, "stage-in", "--entrypoint", str(entrypoint))
    assert result.returncode == 0, result.stderr
    variables = json.loads(pod.path("/mlops/run/environment.json").read_text())
    assert set(variables) == {"MLOPS_RESUME_FROM"}
    return str(variables["MLOPS_RESUME_FROM"])


def sidecar(pod: Pod, s3: Versitygw, **fields: Any) -> None:
    order = CheckpointsOrder(interval_seconds=0.3, markers=["done"], **fields.pop("checkpoints", {}))
    pod.start_sidecar(
        SidecarOrder(run=pod.run, bucket=s3.hint, experiment="wine", checkpoints=order, **fields)
    )
    pod.start_training()


def save(pod: Pod, step: int, files: int = 2, *, marker: bool = True) -> None:
    """Write a checkpoint as a training would."""
    for number in range(files):
        pod.write(f"{FOLDER}/checkpoint-{step}/part-{number:04d}.bin", f"{step} {number} ".encode() * 3000)
    if marker:
        pod.write(f"{FOLDER}/checkpoint-{step}/done", "")


def folders(s3: Versitygw, run: RunIdentity) -> Path:
    """Where the checkpoints of a run lie as files."""
    return s3.objects / run.prefix / "checkpoints"


def log(pod: Pod, step: int, loss: float) -> None:
    with pod.path("/mlops/output/metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "loss": loss}) + "\n")


def complete(s3: Versitygw, run: RunIdentity) -> dict[int, str]:
    """The whole checkpoints in the bucket, by their step."""
    found = {}
    for place in folders(s3, run).glob("*/manifest.json"):
        with suppress(FileNotFoundError):  # removed while we look
            found[int(json.loads(place.read_bytes())["step"])] = place.parent.name
    return found


def until_stored(s3: Versitygw, pod: Pod, step: int) -> None:
    try:
        wait_for(lambda: step in complete(s3, pod.run), f"checkpoint {step} in the bucket", 300)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{(pod.root / 'sidecar.log').read_text()[-4000:]}") from error


def check_restored(pod: Pod, path: str, step: int, files: int) -> None:
    assert path == f"{FOLDER}/checkpoint-{step}"
    assert [place.name for place in pod.path(FOLDER).iterdir()] == [f"checkpoint-{step}"]
    parts = sorted(pod.path(path).glob("part-*"))
    assert len(parts) == files
    for number, part in enumerate(parts):
        assert part.read_bytes() == f"{step} {number} ".encode() * 3000


def test_a_pod_is_lost_and_the_next_one_goes_on(new_pod: NewPod, s3: Versitygw) -> None:
    first = new_pod(1)
    assert stage_in(first, s3) == "", "a first attempt begins anew"
    sidecar(first, s3)
    save(first, 10)
    until_stored(s3, first, 10)
    # The agent and its pod are lost while the next checkpoint is uploaded; perhaps it was just whole.
    save(first, 20, files=400)
    half = folders(s3, first.run)
    wait_for(lambda: len(list(half.glob("001-000002-*/files/*/part-*"))) >= 5, "the next upload")
    first.kill_sidecar()
    newest = max(complete(s3, first.run))

    second = new_pod(2)
    check_restored(second, stage_in(second, s3), newest, 2 if newest == 10 else 400)
    sidecar(second, s3)
    save(second, 30)
    until_stored(s3, second, 30)
    save(second, 40)
    until_stored(s3, second, 40)
    wait_for(lambda: set(complete(s3, second.run)) == {30, 40}, "only the newest two", 300)
    wait_for(lambda: list_checkpoints(s3.open(), second.run).partial == (), "no half of one", 300)
    assert second.kill_sidecar(signal.SIGTERM) == 0


def test_what_was_written_last_is_there_when_the_pod_goes(new_pod: NewPod, s3: Versitygw) -> None:
    pod = new_pod(1)
    stage_in(pod, s3)
    order = {"interval_seconds": 3600.0}
    pod.start_sidecar(
        SidecarOrder(run=pod.run, bucket=s3.hint, experiment="wine", checkpoints=CheckpointsOrder(**order))
    )
    pod.start_training()
    save(pod, 7, marker=False)
    # The command's own handler has saved and ended it.
    pod.end_training(3, terminated=True)
    pod.acknowledged()

    assert set(complete(s3, pod.run)) == {7}
    manifest = RunManifest.model_validate_json(s3.open().get_bytes(f"{pod.run.attempt_prefix}manifest.json"))
    assert [file.path for file in manifest.files if "checkpoint" in file.path] == [], "not stored twice"
    progress = json.loads(s3.open().get_bytes(f"{pod.run.attempt_prefix}progress.json"))
    assert (progress["checkpoint"]["name"], progress["checkpoint"]["step"]) == ("checkpoint-7", 7)
    assert progress["checkpoint"]["uri"].startswith(
        f"s3://{s3.bucket}/{pod.run.prefix}checkpoints/001-000001-"
    )


def test_a_damaged_checkpoint_and_another_run(new_pod: NewPod, s3: Versitygw) -> None:
    teacher = new_pod(1, name="teacher", uid="aaaaaaaa-8f8e-4f0a-9d8c-2d1f6a3f4b11")
    sidecar(teacher, s3)
    save(teacher, 1)
    until_stored(s3, teacher, 1)
    save(teacher, 2)
    until_stored(s3, teacher, 2)
    damaged = folders(s3, teacher.run) / complete(s3, teacher.run)[2] / "files/checkpoint-2/part-0001.bin"
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)

    pupil = new_pod(1)
    source = ResumeOrder(name=teacher.run.name, namespace=teacher.run.namespace, uid=teacher.run.uid)
    check_restored(pupil, stage_in(pupil, s3, resume_from=source), 1, 2)
    staged = json.loads(pupil.path("/mlops/run/staged.json").read_text())
    assert (staged["resumed"]["trainingRun"], staged["resumed"]["step"]) == ("teacher", 1)
    assert len(staged["skippedCheckpoints"]) == 1
    assert "checkpoint-2/part-0001.bin is damaged" in staged["skippedCheckpoints"][0]
    record = json.loads(s3.open().get_bytes(f"{pupil.run.prefix}record.json"))
    assert record["resumedFrom"] == staged["resumed"]

    for name in complete(s3, teacher.run).values():
        (folders(s3, teacher.run) / name / "manifest.json").unlink()
    late = new_pod(1, uid="bbbbbbbb-8f8e-4f0a-9d8c-2d1f6a3f4b11")
    order = StageInOrder(
        run=late.run, bucket=s3.hint, inline_files={"a": ""}, checkpoints=CheckpointsOrder(resume_from=source)
    )
    entrypoint = late.write("/usr/local/bin/entrypoint", b"x")
    assert late.agent(order, "stage-in", "--entrypoint", str(entrypoint)).returncode == 1
    assert late.report()["cause"] == "SourceNotFound"
    assert "teacher" in late.report()["message"]


def test_the_sign_to_stop_early(new_pod: NewPod, s3: Versitygw) -> None:
    pod = new_pod(2)
    objective = ObjectiveOrder(name="loss", goal="Minimize", patience=3, best=0.6, step=9)
    sidecar(pod, s3, objective=objective, model=ModelOrder(name="wine"), checkpoints={"keep": 1})
    for step, loss in [(10, 0.7), (11, 0.5)]:
        save(pod, step)
        until_stored(s3, pod, step)
        log(pod, step, loss)
    # The checkpoint of a step outlives the newest only where its value is known by then.
    best = f"the best checkpoint is {complete(s3, pod.run)[11]}"
    wait_for(lambda: best in (pod.root / "sidecar.log").read_text(), "the best checkpoint", 300)
    for step in (12, 13):
        save(pod, step)
        until_stored(s3, pod, step)
    stop = pod.path("/mlops/run/stop.json")
    assert not stop.exists()
    for step, loss in [(12, 0.8), (13, 0.6), (14, 0.9)]:
        log(pod, step, loss)
    wait_for(stop.exists, "the sign to stop", 300)
    assert json.loads(stop.read_text())["message"] == (
        "loss was no better for 3 values in a row; the best is 0.5 at step 11"
    )
    pod.end_training(0, earlyStopped=True, signal="SIGTERM")

    acknowledged = pod.acknowledged()
    assert acknowledged["cause"] == "NoModelProduced"
    assert "stopped early" in acknowledged["message"]
    manifest = RunManifest.model_validate_json(s3.open().get_bytes(f"{pod.run.attempt_prefix}manifest.json"))
    assert manifest.training.early_stopped
    assert manifest.objective is not None
    assert (manifest.objective.best, manifest.objective.step) == (0.5, 11)
    assert set(complete(s3, pod.run)) == {11, 13}, "the newest, and the best"
    assert manifest.objective.checkpoint is not None
    assert complete(s3, pod.run)[11] in manifest.objective.checkpoint
