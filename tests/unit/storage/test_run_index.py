"""The index of the history: cheap to read, and nothing is lost by any race or at any crash."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_operator.api.history import RunEntry, entry_of
from mlops_operator.errors import IntegrityError, ObjectNotFound, StorageUnavailable
from mlops_operator.storage.history import read_run, record_run
from mlops_operator.storage.layout import INDEX_PREFIX
from mlops_operator.storage.run_index import RunIndex, pack, read_index
from tests.unit.storage.memory import MemoryBucket

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(number: int = 1, generation: int = 1, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "mlops.eoepca.org/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": f"wine-{number}",
            "namespace": "ws-alice",
            "uid": f"{number:08x}-0000-4000-8000-000000000001",
            "generation": generation,
            "creationTimestamp": "2026-03-01T11:00:00Z",
        },
        "spec": {
            "image": "python-ml:1",
            "command": ["python"],
            "experiment": "wine",
            "parameters": {"lr": 0.1},
            **spec,
        },
        "status": {
            "phase": "Succeeded",
            "reason": "Succeeded",
            "completionTime": "2026-03-01T11:59:00Z",
            "metrics": [{"name": "accuracy", "latest": 0.9}, {"name": "broken", "nonFinite": 3}],
            "resolved": {"image": "python-ml@sha256:aa", "commit": "c" * 40},
            "model": {"name": "wine.1"},
            "storage": {"uri": "s3://ws-alice/mlops/runs/wine/"},
        },
    }


def entry(number: int, generation: int = 1) -> RunEntry:
    return entry_of(run(number, generation)).model_copy(update={"recorded_at": NOW})


def test_an_entry_has_what_lists_and_filters_need() -> None:
    found = entry_of(run(displayName="First", archived=True, rerunOf={"name": "wine"}))
    assert (found.display_name, found.archived, found.experiment) == ("First", True, "wine")
    assert found.rerun_of is not None
    assert found.rerun_of.name == "wine"
    assert found.metrics == {"accuracy": 0.9}
    assert found.parameters == {"lr": 0.1}
    assert (found.image, found.model) == ("python-ml@sha256:aa", "wine.1")


def test_a_run_is_recorded_and_read_again() -> None:
    bucket, index = MemoryBucket(), RunIndex()
    key = record_run(index, bucket, run(), now=NOW)
    assert key == "mlops/runs/wine-1-00000001/run.json"
    (found,) = read_index(bucket)
    assert read_run(bucket, found) == run()
    record_run(index, bucket, run(generation=2, archived=True), now=NOW)
    (found,) = read_index(bucket)
    assert found.archived
    bucket.delete(key)
    with pytest.raises(ObjectNotFound, match="wine-1"):
        read_run(bucket, found)


def test_ten_thousand_runs_are_few_objects() -> None:
    bucket, index = MemoryBucket(), RunIndex()
    for number in range(10_000):
        index.add(bucket, entry(number))
    assert len(list(bucket.list(INDEX_PREFIX))) < 250
    assert len(read_index(bucket)) == 10_000


def test_the_newest_entry_counts_wherever_it_is() -> None:
    bucket = MemoryBucket()
    RunIndex(100).add(bucket, entry(1, generation=1))
    pack(bucket, 1)
    RunIndex(100).add(bucket, entry(1, generation=3))
    assert [found.generation for found in read_index(bucket)] == [3]
    pack(bucket, 1)
    RunIndex(100).add(bucket, entry(1, generation=2))
    assert [found.generation for found in read_index(bucket)] == [3]


class Killed(Exception):  # noqa: N818 - what happens
    pass


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**9), st.integers(1, 40))
def test_killed_at_any_request_nothing_is_lost(seed: int, runs: int) -> None:
    """Each add is tried until it went through, as the operator does; packing is cut short anywhere."""
    random = Random(seed)

    def before(_action: str, _key: str) -> None:
        if random.random() < 0.1:
            raise Killed

    bucket = MemoryBucket(before)
    for number in range(runs):
        while True:
            try:
                RunIndex(1 + number % 4).add(bucket, entry(number))
                break
            except Killed:
                continue
    bucket.before = lambda _action, _key: None
    assert {found.uid for found in read_index(bucket)} == {entry(number).uid for number in range(runs)}


def test_a_reader_beside_a_packer_sees_everything() -> None:
    bucket = MemoryBucket()
    for number in range(6):
        RunIndex(100).add(bucket, entry(number))
    packs: Iterator[int] = iter([1])

    def before(action: str, _key: str) -> None:
        if action == "get" and next(packs, None):
            pack(bucket, 1)

    bucket.before = before
    assert len(read_index(bucket)) == 6


def test_an_index_that_never_rests_is_said() -> None:
    bucket = MemoryBucket()
    RunIndex(100).add(bucket, entry(1))

    def before(action: str, _key: str) -> None:
        if action == "get":
            raise ObjectNotFound("gone again")

    bucket.before = before
    with pytest.raises(StorageUnavailable, match="try again"):
        read_index(bucket)


def test_what_is_no_entry_is_named() -> None:
    bucket = MemoryBucket()
    bucket.put_bytes(f"{INDEX_PREFIX}pages/odd.jsonl", b"{}\n")
    with pytest.raises(IntegrityError, match=r"odd\.jsonl"):
        read_index(bucket)


def test_the_same_record_again_changes_nothing_but_the_time() -> None:
    bucket, index = MemoryBucket(), RunIndex()
    record_run(index, bucket, run(), now=NOW)
    record_run(index, bucket, run(), now=NOW + timedelta(minutes=1))
    (found,) = read_index(bucket)
    assert found.recorded_at == NOW + timedelta(minutes=1)
