"""From a run's output to a version: copied, checked, and the same again after a crash."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mlops_operator.errors import AlreadyExists, IntegrityError, ObjectNotFound
from mlops_operator.storage.layout import artifact_model_key, attempt_file_key, version_prefix
from mlops_operator.storage.model_store import read_model_manifest, store_model, verify_model
from mlops_operator.storage.run_manifest import read_run_manifest, verify_files
from tests.unit.storage.examples import FILES, NOW, RUN, finished_run
from tests.unit.storage.memory import MemoryBucket, Stored


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def bucket() -> MemoryBucket:
    bucket = MemoryBucket()
    finished_run(bucket)
    return bucket


def test_files_and_manifest_are_stored(bucket: MemoryBucket) -> None:
    stored = store_model(bucket, "wine", "1", RUN, now=NOW)
    assert stored.uri == "s3://ws-alice/mlops/models/wine/1/"
    assert {file.path for file in stored.manifest.files} == set(FILES)
    assert bucket.objects["mlops/models/wine/1/model.onnx"].data == FILES["model.onnx"]
    assert read_model_manifest(bucket, "wine", "1") == stored.manifest
    assert verify_model(bucket, stored.manifest)
    assert bucket.writes[-1] == "mlops/models/wine/1/manifest.json"


def test_a_second_time_nothing_is_written(bucket: MemoryBucket) -> None:
    first = store_model(bucket, "wine", "1", RUN, now=NOW)
    written = list(bucket.writes)
    assert store_model(bucket, "wine", "1", RUN) == first
    assert bucket.writes == written


def test_killed_before_any_request_the_end_is_the_same(bucket: MemoryBucket) -> None:
    whole = MemoryBucket()
    finished_run(whole)
    store_model(whole, "wine", "1", RUN, now=NOW)
    for lives in range(40):
        left = iter(range(lives))

        def die(_action: str, _key: str, left: object = left) -> None:
            if next(left, None) is None:  # type: ignore[call-overload]
                raise Killed

        bucket.before = die
        try:
            store_model(bucket, "wine", "1", RUN, now=NOW)
        except Killed:
            continue
        break
    assert bucket.objects == whole.objects


def test_a_changed_file_is_not_stored(bucket: MemoryBucket) -> None:
    bucket.upload(artifact_model_key(RUN, "model.onnx"), b"other weights")
    with pytest.raises(IntegrityError, match=r"artifacts/model/model\.onnx is not the file"):
        store_model(bucket, "wine", "1", RUN)
    assert "mlops/models/wine/1/manifest.json" not in bucket.objects


def test_a_version_of_another_run_stays(bucket: MemoryBucket) -> None:
    store_model(bucket, "wine", "1", RUN, now=NOW)
    other = RUN.model_copy(update={"uid": "ffffffff-1111"})
    finished_run(bucket, run=other)
    with pytest.raises(AlreadyExists, match="holds the model of run wine"):
        store_model(bucket, "wine", "1", other)


def test_a_run_without_manifest(bucket: MemoryBucket) -> None:
    with pytest.raises(ObjectNotFound, match="run white has no manifest"):
        store_model(bucket, "wine", "1", RUN.model_copy(update={"name": "white"}))


@pytest.mark.parametrize("path", ["../escape", "/root", "a/../b", "claim.json", "manifest.json", "a//b"])
def test_a_path_that_leaves_its_prefix_is_refused(path: str) -> None:
    bucket = MemoryBucket()
    files = [{"path": path, "sizeBytes": 1, "sha256": "0" * 64}]
    finished_run(bucket, files=files, main_file=path)
    with pytest.raises(IntegrityError):
        store_model(bucket, "wine", "1", RUN)
    assert not [key for key in bucket.objects if key.startswith(version_prefix("wine", "1"))]


def test_the_manifest_of_a_run(bucket: MemoryBucket) -> None:
    found = read_run_manifest(bucket, RUN.name, RUN.uid)
    assert found is not None
    assert found[1].startswith("sha256:")
    assert verify_files(bucket, found[0])
    assert read_run_manifest(bucket, RUN.name, "other-uid") is None
    assert RUN.uid.startswith("0c8a7f5e")
    with pytest.raises(IntegrityError, match="another run"):
        read_run_manifest(bucket, RUN.name, "0c8a7f5e-other")


@pytest.mark.parametrize(
    "harm", [lambda objects, key: objects.pop(key), lambda objects, key: objects.update({key: Stored(b"")})]
)
def test_a_missing_or_short_file_is_noticed(
    bucket: MemoryBucket, harm: Callable[[dict[str, Stored], str], object]
) -> None:
    found = read_run_manifest(bucket, RUN.name, RUN.uid)
    assert found is not None
    harm(bucket.objects, attempt_file_key(RUN, "artifacts/model/labels.json"))
    assert not verify_files(bucket, found[0])


def test_a_broken_manifest_names_its_key(bucket: MemoryBucket) -> None:
    bucket.put_bytes("mlops/models/wine/1/manifest.json", b'{"model": 1}')
    with pytest.raises(
        IntegrityError, match=r"s3://ws-alice/mlops/models/wine/1/manifest\.json is not a ModelManifest"
    ):
        read_model_manifest(bucket, "wine", "1")
