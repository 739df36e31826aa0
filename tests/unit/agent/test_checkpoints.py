"""Checkpoints on their way into a bucket and back: whole or not at all, whatever is killed or damaged in between."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.agent.checkpoints import CheckpointSync
from mlops_operator.agent.objective import ObjectiveWatch
from mlops_operator.agent.places import Places
from mlops_operator.agent.restore import Restored, restore
from mlops_operator.agent.tracking import Point
from mlops_operator.api.wire import (
    CheckpointsOrder,
    ObjectiveOrder,
    ResumeOrder,
    RunIdentity,
    TrainingExit,
)
from mlops_operator.errors import SourceNotFound, StorageUnavailable
from mlops_operator.storage.checkpoints import list_checkpoints, newest_of_name
from mlops_operator.storage.client import Bucket
from tests.unit.agent.follow.test_json_lines import make_tracking
from tests.unit.storage.memory import MemoryBucket, Stored

UID = "3f0e9a52-8f8e-4f0a-9d8c-2d1f6a3f4b11"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Killed(BaseException):
    """The agent was killed: nothing catches it."""


def run_of(attempt: int = 1, name: str = "wine", uid: str = UID) -> RunIdentity:
    return RunIdentity(name=name, namespace="ws-alice", uid=uid, attempt=attempt)


def sync_of(
    bucket: MemoryBucket, folder: Path, run: RunIdentity | None = None, **fields: Any
) -> CheckpointSync:
    order = CheckpointsOrder(interval_seconds=0.001, **fields.pop("order", {}))
    return CheckpointSync(
        order=order,
        run=run or run_of(),
        folder=folder,
        bucket=cast("Bucket", bucket),
        deadline=fields.pop("deadline", lambda: None),
        changed=lambda: None,
        **fields,
    )


def exit_of(**fields: Any) -> TrainingExit:
    return TrainingExit.model_validate({"exit_code": 0, "start_time": NOW, "end_time": NOW, **fields})


def write(folder: Path, name: str, content: str, at: int) -> None:
    """Write a checkpoint of two files, changed last at a time."""
    for file in ("weights.bin", "state.json"):
        place = folder / name / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{content} {file}")
        os.utime(place, (at, at))


def finish(sync: CheckpointSync, bucket: MemoryBucket, **fields: Any) -> list[str]:
    return sync.finish(exit_of(**fields), cast("Bucket", bucket))


def restored(bucket: MemoryBucket, root: Path, run: RunIdentity | None = None, **order: Any) -> Restored:
    return restore(CheckpointsOrder(**order), run or run_of(2), cast("Bucket", bucket), Places(root))


def names(bucket: MemoryBucket, run: RunIdentity | None = None) -> list[str]:
    return [str(name)[:10] for name in list_checkpoints(bucket, run or run_of()).complete]


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    write(tmp_path / "c", "checkpoint-10", "ten", 100)
    write(tmp_path / "c", "checkpoint-20", "twenty", 200)
    sync = sync_of(bucket, tmp_path / "c")

    assert finish(sync, bucket) == []

    assert sync.latest is not None
    assert (sync.latest.name, sync.latest.step) == ("checkpoint-20", 20)
    assert sync.latest.uri.startswith("s3://ws-alice/mlops/runs/wine-3f0e9a52/checkpoints/001-000002-")
    assert bucket.writes[-1] == f"{sync.latest.uri.removeprefix('s3://ws-alice/')}manifest.json"
    found = restored(bucket, tmp_path / "pod")
    assert found.path == "/mlops/output/checkpoints/checkpoint-20"
    assert found.resumed is not None
    assert (found.resumed.step, found.resumed.attempt, found.resumed.uid) == (20, 1, UID)
    back = tmp_path / "pod" / found.path.lstrip("/")
    assert {path.name: path.read_text() for path in back.iterdir()} == {
        "weights.bin": "twenty weights.bin",
        "state.json": "twenty state.json",
    }
    assert [path.name for path in back.parent.iterdir()] == ["checkpoint-20"]


def test_a_single_file_is_a_checkpoint_too(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    (tmp_path / "last.pt").write_bytes(b"weights")
    finish(sync_of(bucket, tmp_path), bucket)
    found = restored(bucket, tmp_path / "pod")
    assert (tmp_path / "pod" / found.path.lstrip("/")).read_bytes() == b"weights"


def test_the_first_attempt_begins_anew(tmp_path: Path) -> None:
    assert restored(MemoryBucket(), tmp_path, run_of(1)) == Restored()
    assert (tmp_path / "mlops/output/checkpoints").is_dir()


def test_without_resume_a_further_attempt_begins_anew(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    write(tmp_path / "c", "checkpoint-1", "one", 100)
    finish(sync_of(bucket, tmp_path / "c"), bucket)
    assert restored(bucket, tmp_path / "pod", resume=False) == Restored()


def test_what_is_not_complete_stays(tmp_path: Path) -> None:
    """Complete is what has its marker, or what two looks saw the same."""
    bucket = MemoryBucket()
    sync = sync_of(bucket, tmp_path, order={"markers": ["done"], "keep": 5})
    write(tmp_path, "a", "a", 100)
    write(tmp_path, "b", "b", 200)
    (tmp_path / "b" / "done").touch()

    sync._guarded(sync._complete(settled=False))
    assert [sync.latest and sync.latest.name, len(names(bucket))] == ["b", 1]
    (tmp_path / "a" / "weights.bin").write_text("still being written")
    sync._guarded(sync._complete(settled=False))
    assert len(names(bucket)) == 1
    time.sleep(0.01)  # more than the interval of this test
    sync._guarded(sync._complete(settled=False))
    assert len(names(bucket)) == 2


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        ({}, True),
        ({"terminated": True, "exit_code": 3}, True),
        ({"early_stopped": True}, True),
        ({"terminated": True, "exit_code": 143, "signal": "SIGTERM"}, False),
        ({"exit_code": 137, "signal": "SIGKILL"}, False),
        ({"exit_code": 1}, False),
    ],
)
def test_the_end_of_a_killed_training_may_be_half_written(
    tmp_path: Path, end: dict[str, Any], kept: bool
) -> None:
    bucket = MemoryBucket()
    write(tmp_path, "a", "a", 100)
    finish(sync_of(bucket, tmp_path), bucket, **end)
    assert bool(names(bucket)) is kept


def test_the_newest_are_kept_and_the_best(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    tracking = make_tracking(tmp_path / "t")
    watch = ObjectiveWatch(ObjectiveOrder(name="loss", goal="Minimize"), tracking)
    folder = tmp_path / "c"
    sync = sync_of(bucket, folder, objective=watch)
    for step, loss in enumerate([0.9, 0.2, 0.5, 0.6, 0.7], start=1):
        write(folder, f"checkpoint-{step}", str(step), step * 100)
        tracking.log(tracking.run_id, [Point("loss", loss, step, step)])
        watch.poll()
        sync._guarded(sync._complete(settled=True))
    assert names(bucket) == ["001-000002", "001-000004", "001-000005"]
    assert sync.best_uri is not None
    assert "/001-000002-" in sync.best_uri
    assert restored(bucket, tmp_path / "pod").path.endswith("checkpoint-5"), "a run goes on from the newest"

    # A later attempt knows it too, and drops it for a better one.
    later = ObjectiveWatch(
        ObjectiveOrder(name="loss", goal="Minimize", best=0.2, step=2, checkpoint=sync.best_uri), tracking
    )
    again = sync_of(bucket, folder, run_of(2), objective=later)
    write(folder, "checkpoint-6", "6", 600)
    again._guarded(again._complete(settled=True))
    assert names(bucket) == ["001-000002", "001-000005", "002-000006"]
    tracking.log(tracking.run_id, [Point("loss", 0.1, 6, 6)])
    later.poll()
    again._guarded(again._complete(settled=True))
    assert names(bucket) == ["001-000005", "002-000006"]


def test_the_same_bytes_are_not_uploaded_again(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    write(tmp_path / "c", "checkpoint-1", "one", 100)
    finish(sync_of(bucket, tmp_path / "c"), bucket)
    found = restored(bucket, tmp_path / "pod")
    writes = len(bucket.writes)
    sync = sync_of(bucket, (tmp_path / "pod" / found.path.lstrip("/")).parent, run_of(2))
    assert finish(sync, bucket) == []
    assert (len(bucket.writes), sync.latest) == (writes, None)


def test_an_overwritten_file_is_another_checkpoint(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    sync = sync_of(bucket, tmp_path)
    for content in ("one", "two", "three"):
        (tmp_path / "last.ckpt").write_text(content)
        sync._guarded(sync._complete(settled=True))
    assert names(bucket) == ["001-000002", "001-000003"]
    found = restored(bucket, tmp_path / "pod")
    assert (tmp_path / "pod" / found.path.lstrip("/")).read_text() == "three"


@pytest.mark.parametrize("damage", ["bytes", "missing", "manifest"])
def test_a_damaged_checkpoint_is_passed_over_and_it_is_said(tmp_path: Path, damage: str) -> None:
    bucket = MemoryBucket()
    write(tmp_path / "c", "checkpoint-1", "one", 100)
    write(tmp_path / "c", "checkpoint-2", "two", 200)
    finish(sync_of(bucket, tmp_path / "c"), bucket)
    newest = next(key for key in bucket.objects if "/001-000002-" in key and key.endswith("weights.bin"))
    if damage == "bytes":
        bucket.objects[newest] = Stored(b"TWO weights.bin")
    elif damage == "missing":
        del bucket.objects[newest]
    else:
        manifest = next(k for k in bucket.objects if "/001-000002-" in k and k.endswith("manifest.json"))
        bucket.objects[manifest] = Stored(bucket.objects[manifest].data.replace(b"weights", b"weighty"))

    found = restored(bucket, tmp_path / "pod")

    assert found.path.endswith("checkpoint-1")
    assert len(found.skipped) == 1
    assert found.skipped[0].startswith("001-000002-")
    assert [p.name for p in (tmp_path / "pod/mlops/output/checkpoints").iterdir()] == ["checkpoint-1"]


def test_another_run_is_gone_on_from(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    other = run_of(3, "teacher", "aaaaaaaa-0000-4000-8000-000000000001")
    write(tmp_path / "c", "checkpoint-8", "eight", 100)
    finish(sync_of(bucket, tmp_path / "c", other), bucket)
    source = ResumeOrder(name=other.name, namespace=other.namespace, uid=other.uid)

    found = restored(bucket, tmp_path / "pod", run_of(1), resume_from=source)

    assert found.resumed is not None
    assert (found.resumed.training_run, found.resumed.attempt, found.resumed.step) == ("teacher", 3, 8)
    own = sync_of(bucket, tmp_path / "pod/mlops/output/checkpoints", run_of(1))
    finish(own, bucket)
    assert names(bucket, run_of()) == ["001-000001"], "the run has it as its own then"
    with pytest.raises(SourceNotFound, match="no whole checkpoint"):
        restored(bucket, tmp_path / "p2", run_of(1, "new", "b" * 36), resume_from=ResumeOrder(
            name="nobody", namespace="ws-alice", uid="c" * 36))  # fmt: skip


def test_of_several_runs_of_a_name_the_newest_counts(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    for number, run in enumerate(
        [
            run_of(1, "wine", "aaaaaaaa-1"),
            run_of(1, "wine", "bbbbbbbb-1"),
            run_of(1, "wine-aaaaaaaa", "cccccccc-1"),
            run_of(1, "wine", "dddddddd-1"),
        ]
    ):
        write(tmp_path / str(number), "checkpoint-1", str(number), 100)
        at = NOW + timedelta(seconds=number)
        finish(sync_of(bucket, tmp_path / str(number), run, now=lambda at=at: at), bucket)
    found = newest_of_name(bucket, "wine")
    assert found is not None
    assert found.run.uid == "dddddddd-1"
    before = newest_of_name(bucket, "wine", without_uid="dddddddd-1")
    assert before is not None
    assert before.run.uid == "bbbbbbbb-1"
    assert newest_of_name(bucket, "win") is None


def test_an_outage_is_told_and_made_good(tmp_path: Path) -> None:
    def refuse(action: str, _key: str) -> None:
        if down and action == "upload":
            raise StorageUnavailable("the bucket is down")

    down = True
    bucket = MemoryBucket(refuse)
    write(tmp_path, "checkpoint-1", "one", 100)
    sync = sync_of(bucket, tmp_path)
    sync._guarded(sync._complete(settled=True))
    assert names(bucket) == []
    down = False
    assert finish(sync, bucket) == []
    assert names(bucket) == ["001-000002"]
    assert list_checkpoints(bucket, run_of()).partial == (), "what was half written is gone"


def test_no_upload_outlasts_the_pod(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    write(tmp_path, "checkpoint-1", "one", 100)
    said = finish(sync_of(bucket, tmp_path, deadline=lambda: time.monotonic() - 1), bucket)
    assert len(said) == 1
    assert "checkpoint-1 is not in the bucket" in said[0]
    assert bucket.objects == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(kills=st.lists(st.integers(0, 60), max_size=6), end=st.integers(0, 40))
def test_killed_at_any_moment_there_is_always_a_whole_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], end: int
) -> None:
    """Attempts train on, each killed after some calls to the bucket; what is restored is never older than what was told."""
    root = tmp_path_factory.mktemp("runs")
    left = [0]

    def count(_action: str, _key: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    bucket = MemoryBucket(count)
    told = 0
    for attempt, budget in enumerate([*kills, end], start=1):
        left[0] = 1000
        pod = root / str(attempt)
        found = restored(bucket, pod, run_of(attempt))
        step = found.resumed.step or 0 if found.resumed is not None else 0
        assert found.skipped == []
        assert step >= told
        folder = pod / "mlops/output/checkpoints"
        if step:
            state = (folder / f"checkpoint-{step}" / "weights.bin").read_text()
            assert state == f"{step} weights.bin"
        left[0] = budget
        sync = sync_of(bucket, folder, run_of(attempt))
        try:
            for new in range(step + 1, step + 4):
                write(folder, f"checkpoint-{new}", str(new), 10_000_000_000 + new)
                sync._guarded(sync._complete(settled=True))
                told = max(told, sync.latest.step or 0) if sync.latest else told
        except Killed:
            told = max(told, (sync.latest.step or 0) if sync.latest else 0)
    left[0] = 1000
    assert len(list_checkpoints(bucket, run_of()).complete) <= 3, "a killed agent leaves at most one too many"
