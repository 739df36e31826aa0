"""A run that made a model on a dataset, as its manifests say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mlops_operator.api.sources import GitSource
from mlops_operator.api.trainingrun import MetricStatus
from mlops_operator.api.wire import (
    DatasetFile,
    DatasetManifest,
    FileEntry,
    ModelDescription,
    RunIdentity,
    RunManifest,
    StagedDataset,
    TensorInfo,
    TrainingExit,
)
from mlops_operator.storage.digest import files_digest
from mlops_operator.storage.documents import encode
from mlops_operator.storage.layout import artifact_model_key, run_manifest_key
from tests.unit.storage.memory import MemoryBucket

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
RUN = RunIdentity(name="wine", namespace="ws-alice", uid="0c8a7f5e-1111-2222-3333-444455556666", attempt=1)
FILES = {"model.onnx": b"the weights", "labels.json": b'["a"]'}


def dataset_manifest(version: str = "1", text: str = "a" * 64) -> DatasetManifest:
    files = [DatasetFile(path="wine.csv", size_bytes=11, sha256=text, lfs=True)]
    return DatasetManifest(
        name="wine",
        version=version,
        digest=files_digest(files),
        files=files,
        size_bytes=11,
        git=GitSource(url="https://git.example.org/a/wine.git", ref="b" * 40),
        revision="b" * 40,
        created_at=NOW,
    )


def finished_run(bucket: MemoryBucket, *, run: RunIdentity = RUN, **changes: Any) -> RunManifest:
    """Put a run's model and manifest into a bucket."""
    files = [
        FileEntry(path=path, size_bytes=len(data), sha256=bucket.upload(artifact_model_key(run, path), data))
        for path, data in FILES.items()
    ]
    description = {
        "path": "model.onnx",
        "selected_by": "onnx",
        "format": "onnx",
        "main_file": "model.onnx",
        "files": files,
        "inputs": [TensorInfo(name="pixels", data_type="float32", shape=[-1, 6])],
        "outputs": [TensorInfo(name="label", data_type="int64", shape=[-1])],
        "framework": "sklearn",
        "framework_version": "1.9.1",
    } | changes
    dataset = dataset_manifest()
    manifest = RunManifest(
        run=run,
        training=TrainingExit(exit_code=0, start_time=NOW, end_time=NOW),
        files=[file.model_copy(update={"path": f"artifacts/model/{file.path}"}) for file in files],
        model=ModelDescription.model_validate(description),
        metrics=[MetricStatus(name="accuracy", latest=0.97), MetricStatus(name="broken", non_finite=3)],
        parameters={"learning_rate": 0.01, "odd name": "x"},
        commit="b" * 40,
        datasets=[
            StagedDataset(
                name="wine",
                version="1",
                digest=dataset.digest,
                manifest="unused",
                path="/mlops/datasets/wine",
            )
        ],
        created_at=NOW,
    )
    bucket.put_once(run_manifest_key(run), encode(manifest))
    return manifest
