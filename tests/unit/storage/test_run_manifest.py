"""What is read of a run's prefix."""

from __future__ import annotations

import pytest

from mlops_operator.api.wire import ProgressReport, RunIdentity
from mlops_operator.errors import IntegrityError
from mlops_operator.storage.layout import attempt_progress_key
from mlops_operator.storage.run_manifest import read_progress
from tests.unit.storage.memory import MemoryBucket

RUN = RunIdentity(name="wine", namespace="ws-alice", uid="0a1b2c3d-0000-4000-8000-000000000001", attempt=2)


def test_the_progress_that_an_agent_left() -> None:
    bucket = MemoryBucket()
    assert read_progress(bucket, RUN) is None
    report = ProgressReport(run=RUN, pod_uid="p", sequence=3, phase="Running")
    bucket.put_bytes(attempt_progress_key(RUN), report.model_dump_json(by_alias=True).encode())
    assert read_progress(bucket, RUN) == report
    assert read_progress(bucket, RUN.model_copy(update={"attempt": 1})) is None
    assert read_progress(bucket, RUN.of_worker(1)) is None
    assert read_progress(bucket, RUN.model_copy(update={"uid": "0a1b2c3d-another"})) is None, (
        "a uid with the same beginning"
    )
    bucket.put_bytes(attempt_progress_key(RUN), b"{}")
    with pytest.raises(IntegrityError, match="ProgressReport"):
        read_progress(bucket, RUN)
