"""Worker 0 waits for the others, and the run's manifest says that all of them ended well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mlops_operator.agent import workers
from mlops_operator.agent.workers import await_others, own_identity
from mlops_operator.api.wire import WORKER_VARIABLE, FileEntry, RunIdentity, RunManifest, TrainingExit
from mlops_operator.storage.layout import attempt_manifest_key
from tests.unit.storage.memory import MemoryBucket

RUN = RunIdentity(name="wine", namespace="ws-alice", uid="0a1b2c3d-1", attempt=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_FIRST_SECONDS", 0.0)


def end(bucket: MemoryBucket, index: int, exit_code: int = 0) -> None:
    training = TrainingExit(exit_code=exit_code, start_time=NOW, end_time=NOW, cpu_seconds=1.5)
    files = [FileEntry(path="logs/train.log", size_bytes=7, sha256="x")]
    manifest = RunManifest(run=RUN.of_worker(index), training=training, files=files, created_at=NOW)
    bucket.put_once(
        attempt_manifest_key(RUN.of_worker(index)), manifest.model_dump_json(by_alias=True).encode()
    )


def stops_after(looks: int) -> Callable[[], bool]:
    left = iter([False] * looks)
    return lambda: next(left, True)


def test_each_worker_has_a_prefix_of_its_own() -> None:
    assert own_identity(RUN, {}) == RUN
    third = own_identity(RUN, {WORKER_VARIABLE: "3"})
    assert third.attempt_prefix == RUN.attempt_prefix + "workers/3/"
    assert own_identity(RUN, {WORKER_VARIABLE: "0"}).attempt_prefix == RUN.attempt_prefix
    assert "worker" not in RUN.to_object(), "what one pod writes is as it was"


def test_all_ended_well() -> None:
    bucket = MemoryBucket()
    end(bucket, 1)
    looks = 0

    def the_last_ends() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            end(bucket, 2)
        return False

    found = await_others(bucket, RUN, 3, the_last_ends)
    assert found is not None
    assert [(other.index, other.size_bytes, other.cpu_seconds) for other in found] == [
        (1, 7, 1.5),
        (2, 7, 1.5),
    ]
    assert looks == 3


def test_one_failed() -> None:
    bucket = MemoryBucket()
    end(bucket, 1, exit_code=3)
    assert await_others(bucket, RUN, 2, stops_after(1000)) is None


def test_stopped_before_all_had_ended() -> None:
    bucket = MemoryBucket()
    end(bucket, 1)
    assert await_others(bucket, RUN, 3, stops_after(2)) is None


def test_the_last_look_counts() -> None:
    bucket = MemoryBucket()
    end(bucket, 1)
    assert await_others(bucket, RUN, 2, stops_after(0)) is not None
