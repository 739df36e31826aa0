"""A run in its pod: staged, tracked, uploaded; and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import json
import re
import signal
from typing import Any

from mlops_operator.api.trainingdataset import S3Source
from mlops_operator.api.trainingrun import ArtifactOutput, MetricSource
from mlops_operator.api.wire import (
    DatasetManifest,
    ModelOrder,
    RunManifest,
    SidecarOrder,
    SnapshotOrder,
    StagedDataset,
    StageInOrder,
)
from tests.e2e.agent.conftest import Pod, wait_for
from tests.e2e.versitygw import Versitygw


def _snapshot(pod: Pod, s3: Versitygw, prefix: str = "data/", version: str = "1") -> DatasetManifest:
    order = SnapshotOrder(
        namespace="ws-test",
        name="wine",
        uid="u",
        version=version,
        bucket=s3.hint,
        s3=S3Source(uri=f"s3://{s3.bucket}/{prefix}"),
    )
    result = pod.agent(order, "snapshot")
    assert result.returncode == 0, result.stderr
    key = f"mlops/datasets/wine/versions/{version}.json"
    return DatasetManifest.model_validate_json(s3.open().get_bytes(key))


def _stage_in_order(pod: Pod, s3: Versitygw, manifest: DatasetManifest, **fields: Any) -> StageInOrder:
    dataset = StagedDataset(
        name="wine",
        version=manifest.version,
        digest=manifest.digest,
        manifest=f"mlops/datasets/wine/versions/{manifest.version}.json",
        path="/mlops/datasets/wine",
        include=fields.pop("include", None),
    )
    return StageInOrder(
        run=pod.run,
        bucket=s3.hint,
        inline_files={"train.py": "print(1)\n", "lib/a.py": "A = 1\n"},
        datasets=[dataset],
        parameters={"epochs": 5},
        spec={"image": "python-ml:1"},
        **fields,
    )


def _order(pod: Pod, s3: Versitygw, **fields: Any) -> SidecarOrder:
    return SidecarOrder(run=pod.run, bucket=s3.hint, experiment="wine", **fields)


def _manifest(s3: Versitygw, key: str) -> RunManifest:
    return RunManifest.model_validate_json(s3.open().get_bytes(key))


def _check_files(s3: Versitygw, manifest: RunManifest) -> None:
    """Every file that the manifest names is there with its bytes."""
    for file in manifest.files:
        data = (s3.objects / manifest.run.attempt_prefix / file.path).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256), file.path


def test_a_run_is_staged_and_everything_is_kept(pod: Pod, s3: Versitygw) -> None:
    bucket = s3.open()
    bucket.put_bytes("data/a.csv", b"1,2\n")
    bucket.put_bytes("data/deep/b.csv", b"3,4\n")
    manifest = _snapshot(pod, s3)
    assert [file.path for file in manifest.files] == ["a.csv", "deep/b.csv"]
    entrypoint = pod.write("/usr/local/bin/entrypoint", b"#!/bin/sh\n")
    stage_in = _stage_in_order(pod, s3, manifest)

    result = pod.agent(stage_in, "stage-in", "--entrypoint", str(entrypoint))

    assert result.returncode == 0, result.stderr
    assert pod.path("/mlops/datasets/wine/deep/b.csv").read_bytes() == b"3,4\n"
    assert pod.path("/mlops/code/lib/a.py").read_text() == "A = 1\n"
    assert json.loads(pod.path("/mlops/run/params.json").read_text()) == {"epochs": 5}
    assert pod.path("/mlops/bin/entrypoint").stat().st_mode & 0o111
    record = json.loads(bucket.get_bytes(f"{pod.run.prefix}record.json"))
    assert (record["image"], record["datasets"][0]["digest"]) == ("python-ml:1", manifest.digest)

    order = _order(
        pod,
        s3,
        model=ModelOrder(name="wine-classifier"),
        artifacts=[ArtifactOutput(name="plots", path="plots/*.png")],
        metric_sources=[MetricSource(type="JSONLines", path="log.jsonl")],
        parameters={"epochs": 5},
    )
    pod.start_sidecar(order)
    pod.start_training()
    pod.write("/mlops/output/metrics.jsonl", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": NaN}\n')
    pod.write("/mlops/code/log.jsonl", '{"step": 2, "f1": 0.9}')
    pod.write("/mlops/output/model/model.skops", b"model")
    pod.write("/mlops/output/report.txt", "fine")
    pod.write("/mlops/code/plots/roc.png", b"png")
    pod.end_training()
    acknowledged = pod.acknowledged()

    assert acknowledged["cause"] == "Succeeded"
    data = bucket.get_bytes(f"{pod.run.prefix}manifest.json")
    assert acknowledged["manifestDigest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert data == bucket.get_bytes(f"{pod.run.attempt_prefix}manifest.json")
    kept = RunManifest.model_validate_json(data)
    _check_files(s3, kept)
    assert {file.path for file in kept.files} == {
        "artifacts/model/model.skops",
        "artifacts/output/metrics.jsonl",
        "artifacts/output/report.txt",
        "artifacts/plots/plots/roc.png",
        "logs/train.log",
        "metrics.jsonl",
    }
    assert kept.model is not None
    assert (kept.model.selected_by, kept.model.format, kept.model.main_file) == (
        "modelDir",
        "skops",
        "model.skops",
    )
    metrics = {metric.name: metric for metric in kept.metrics}
    assert (metrics["loss"].latest, metrics["loss"].non_finite, metrics["f1"].latest) == (0.5, 1, 0.9)
    assert kept.datasets[0].digest == manifest.digest
    assert pod.kill_sidecar(signal.SIGTERM) == 0

    again = pod.agent(
        stage_in.model_copy(update={"run": pod.run}), "stage-in", "--entrypoint", str(entrypoint)
    )
    assert again.returncode == 0, "a pod whose training has ended is left as it is"
    pod.path("/mlops/run/done.json").unlink()
    refused = pod.agent(stage_in, "stage-in", "--entrypoint", str(entrypoint))
    assert refused.returncode == 1
    assert "is not trained again" in pod.report()["message"]


def test_a_changed_object_is_found(pod: Pod, s3: Versitygw) -> None:
    bucket = s3.open()
    bucket.put_bytes("data/a.csv", b"1,2\n")
    bucket.put_bytes("data/b.csv", b"3,4\n")
    manifest = _snapshot(pod, s3)
    bucket.put_bytes("data/b.csv", b"9,9\n")
    entrypoint = pod.write("/usr/local/bin/entrypoint", b"x")

    result = pod.agent(_stage_in_order(pod, s3, manifest), "stage-in", "--entrypoint", str(entrypoint))

    assert result.returncode == 1
    assert pod.report()["cause"] == "DatasetChanged"
    expected, found = hashlib.sha256(b"3,4\n").hexdigest(), hashlib.sha256(b"9,9\n").hexdigest()
    for part in ("b.csv", expected, found):
        assert part in pod.report()["message"]
    included = _stage_in_order(pod, s3, manifest, include=["a.*"])
    assert pod.agent(included, "stage-in", "--entrypoint", str(entrypoint)).returncode == 0
    assert not pod.path("/mlops/datasets/wine/b.csv").exists()

    order = SnapshotOrder(
        namespace="n", name="wine", uid="u", version="1", bucket=s3.hint, s3=S3Source(uri=f"s3://{s3.bucket}")
    )
    assert pod.agent(order, "snapshot").returncode == 1
    assert pod.report()["cause"] == "DatasetChanged", "a version never changes"
    empty = order.model_copy(update={"s3": S3Source(uri=f"s3://{s3.bucket}/nothing/")})
    assert pod.agent(empty, "snapshot").returncode == 1
    assert pod.report()["cause"] == "SourceNotFound"


def test_wrong_credentials_are_denied(pod: Pod, s3: Versitygw) -> None:
    pod.write("/mlops/credentials/s3/AWS_SECRET_ACCESS_KEY", "wrong")
    entrypoint = pod.write("/usr/local/bin/entrypoint", b"x")
    order = StageInOrder(run=pod.run, bucket=s3.hint)

    result = pod.agent(order, "stage-in", "--entrypoint", str(entrypoint))

    assert result.returncode == 1
    assert pod.report()["cause"] == "StorageDenied"
    assert "wrong" not in result.stderr.replace("is wrong", "")


def _write_outputs(pod: Pod, files: int) -> None:
    pod.write("/mlops/output/model/model.onnx.bin", b"m" * 100)
    for number in range(files):
        pod.write(f"/mlops/output/part-{number:04d}.bin", bytes([number % 256]) * 2000)
    pod.write("/mlops/output/large.bin", b"0123456789abcdef" * (40 << 16))  # 40 MiB: several parts


def _uploaded(pod: Pod, s3: Versitygw) -> int:
    folder = s3.objects / pod.run.attempt_prefix / "artifacts" / "output"
    return len(list(folder.glob("part-*"))) if folder.is_dir() else 0


def test_a_sidecar_killed_in_the_upload_goes_on(pod: Pod, s3: Versitygw) -> None:
    _write_outputs(pod, files=300)
    order = _order(pod, s3)
    pod.start_training()
    pod.end_training()
    pod.start_sidecar(order)
    wait_for(lambda: _uploaded(pod, s3) >= 20, "the first uploads")
    pod.kill_sidecar()
    before = {path: path.stat().st_mtime_ns for path in s3.objects.rglob("part-*.bin")}
    assert 20 <= len(before) < 300, "it was killed in mid-upload"
    assert not (s3.objects / pod.run.prefix / "manifest.json").exists()

    pod.start_sidecar(order)

    assert pod.acknowledged()["cause"] == "Succeeded"
    kept = _manifest(s3, f"{pod.run.prefix}manifest.json")
    _check_files(s3, kept)
    assert len([file for file in kept.files if "part-" in file.path]) == 300
    untouched = [path for path, changed in before.items() if path.stat().st_mtime_ns == changed]
    assert len(untouched) >= len(before) - 8, "what is there is not uploaded again"

    pod.kill_sidecar()
    pod.path("/mlops/run/ack").unlink()
    pod.start_sidecar(order)
    assert pod.acknowledged()["cause"] == "Succeeded"
    assert _manifest(s3, f"{pod.run.prefix}manifest.json") == kept


def test_an_outage_of_the_bucket_in_the_upload_is_survived(pod: Pod, s3: Versitygw) -> None:
    _write_outputs(pod, files=200)
    pod.start_training()
    pod.end_training()
    pod.start_sidecar(_order(pod, s3))
    wait_for(lambda: _uploaded(pod, s3) >= 20, "the first uploads")
    s3.stop()
    assert _uploaded(pod, s3) < 200
    wait_for(lambda: "answer" in (pod.root / "sidecar.log").read_text(), "a failed try")
    s3.start()

    assert pod.acknowledged()["cause"] == "Succeeded"
    _check_files(s3, _manifest(s3, f"{pod.run.prefix}manifest.json"))


def test_credentials_rolled_over_while_it_trains(pod: Pod, s3: Versitygw) -> None:
    pod.start_sidecar(_order(pod, s3))
    pod.start_training()
    wait_for(lambda: "the bucket is" in (pod.root / "sidecar.log").read_text(), "the first session")
    s3.stop()
    s3.access_key, s3.secret_key = "new-access-key", "new-secret-key"
    s3.start()
    pod.write("/mlops/output/report.txt", "fine")
    pod.end_training()
    server_log = s3.folder / "versitygw.log"
    wait_for(lambda: re.search(r"\| 40[34] \|", server_log.read_text()), "a refused try")
    s3.write_secret(pod.path("/mlops/credentials/s3"))

    assert pod.acknowledged()["cause"] == "Succeeded"


def test_a_failed_training_keeps_what_it_wrote_without_a_result(pod: Pod, s3: Versitygw) -> None:
    pod.start_sidecar(_order(pod, s3, model=ModelOrder(name="wine")))
    pod.start_training()
    pod.write("/mlops/output/report.txt", "half")
    pod.end_training(3)
    pod.acknowledged()

    kept = _manifest(s3, f"{pod.run.attempt_prefix}manifest.json")
    assert {file.path for file in kept.files} == {"artifacts/output/report.txt", "logs/train.log"}
    assert kept.training.exit_code == 3
    assert s3.open().head(f"{pod.run.prefix}manifest.json") is None


def test_without_a_model_it_is_told_what_was_seen(pod: Pod, s3: Versitygw) -> None:
    pod.start_sidecar(_order(pod, s3, model=ModelOrder(name="wine", path="out/*.onnx")))
    pod.start_training()
    pod.write("/mlops/code/out/model.pt", b"x")
    pod.end_training()
    acknowledged = pod.acknowledged()

    assert acknowledged["cause"] == "NoModelProduced"
    assert "out/model.pt" in acknowledged["message"]
    assert s3.open().head(f"{pod.run.attempt_prefix}manifest.json") is not None
    assert s3.open().head(f"{pod.run.prefix}manifest.json") is None
    assert pod.kill_sidecar(signal.SIGTERM) == 1
    assert pod.report()["cause"] == "NoModelProduced"


def test_stopped_before_the_start_it_ends_at_once(pod: Pod, s3: Versitygw) -> None:
    pod.start_sidecar(_order(pod, s3))
    assert pod.kill_sidecar(signal.SIGTERM) == 0
    assert not pod.path("/mlops/run/ack").exists()


def test_an_entrypoint_killed_with_its_command_leaves_log_and_outputs(pod: Pod, s3: Versitygw) -> None:
    pod.start_sidecar(_order(pod, s3))
    pod.start_training()
    pod.write("/mlops/run/log", "start\n")
    pod.write("/mlops/run/log.tail.1", "end\n")
    pod.write("/mlops/output/report.txt", "half")
    wait_for(lambda: "the bucket is" in (pod.root / "sidecar.log").read_text(), "the sidecar's start")
    assert pod.kill_sidecar(signal.SIGTERM) == 0

    kept = _manifest(s3, f"{pod.run.attempt_prefix}manifest.json")
    assert kept.training.exit_code == 137
    log = s3.objects / pod.run.attempt_prefix / "logs" / "train.log"
    assert log.read_text() == "start\nend\n"
    assert s3.open().head(f"{pod.run.prefix}manifest.json") is None


def test_another_result_of_the_run_is_never_replaced(pod: Pod, s3: Versitygw) -> None:
    s3.open().put_once(f"{pod.run.prefix}manifest.json", b'{"other": true}')
    pod.start_sidecar(_order(pod, s3))
    pod.start_training()
    pod.end_training()

    acknowledged = pod.acknowledged()
    assert acknowledged["cause"] == "UploadFailed"
    assert s3.open().get_bytes(f"{pod.run.prefix}manifest.json") == b'{"other": true}'
